"""Boards without two slots, and power gone at each flash operation of an update from one application to another.

    python -m powercut.oneslot [--kind esp8266] [--states N] [--replay KIND@CUT]

The oracle knows nothing of the agent: in every state what is called /app-a or /app-b is a whole tree of a known release or
is not there, every start of a program is that of a known release, and the board ends with the new one.
"""

import argparse
import random
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import apps
import rig as rigs
import singles
from rig import Rig
from vboard.board import Board
from vboard.flash import image8266
from vboard.flash.nor import Operation
from vboard.flash.table import LAYOUTS

from powercut.cuts import Cut, Step, state_after, states

OLD = {"app.py": singles.APP % b"old", "lib/data.bin": bytes(range(256)) * 9, "lib/__init__.py": b""}
NEW = {"app.py": singles.APP % b"new", "lib/data.bin": bytes(range(255, -1, -1)) * 10, "more.py": b"x = 1\n" * 60}
KNOWN = {"a": (OLD, NEW), "b": (OLD, NEW), "new": None}  # `new` is what is being unpacked
MOST_BOOTS = 6
PATIENCE_S = 60.0
DONE = "ota: up-to-date 1.2.0"


@dataclass
class Run:
    """What a board did from a state of its flash on until it had the new release."""

    start: bytes
    steps: list[Step] = field(default_factory=list)
    end: bytes = b""
    console: str = ""
    boots: int = 0
    trouble: str = ""


class Base:
    """A board of one kind that runs OLD, while the channel has NEW."""

    def __init__(self, kind: str, folder: Path, opened: ExitStack, *, patch: bytes = b"") -> None:
        """`patch`: lines for a faulty agent, run before it."""
        self.kind, self._folder = kind, folder
        self._rig: Rig = opened.enter_context(singles.served(folder / "place"))
        made = singles.template(self._rig, folder / "template", kind)
        if patch:
            with Board(made, **singles.KINDS[kind]) as board:
                board.power_on()
                board.wait_repl()
                with rigs.repl(board) as link:
                    link.put("/patch.py", patch)
                    link.run(
                        "t = open('/boot.py').read()\nf = open('/boot.py', 'w')\nf.write('import patch\\n' + t)\nf.close()"
                    )
                board.power_off()
        start = (made / "flash.bin").read_bytes()
        apps.publish(self._rig, "1.1.0", OLD)
        first = self.run(start, until="ota: up-to-date 1.1.0")
        assert not first.trouble, first.trouble
        apps.publish(self._rig, "1.2.0", NEW)
        self.base = self.run(first.end)

    def run(self, start: bytes, until: str = DONE) -> Run:
        """From power-on to the new release's own start."""
        run = Run(start)
        place = self._folder / "run"
        place.mkdir(exist_ok=True)
        for name in ("flash.bin", "console.log", "chip"):
            (place / name).unlink(missing_ok=True)
        (place / "flash.bin").write_bytes(start)
        (place / "chip").write_text(str(singles.KINDS[self.kind]["chip"]))
        settings = singles.KINDS[self.kind] | {"network": self._rig.network}
        with Board(place, **settings) as board:

            def note(operation: Operation, data: bytes | None) -> None:
                run.steps.append(Step(operation, data, len(board.boots)))

            board.flash.before = note
            board.power_on()
            try:
                board.wait_text(until, PATIENCE_S)
                board.wait_text("app: ", 10, since=board.text.index(until))
                board.wait_repl()
            except TimeoutError as error:
                run.trouble = str(error).split("\n")[0]
            board.power_off()
            run.end, run.console, run.boots = board.flash.read(0, board.flash.size), board.text, len(board.boots)
        return run

    def cuts(self, seed: int) -> list[Cut]:
        """One for each distinct state that a cut of the base's run leaves: before an operation, torn, after the last."""
        steps = self.base.steps

        def every() -> Iterator[Cut]:
            for at in range(len(steps)):
                yield Cut(at)
                yield Cut(at, seed)
            yield Cut(len(steps))

        found: dict[int, Cut] = {}
        for cut, left in states(self.base.start, steps, every(), self.base.start):
            found.setdefault(left, cut)
        return list(found.values())

    def at(self, cut: Cut) -> list[str]:
        """What is wrong with the files that lie in flash when power has gone there."""
        return list(self._trees(state_after(self.base.start, self.base.steps, cut)))

    def judge(self, cut: Cut) -> list[str]:
        """All that is wrong after power went there."""
        start = state_after(self.base.start, self.base.steps, cut)
        return self.wrong(start, self.run(start))

    def wrong(self, start: bytes, run: Run) -> list[str]:
        """What is wrong with a run from `start` to its end."""
        found = [f"{run.trouble}; {run.console[-300:]!r}"] if run.trouble else []
        found += [f"at the cut: {fault}" for fault in self._trees(start)]
        found += [f"in the end: {fault}" for fault in self._trees(run.end)]
        ran = re.findall(r"^app: (\w+)", run.console, re.MULTILINE)
        if set(ran) - {"old", "new"}:
            found.append(f"a program of no known release ran: {ran}")
        if ran[-1:] != ["new"]:
            found.append(f"ends with {ran[-1:]}, not with the new release")
        if run.boots > MOST_BOOTS:
            found.append(f"{run.boots} boots, more than {MOST_BOOTS}")
        if "Traceback" in run.console:
            found.append("a traceback on the console")
        return found

    def _trees(self, flash: bytes) -> Iterator[str]:
        vfs = self._vfs()
        for name, tree in apps.in_flash(flash[vfs[0] : vfs[1]]).items():
            whole = KNOWN.get(name, ())
            if whole is not None and tree not in whole:
                yield f"/app-{name} is no whole tree of a known release: {sorted(tree)}"

    def _vfs(self) -> tuple[int, int]:
        size = len(self.base.start) if hasattr(self, "base") else 4 << 20
        table = image8266.table(size) if self.kind == "esp8266" else LAYOUTS["factory"].with_auto_vfs(size)
        row = table.find("vfs")
        assert row
        return row.offset, row.end


def main() -> int:
    """0: every state survived; 1: one did not."""
    parser = argparse.ArgumentParser("powercut.oneslot", description=__doc__.split("\n")[0])
    parser.add_argument("--kind", nargs="+", choices=list(singles.KINDS), default=list(singles.KINDS))
    parser.add_argument("--states", type=int, help="run only so many states of each kind, chosen by the seed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--replay", help="one state, as a violation names it: KIND@CUT")
    asked = parser.parse_args()
    kind, _, cut = (asked.replay or "").partition("@")
    bad = 0
    for one in [kind] if kind else asked.kind:
        with tempfile.TemporaryDirectory(prefix="oneslot-") as folder, ExitStack() as opened:
            base = Base(one, Path(folder), opened)
            found = [Cut.parse(cut)] if cut else base.cuts(asked.seed)
            chosen = random.Random(f"{asked.seed}/{one}").sample(found, min(asked.states or len(found), len(found)))
            wrong = {f"{one}@{at}": faults for at in chosen if (faults := base.judge(at))}
            for name, faults in wrong.items():
                print(f"{name}: {'; '.join(faults)[:600]}")
            print(
                f"one-slot {one}: {len(base.base.steps)} operations, {len(chosen)} of {len(found)} states run, "
                f"{len(wrong)} violations"
            )
            bad += len(wrong)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
