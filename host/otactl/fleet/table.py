"""The fleet as people look at it: a row a board, in words. The command, the page and every bridge show these."""

from collections.abc import Iterable
from dataclasses import dataclass

from otactl.board.codes import sentence
from otactl.fleet.checkin import ON_TRIAL
from otactl.fleet.store import Event, Seen

SILENT_S = 3 * 3600  # three looks at the default interval
UNKNOWN = "default"  # the cohort of a board that nobody has given one

# What a board is, worst last: `hand` marks what needs a person.
STATES = ("current", "updating", "on-trial", "behind", "on-hold", "refused", "rolled-back", "silent")
# what a board meets while the network or the server is down: it goes on by itself (device/ota/install/retry.py)
PASSING = (
    "dns",
    "connect",
    "stalled",
    "dropped",
    "tls",
    "http-status",
    "wifi-not-found",
    "wifi-failed",
    "ethernet-failed",
)
_WORDS = {"on-hold": "tries again"}  # of a state, where people read another one
NEEDS_A_HAND = ("refused", "rolled-back", "silent")


@dataclass(frozen=True, slots=True)
class Row:
    """`version`: of the release that runs, "" where the server does not know it; `newest`: what it is to come to; `state`: one of
    STATES; `why`: what kept it from there, in words with the next step; `percent` of a download, None for none; `seen`: seconds
    since 1970."""

    id: str
    name: str
    cohort: str
    product: str
    version: str
    newest: str
    state: str
    why: str
    percent: int | None
    seen: float
    seen_board: Seen


def row(seen: Seen, *, name: str, cohort: str, versions: dict[int, str], now: float) -> Row:
    """`versions`: of the releases that were published here, by sequence."""
    said, at = seen.said, state(seen, now)
    return Row(
        id=said.id,
        name=name,
        cohort=cohort,
        product=said.product,
        version=versions.get(said.have, ""),
        newest=versions.get(seen.offered, ""),
        state=at,
        why=sentence(said.reason, "") if said.reason and at != "current" else "",
        percent=min(100, seen.done * 100 // seen.size) if seen.size else None,
        seen=seen.last_seen,
        seen_board=seen,
    )


def state(seen: Seen, now: float) -> str:
    """One of STATES."""
    said, waits = seen.said, seen.offered > seen.said.have
    if now - seen.last_seen > SILENT_S:
        return "silent"
    if said.phase in ON_TRIAL or 0 < seen.size <= seen.done:
        return "on-trial"
    if seen.size or (said.phase == "writing" and (not said.reason or said.reason in PASSING)):
        return "updating"
    is_of_newest = said.sequence >= max(seen.offered, said.have + 1)  # offered no longer, perhaps
    if said.reason == "on-hold" or (said.phase == "held" and is_of_newest):
        return "on-hold"
    if said.phase == "failed" and is_of_newest:
        return "rolled-back"
    if waits and said.reason and said.phase not in ("failed", "held") and said.reason not in PASSING:
        return "refused"
    return "behind" if waits else "current"


def word(state: str) -> str:
    """What people read of one of STATES."""
    return _WORDS.get(state, state.replace("-", " "))


def headline(rows: Iterable[Row]) -> str:
    """All in one line: `28 on 1.1.0 · 1 on trial · 1 rolled back: check-wifi · 2 silent`."""
    counts: dict[str, int] = {}
    for one in rows:
        words = {
            "current": f"on {one.version or 'what they had'}",
            "rolled-back": f"rolled back: {one.seen_board.said.reason or 'unknown'}",
        }.get(one.state, word(one.state))
        counts[words] = counts.get(words, 0) + 1
    ordered = sorted(counts.items(), key=lambda item: (not item[0].startswith("on "), -item[1]))
    return " · ".join(f"{count} {words}" for words, count in ordered)


_EVENTS = {
    "new": "first heard",
    "offered": "offered {}",
    "downloading": "takes {}",
    "confirmed": "runs {}, confirmed",
    "rolled-back": "back from {}",
    "held": "back from {}, tries it again",
    "refused": "refuses {}",
    "changed": "runs {}",
}
_UNITS = ((86400, "day"), (3600, "h"), (60, "min"), (1, "s"))


def told(event: Event, versions: dict[int, str]) -> str:
    """An event in words, with its reason and the next step: `back from 1.1.0: trial-crash: …`."""
    what = versions.get(event.sequence) or (f"sequence {event.sequence}" if event.sequence else "a release")
    line = _EVENTS.get(event.event, event.event).format(what)
    return f"{line}: {sentence(event.reason, '')}" if event.reason else line


def ago(seconds: float) -> str:
    """How long since: `now`, `40 s ago`, `3 min ago`, `2 days ago`."""
    for length, unit in _UNITS:
        count = int(max(0, seconds) // length)
        if count and (length > 1 or count >= 10):
            return f"{count} {unit}{'s' if unit == 'day' and count > 1 else ''} ago"
    return "now"
