"""Who gets a release first: the stages of a rollout, and which of them a board is in.

A board's bucket is a number below 10,000 out of the rollout's salt and the board's id. A stage of 10 % holds the buckets below
1,000, so that one of 50 % holds the same boards and more; another rollout begins with other boards, as its salt is another.
"""

import hashlib
import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from otactl.errors import UsageError

BUCKETS = 10_000
EVERYONE = 100  # %
_DRAWS = 64
_LOOKS = {"interval_s": 3600, "jitter_s": 600}  # of device/ota/config.py
_SALT_BYTES = 8
_COHORT = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,31}\Z")
_SPAN = re.compile(r"(\d{1,5})([smhd])\Z")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True, slots=True)
class Step:
    """A stage as it was asked for: a `cohort` by its name, or where that is empty `percent` of all boards."""

    percent: float = 0
    cohort: str = ""

    @property
    def label(self) -> str:
        return self.cohort or f"{self.percent:g} %"


def steps(cohorts: str | None, percents: str | None) -> list[Step]:
    """The stages that `--to canary,lab` and `--percent 10,50` mean: the cohorts, then the shares, at last everyone.

    Raises UsageError.
    """
    found = [Step(cohort=name) for name in _cohorts(cohorts)] + [Step(percent=one) for one in _percents(percents)]
    if not found or found[-1].percent != EVERYONE:
        found.append(Step(percent=EVERYONE))
    return found


def _cohorts(given: str | None) -> list[str]:
    names = given.split(",") if given is not None else []
    for name in names:
        if not _COHORT.match(name):
            raise UsageError(f"--to {name!r}: names of cohorts, as canary,lab")
    if len(set(names)) < len(names):
        raise UsageError(f"--to {given}: each cohort once")
    return names


def _percents(given: str | None) -> list[float]:
    try:
        found = [float(one) for one in given.split(",")] if given is not None else []
    except ValueError:
        raise UsageError(f"--percent {given}: rising numbers up to 100, as 10,50,100") from None
    rising = all(low < high for low, high in zip([0.0, *found], found, strict=False))
    if not rising or not all(one <= EVERYONE for one in found):
        raise UsageError(f"--percent {given}: rising numbers up to 100, as 10,50,100")
    return found


def span(given: str, option: str) -> int:
    """Seconds of 90s, 30m, 1h, 2d. Raises UsageError."""
    found = _SPAN.match(given)
    if not found:
        raise UsageError(f"{option} {given}: a time such as 90s, 30m, 1h or 2d")
    return int(found[1]) * _SECONDS[found[2]]


def between_looks(board: Mapping[str, Any]) -> int:
    """Seconds from one look of a board to its next, at most, where nothing fails. `board`: its configuration."""
    return sum(int(board.get(name, usual)) for name, usual in _LOOKS.items())


def bucket(salt: str, board: str) -> int:
    """From 0 to 9,999, as good as evenly spread: the first 8 bytes of SHA-256 of `salt:board`."""
    return int.from_bytes(hashlib.sha256(f"{salt}:{board}".encode()).digest()[:8], "big") % BUCKETS


def holds(step: Step, salt: str, board: str, cohort: str) -> bool:
    """Whether a stage names that board, whatever the stages before it did."""
    if step.cohort:
        return step.cohort == cohort
    return bucket(salt, board) < step.percent * BUCKETS / 100


def stage_of(plan: Sequence[Step], salt: str, board: str, cohort: str) -> int:
    """The number of the first stage that a board is in; every board is in the last."""
    return next((n for n, step in enumerate(plan) if holds(step, salt, board, cohort)), len(plan) - 1)


def draw(plan: Sequence[Step], known: Mapping[str, str], salts: Callable[[], str] | None = None) -> str:
    """A salt by which each stage has a board of its own among the `known` (their cohorts by id), where there are enough of
    them: a tenth of eight boards is often none."""
    salts = salts or (lambda: secrets.token_hex(_SALT_BYTES))
    best, most = "", -1
    for _ in range(_DRAWS):
        salt = salts()
        filled = len({stage_of(plan, salt, board, cohort) for board, cohort in known.items()})
        if filled > most:
            best, most = salt, filled
        if most in (len(plan), len(known)):
            break
    return best


def unknown(plan: Sequence[Step], known: Mapping[str, str]) -> list[str]:
    """The cohorts of a plan that no known board is in."""
    return [step.cohort for step in plan if step.cohort and step.cohort not in known.values()]


def dumps(plan: Sequence[Step]) -> str:
    return json.dumps([asdict(step) for step in plan])


def loads(text: str) -> list[Step]:
    return [Step(**one) for one in json.loads(text)]
