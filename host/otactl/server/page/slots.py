"""The two slots of a board, as far as its check-in tells: which release runs, and what the other slot holds."""

from collections.abc import Iterable
from dataclasses import dataclass

from otactl.fleet.store import Event, Seen

# What a board says of its last job -> (what the slot that runs is, what the other is); `None`: nobody here knows.
_DRAWN: dict[str, tuple[str, str | None]] = {
    "idle": ("runs", None),
    "writing": ("runs", "being written"),
    "ready": ("runs", "written, tried at the next start"),
    "trial": ("runs, on trial", "to go back to"),
    "confirmed": ("runs, confirmed", "to go back to"),
    "failed": ("runs", "failed its trial"),
}
_OF_THE_JOB = ("writing", "ready", "failed")  # the other slot holds the release of the last job
_BACK = ("trial", "confirmed")  # it holds what ran before
_RAN = ("new", "confirmed", "changed")  # events that tell what a board ran


@dataclass(frozen=True, slots=True)
class Slot:
    """`release`: its version, "" where it is unknown; `what`: of it, in words; `percent`: written, None where all is, or
    unknown."""

    runs: bool
    release: str
    what: str
    percent: int | None = None


def drawn(seen: Seen, versions: dict[int, str], before: int = 0) -> tuple[Slot, Slot]:
    """The slot that runs, and the other. `before`: the sequence that it ran before, 0: unknown."""
    said = seen.said
    here, there = _DRAWN[said.phase]
    if seen.size and said.phase not in ("ready", "trial"):
        there, held = "being written", seen.offered
    else:
        held = said.sequence if said.phase in _OF_THE_JOB else before if said.phase in _BACK else 0
    percent = min(100, seen.done * 100 // seen.size) if seen.size and there == "being written" else None
    other = Slot(False, release(held, versions), there or "not told", percent)
    return Slot(True, release(said.have, versions), here), other


def before(have: int, events: Iterable[Event]) -> int:
    """The sequence that a board ran before `have`, 0: nobody here knows. `events`: of the board, the newest first."""
    ran = (one.sequence for one in events if one.event in _RAN)
    return next((sequence for sequence in ran if sequence not in (0, have)), 0)


def release(sequence: int, versions: dict[int, str]) -> str:
    """What people call the release of that sequence; "" for 0."""
    if not sequence:
        return ""
    return versions.get(sequence, f"sequence {sequence}")
