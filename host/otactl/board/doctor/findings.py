"""What a check comes to: a verdict, one sentence, and the next thing to type."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """SKIPPED: not looked at, and the sentence says why."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"
    SKIPPED = "not looked at"


@dataclass(frozen=True, slots=True)
class Finding:
    """`said`: one sentence, without a full stop. `then`: one command line, empty where there is nothing to type.

    `code`: of docs/errors.md, where it has one. `rig`: it is not the board or the release that is at fault, but the port,
    this machine or the network. `waits_for`: the check that has to be good first.
    """

    verdict: Verdict
    said: str
    then: str = ""
    code: str = ""
    rig: bool = False
    waits_for: str = ""


def ok(said: str) -> Finding:
    return Finding(Verdict.OK, said)


def skipped(why: str) -> Finding:
    return Finding(Verdict.SKIPPED, why)


def waiting(check: str) -> Finding:
    return Finding(Verdict.SKIPPED, f"{check} first", waits_for=check)


def apart(check: str, why: str) -> Finding:
    """Nothing is wrong, and what needs this check is not looked at: this board has it otherwise."""
    return Finding(Verdict.SKIPPED, why, waits_for=check)


def warn(said: str, then: str, code: str = "") -> Finding:
    return Finding(Verdict.WARN, said, then, code)


def bad(said: str, then: str, code: str = "") -> Finding:
    """The board or the release is at fault."""
    return Finding(Verdict.BAD, said, then, code)


def broken(said: str, then: str, code: str = "") -> Finding:
    """The rig is at fault: port, machine, network."""
    return Finding(Verdict.BAD, said, then, code, rig=True)
