"""The two slots of a board, as far as its check-in tells: which release runs, and what the other slot holds."""

from collections.abc import Sequence
from dataclasses import dataclass

from otactl.fleet.store import Event, Seen

HAVE, JOB, BEFORE, UNKNOWN = "have", "job", "before", ""  # what it says it runs, its last job's, what it ran before

# What a board says of its last job -> which release runs, and what of it; which the other slot holds, and what of it.
_DRAWN: dict[str, tuple[str, str, str, str]] = {
    "idle": (HAVE, "runs", UNKNOWN, "not told"),
    "writing": (HAVE, "runs", JOB, "being written"),
    "ready": (HAVE, "runs", JOB, "written, tried at the next start"),
    "trial": (JOB, "runs, on trial", BEFORE, "to go back to"),
    "confirmed": (HAVE, "runs, confirmed", BEFORE, "to go back to"),
    "failed": (HAVE, "runs", JOB, "failed its trial"),
    "held": (HAVE, "runs", JOB, "is tried again"),
}
_RAN = ("new", "confirmed", "changed")  # events that tell what a board ran


@dataclass(frozen=True, slots=True)
class Slot:
    """`release`: its version, "" where it is unknown; `what`: of it, in words; `percent`: written, None where nobody counts."""

    runs: bool
    release: str
    what: str
    percent: int | None = None


def drawn(seen: Seen, versions: dict[int, str], events: Sequence[Event]) -> tuple[Slot, Slot]:
    """The slot that runs, and the other. `events`: of the board, the newest first."""
    said = seen.said
    here, what, there, of_other = _DRAWN[said.phase]
    running = said.sequence if here == JOB else said.have
    slot = Slot(True, release(running, versions), what)
    if seen.size and said.phase not in ("ready", "trial"):  # it downloads, which it says only at its next look
        return slot, Slot(
            False, release(seen.offered, versions), "being written", min(100, seen.done * 100 // seen.size)
        )
    held = {JOB: said.sequence, BEFORE: _before(running, events), UNKNOWN: 0}[there]
    return slot, Slot(False, release(held, versions), of_other)


def release(sequence: int, versions: dict[int, str]) -> str:
    """What people call the release of that sequence; "" for 0."""
    if not sequence:
        return ""
    return versions.get(sequence, f"sequence {sequence}")


def _before(running: int, events: Sequence[Event]) -> int:
    """The sequence that a board ran before that one, 0: nobody here knows."""
    ran = (one.sequence for one in events if one.event in _RAN)
    return next((sequence for sequence in ran if sequence not in (0, running)), 0)
