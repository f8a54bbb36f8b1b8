"""What became of a board, in words: one line an event, and why."""

from otactl.board.codes import sentence
from otactl.fleet.store import Event

_HAPPENED = {
    "new": "heard for the first time, running {}",
    "offered": "was offered {}",
    "downloading": "began to download {}",
    "confirmed": "confirmed {}",
    "rolled-back": "rolled back {}",
    "refused": "did not take {}",
    "changed": "runs {}, which this server did not see it take",
}


def words(event: Event, versions: dict[int, str]) -> str:
    """`versions`: of the releases that were published here, by sequence."""
    return _HAPPENED.get(event.event, f"{event.event} {{}}").format(release(event.sequence, versions) or "it does not say what")


def why(event: Event) -> str:
    """The reason with the next step, "" where it has none."""
    return sentence(event.reason) if event.reason else ""


def release(sequence: int, versions: dict[int, str]) -> str:
    """What people call the release of that sequence; "" for 0."""
    if not sequence:
        return ""
    return versions.get(sequence, f"sequence {sequence}")
