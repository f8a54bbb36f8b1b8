"""Power gone at every flash operation of an update: `make powercut`, or python -m powercut --help."""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from powercut import report
from powercut.planner import Base, Bench, Point, explore, look, points
from powercut.prepare import NAMES, Scenarios
from powercut.report import Exploration


def main() -> int:
    """0: every state survived; 1: one did not; 2: wrong usage."""
    asked = _arguments()
    with tempfile.TemporaryDirectory(prefix="powercut-") as folder:
        made = Scenarios(Path(folder))
        if asked.replay:
            return _replay(made, Point.parse(asked.replay))
        return _explore(made, asked)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("powercut", description=__doc__)
    parser.add_argument("--scenario", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument(
        "--tears",
        type=int,
        default=1,
        help="ways to tear each operation (otadata: 40 times as many)",
    )
    parser.add_argument("--seconds", type=int, default=2, help="second cuts in the recovery from each first one")
    parser.add_argument("--states", type=int, help="run only so many states of each scenario, chosen by the seed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, help="processes (default: as many as processors)")
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--replay", help="one point, as a violation names it: SCENARIO@CUT[~SEED][+CUT[~SEED]]")
    return parser.parse_args()


def _explore(made: Scenarios, asked: argparse.Namespace) -> int:
    began = time.monotonic()
    explored = []
    for name in asked.scenario:
        base = look(made.make(name))
        if base.verdict.wrong:
            print(f"{name}: fails without any cut: {'; '.join(base.verdict.wrong)}")
            return 1
        explored.append(_scenario(base, asked))
    print(report.table(explored))
    report.write(asked.out, explored, asked.seed, time.monotonic() - began)
    print(report.scope(explored, asked.seed))
    print(f"{time.monotonic() - began:.0f} s; {asked.out}/powercut.html, .json, .xml")
    wrong = [result for e in explored for result in e.wrong]
    for result in wrong:
        print(f"{result.point}: {'; '.join(result.verdict.wrong)[:300]}\n  to replay: {report.replay(result)}")
    return 1 if wrong else 0


def _scenario(base: Base, asked: argparse.Namespace) -> Exploration:
    name, live = base.scenario.name, sys.stderr.isatty()
    found = points(base, asked.tears, asked.seed)
    chosen = found
    if asked.states and asked.states < len(found):
        chosen = random.Random(f"{asked.seed}/{name}").sample(found, asked.states)
    results = []
    for result in explore([base], chosen, seconds=asked.seconds, seed=asked.seed, jobs=asked.jobs):
        results.append(result)
        if live:
            print(f"\r{name}: {len(results)} of {len(chosen)} states", end="", file=sys.stderr)
    if live:
        print("\r\033[K", end="", file=sys.stderr)
    return Exploration(base, len(found), results)


def _replay(made: Scenarios, point: Point) -> int:
    base = look(made.make(point.scenario))
    bench = Bench(base)
    result, run = bench.replay(point)
    bench.close()
    print(run.console)
    for boot in run.boots:
        print(f"boot: {boot.slot}, cause {boot.cause}, after {boot.step} operations")
    print(f"{point}: {'; '.join(result.verdict.wrong) or 'survived'}")
    return 1 if result.verdict.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
