"""What came of a run of the suite on one board: as the recorder writes it, line by line, and as it is read again."""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

PASSED, FAILED, SKIPPED, RIG_FAULT = "passed", "failed", "skipped", "rig fault"
OUTCOMES = (FAILED, RIG_FAULT, SKIPPED, PASSED)  # the worst first


@dataclass(frozen=True, slots=True)
class Result:
    """One test. `title`: what is fine where it passed, in one sentence. `why`: of what did not. `again`: the command that
    repeats it. `retried`: the rig fault after which it ran a second time, "" for none. `not_run`: skipped for the rig
    fault of a test before. `phase`: of pytest's, setup, call or teardown, which `outcome` and `why` are of."""

    id: str
    title: str
    outcome: str
    seconds: float
    why: str = ""
    again: str = ""
    retried: str = ""
    not_run: bool = False
    phase: str = "call"


@dataclass
class Results:
    """`name`: of the board. `only`: the choice of tests, in place of all or the quick ones. `board`: what it says of itself. `notes`: what a person should know that is no test.
    `trouble`: why there is no more, where the run itself broke off. `usage`: what is wrong with how it was asked for.
    `put_back`: whether the board is as it was found, None where nothing was done to it. `stopped`: a person ended it."""

    name: str
    began: str = ""
    seed: int = 1
    everything: bool = False
    only: str = ""
    seconds: float = 0.0
    board: dict[str, Any] = field(default_factory=dict)
    tests: list[Result] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    trouble: str = ""
    usage: str = ""
    put_back: bool | None = None
    stopped: bool = False

    @property
    def which(self) -> str:
        """Which tests were asked for."""
        if self.only:
            return f"of {self.only}"
        return "all tests" if self.everything else "the quick tests"

    @property
    def counts(self) -> Counter[str]:
        return Counter(test.outcome for test in self.tests)

    @property
    def exit_code(self) -> int:
        """0 all is well, 1 a test failed, 2 it was asked for in a wrong way, 3 the rig is at fault."""
        if self.usage:
            return 2
        if self.counts[FAILED]:
            return 1
        return 3 if self.trouble or self.counts[RIG_FAULT] or not self.counts[PASSED] else 0

    @property
    def summary(self) -> str:
        """One line, for a badge or the subject of a mail."""
        if self.usage:
            return f"{self.name}: wrong usage"
        if self.stopped:
            return f"{self.name}: stopped"
        ran = sum(self.counts[outcome] for outcome in (PASSED, FAILED, RIG_FAULT))
        if self.counts[FAILED]:
            return f"{self.name}: {self.counts[FAILED]} of {ran} failed"
        if self.exit_code == 3:
            return f"{self.name}: rig fault"
        return f"{self.name}: {ran} of {ran} fine"

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"exit_code": self.exit_code, "summary": self.summary, "counts": dict(self.counts)}


def read(path: Path, name: str) -> Results:
    """What the recorder has written so far; a last line that is not whole counts as not there."""
    found = Results(name)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return found
    for line in lines:
        try:
            _add(found, json.loads(line))
        except (ValueError, TypeError):
            continue
    return found


def _add(found: Results, told: dict[str, Any]) -> None:
    for key, value in told.items():
        if key == "test":
            found.tests.append(Result(**value))
        elif key == "note":
            found.notes.append(value)
        else:
            setattr(found, key, value)


def worst(runs: list[Results]) -> int:
    """The exit code of several boards: 1 where one failed, else 3 or 2 where one has no verdict."""
    codes = {one.exit_code for one in runs}
    return 1 if 1 in codes else max(codes, default=3)
