"""`make fuzz`: each parser under libFuzzer for a while, then what it found interesting in MicroPython on a virtual board.

What is grown is kept in results/fuzz (another run goes on from there); what is found lies in results/fuzz/findings, and
comes first in the next run.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from fuzz import lines, loading, onboard

RESULTS = Path("results") / "fuzz"
_STATS = {"inputs": r"number_of_executed_units: (\d+)", "edges": r"cov: (\d+)", "grown": r"corp: (\d+)"}
_LIMITS = ("-timeout=10", "-rss_limit_mb=1024", "-max_len=9000", "-print_final_stats=1")  # s an input: more is a hang


@dataclass(frozen=True, slots=True)
class Told:
    """What a run says of one parser. `inputs`, `grown`: inputs run, and kept for what they reach; `edges`: of the agent's
    code; `finding`: a file, or None."""

    inputs: int
    edges: int
    grown: int
    finding: Path | None


def fuzz(name: str, seconds: int) -> Told:
    """Run one parser."""
    grown, found = RESULTS / "corpus" / name, RESULTS / "findings"
    grown.mkdir(parents=True, exist_ok=True)
    found.mkdir(parents=True, exist_ok=True)
    before = set(found.iterdir())
    options = [*_LIMITS, f"-max_total_time={seconds}", f"-artifact_prefix={found}/{name}-"]
    done = subprocess.run(
        [sys.executable, "-m", "fuzz.one", name, *options, str(grown), str(loading.CORPUS / name)],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    numbers = {key: int((re.findall(pattern, done.stderr) or ["0"])[-1]) for key, pattern in _STATS.items()}
    new = sorted(set(found.iterdir()) - before)
    if done.returncode:
        print(done.stderr[done.stderr.find(" === Uncaught") :][:2000], file=sys.stderr)
    if done.returncode and not new:
        raise SystemExit(f"{name}: libFuzzer ended with {done.returncode}:\n{done.stderr[-500:]}")
    return Told(**numbers, finding=new[0] if new else None)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make fuzz ARGS=", description=__doc__)
    parser.add_argument("parser", nargs="*", help="one or more of them; all, if none is named")
    parser.add_argument("--seconds", type=int, default=20, help="of libFuzzer for each (20)")
    parser.add_argument("--no-board", action="store_true", help="leave MicroPython out")
    return parser.parse_args()


def main() -> int:
    options = _options()
    known = list(loading.load().PARSERS)
    unknown = [name for name in options.parser if name not in known]
    if unknown:
        print(f"no parser {unknown[0]}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    names = options.parser or known
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path[:1] + [str(loading.ROOT / name) for name in ("host", "tests")])
    print(f"{'parser':12} {'inputs':>10} {'edges':>6} {'lines':>6} {'kept':>6}  findings", flush=True)
    inputs, findings, began = 0, [], time.monotonic()
    for name in names:
        told = fuzz(name, options.seconds)
        share = lines.reached(name, loading.seeds(name) + loading.seeds(name, RESULTS / "corpus"))
        inputs += told.inputs
        findings += [str(told.finding)] if told.finding else []
        print(
            f"{name:12} {told.inputs:10,} {told.edges:6} {share:5.0%} {told.grown:7}  {told.finding or '-'}", flush=True
        )
    print(f"{'all':12} {inputs:10,}  in {time.monotonic() - began:.0f} s: {len(findings)} findings", flush=True)
    if not options.no_board:
        findings += onboard.replay(names, RESULTS / "corpus")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
