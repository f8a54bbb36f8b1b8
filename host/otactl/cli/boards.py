"""What is shown of a board: its events while it is followed, its status; and what is shown of a server."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from otactl.board.codes import sentence
from otactl.cli import display
from otactl.cli.display import Bars
from otactl.cli.shown import Shown
from otactl.words import counted

if TYPE_CHECKING:
    from otactl.board.follow import Event
    from otactl.server.files import Transfer

_SINCE = datetime(2000, 1, 1, tzinfo=UTC)  # a board's seconds
_MOST_BARS = 10  # three hundred took more of a core than the boards, which waited for them
_MEASURED = ("download", "verify")
_ENDINGS = ("refused", "up-to-date", "confirmed", "rolled-back")  # the command says these itself
_WAITING = {  # event -> what is waited for after it
    "release": "the image's head is checked",
    "switch": "the board restarts into the new release",
    "trial": "the new release is on trial",
    "check": "the new release is on trial",
    "failed": "the board goes back",
}
_STATES = {"valid": "green", "aborted": "red", "invalid": "red"}


class BoardWatch:
    """A board's events: bars for what has a measure, lines for the rest."""

    def __init__(self, bars: Shown) -> None:
        self._bars = bars

    def __call__(self, event: "Event") -> None:
        if event.name in _MEASURED:
            done, _, total = (event.facts or [""])[0].partition("/")
            if done.isdecimal() and total.isdecimal():
                self._bars.show(event.name, int(done), int(total))
            return
        for name in _MEASURED:
            self._bars.drop(name)
        if event.name in _WAITING:
            self._bars.wait(_WAITING[event.name])
        if event.name == "warning":  # this computer's own, in words
            self._bars.note(f"warning: {' '.join(event.facts)}")
        elif event.name not in _ENDINGS:
            line = _line(event)
            if event.name == "error":
                self._bars.note(line, False)
            elif event.name == "check" and event.facts[-1:] == ["ok"]:
                self._bars.note(line, True)
            else:
                self._bars.note(f"  {line}")


def _line(event: "Event") -> str:
    if event.name == "wear" and len(event.facts) == 3 and all(fact.isdecimal() for fact in event.facts):
        return _worn(*map(int, event.facts))
    return " ".join([event.name, *event.facts])


def _worn(left: int, erased: int, blocks: int) -> str:
    """What the slot took of an image, in the order in which the agent counts."""
    took = {
        f"{counted(left, 'sector')} right already": left,
        f"{counted(erased, 'sector')} erased": erased,
        f"{counted(blocks, 'block')} of 16 erased": blocks,
    }
    return f"slot: {', '.join(what for what, number in took.items() if number) or 'nothing had to be written'}"


class ServeLog:
    """`watch` of a server: a bar for each board that downloads, as long as they are few, and a line when it is through, or
    came to nothing."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._drawn: set[str] = set()

    def __call__(self, transfer: "Transfer") -> None:
        name = display.plain(f"{transfer.peer} {transfer.path}")
        if not transfer.over:
            if name in self._drawn or len(self._drawn) < _MOST_BARS:
                self._drawn.add(name)
                self._bars.show(name, transfer.done, transfer.size)
            return
        self._drawn.discard(name)
        self._bars.drop(name)
        if transfer.why:
            self._bars.note(f"{transfer.peer}: {display.plain(transfer.why)}")
            return
        if transfer.status == 304:
            self._bars.note(f"{name}: 304, as it was at the last look")
            return
        if transfer.status == 400:
            self._bars.note(f"{transfer.peer}: 400, what it asked is no HTTP")
            return
        if transfer.status == 404:
            self._bars.note(f"{name}: 404, not there")
            return
        if transfer.status == 416:
            self._bars.note(f"{name}: 416, asked for more than the {transfer.size} bytes it has")
            return
        sent = transfer.done - transfer.start
        part = f" from {transfer.start}" if transfer.start else ""
        cut = "" if transfer.done == transfer.size else ", broken off by the board"
        self._bars.note(f"{name}: {sent} bytes{part} in {transfer.seconds:.1f} s{cut}")


def show_status(found: dict[str, Any]) -> None:
    """agent.status() for a person."""
    build = found["build"] or "-"
    installed, job = found["installed"], found["job"]
    display.show(f"chip {found['chip']}  MicroPython {found['micropython']}  build {build}")
    display.show(f"installed {installed['version'] or 'unknown'} (sequence {installed['sequence']})")
    if found.get("single"):
        display.show("no two slots: application releases alone, in the directories /app-a and /app-b")
    known = found.get("trust")  # an older agent has none
    if known and known["version"] > 1:  # 1 is what `deploy` brought
        names = ", ".join(known["release"])
        display.show(f"trust document {known['version']}: {known['threshold']} of {names} must sign a release")
    display.show_table(_slots(found))
    display.show(f"last job: {job['phase']} {job['version'] or ''}".rstrip())
    if job["phase"] == "writing":
        display.show(f"  {job['offset']} of {job['size']} bytes are in flash")
    if job.get("wear"):  # an older agent does not count
        display.show(f"  {_worn(*job['wear'])}")
    if job["reason"]:
        display.failed(sentence(job["reason"], job["detail"] or ""))
    if heard := found.get("heard"):
        display.show(_heard(found, heard, datetime.now(UTC)))
    if found["trial"]:
        display.warn("a trial is running: `otactl confirm` ends it well, a reset rolls back")


def _heard(found: dict[str, Any], heard: dict[str, Any], now: datetime) -> str:
    # The newest that its channel has told; its name is known where the board has had to do with it.
    known = {one["sequence"]: one["version"] for one in (found["job"], found["installed"])}
    what = known.get(heard["sequence"]) or f"sequence {heard['sequence']}"
    published, at = (_SINCE + timedelta(seconds=heard[name]) for name in ("published", "at"))
    days = (now.date() - at.date()).days  # the board keeps no more than the day
    ago = "today" if days < 1 else f"{counted(days, 'day')} ago"
    return f"heard {what} of {published:%Y-%m-%d}, {ago}"


def in_a_line(found: dict[str, Any]) -> str:
    """The same where it is one board of many; what it runs stands beside it."""
    state = next((slot["state"] for slot in found["slots"] if slot["name"] == found["running"]), "")
    line = f"{found['chip']}, MicroPython {found['micropython']}, {found['running']} {state}".rstrip()
    job = found["job"]
    return f"{line}; {sentence(job['reason'], job['detail'] or '')}" if job["reason"] else line


def _slots(found: dict[str, Any]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("  slot", "size", "state", "holds", "is"):
        table.add_column(name, no_wrap=True)
    for slot in found["slots"]:
        marks = ", ".join(word for word in ("running", "boot", "next") if found[word] == slot["name"])
        image = slot["image"] or {}
        what = image.get("release") or image.get("built") or "no image"
        state = Text(slot["state"], _STATES.get(slot["state"], ""))
        table.add_row(f"  {slot['name']}", f"{slot['size']:#x}" if slot["size"] else "", state, Text(what), marks)
    return table
