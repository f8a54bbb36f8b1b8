"""What a person sees: bars on a terminal, lines elsewhere."""

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TransferSpeedColumn,
)

from otactl.board.codes import sentence

if TYPE_CHECKING:
    from otactl.board.follow import Event
    from otactl.server.files import Transfer

_MEASURED = ("download", "verify")
_ENDINGS = ("refused", "up-to-date", "confirmed", "rolled-back")  # the command says these itself


class Bars:
    """Named progress bars; where output is no terminal none moves, and `note` still prints."""

    def __init__(self, *, quiet: bool = False) -> None:
        """`quiet`: nothing at all, for output that a script reads."""
        self._console = Console(highlight=False, soft_wrap=True, quiet=quiet)
        self.moves = not quiet and sys.stdout.isatty()
        self._progress = Progress(
            TextColumn("  {task.description}", markup=False),
            BarColumn(bar_width=32),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            console=self._console,
            disable=not self.moves,
        )
        self._tasks: dict[str, TaskID] = {}
        self._waiting: TaskID | None = None

    def wait(self, what: str) -> None:
        """Say what is waited for, until the next bar or line."""
        if self._waiting is None:
            self._waiting = self._progress.add_task(what, total=None)
        self._progress.update(self._waiting, description=what)

    def _came(self) -> None:
        if self._waiting is not None:
            self._progress.remove_task(self._waiting)
            self._waiting = None

    def show(self, name: str, done: int, total: int) -> None:
        """Move the bar `name`, which appears with its first value."""
        self._came()
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=total)
        self._progress.update(self._tasks[name], completed=done, total=total)

    def drop(self, name: str) -> None:
        """Take the bar `name` away, if there is one."""
        if name in self._tasks:
            self._progress.remove_task(self._tasks.pop(name))

    def note(self, line: str) -> None:
        """A line above the bars; what strangers asked for, or a board said, moves no cursor."""
        self._came()
        self._console.print("".join(c if c.isprintable() else "?" for c in line), markup=False)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._came()
        self._progress.stop()


class ServeLog:
    """`watch` of a server: a bar for each board that downloads, and a line when it is through."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars

    def __call__(self, transfer: "Transfer") -> None:
        name = f"{transfer.peer} {transfer.path}"
        if not transfer.over:
            self._bars.show(name, transfer.done, transfer.size)
            return
        self._bars.drop(name)
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


class BoardWatch:
    """A board's events: bars for what has a measure, lines for the rest."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars

    def __call__(self, event: "Event") -> None:
        if event.name in _MEASURED:
            done, _, total = (event.facts or [""])[0].partition("/")
            if done.isdecimal() and total.isdecimal():
                self._bars.show(event.name, int(done), int(total))
        elif event.name not in _ENDINGS:
            self._bars.note("  " + " ".join([event.name, *event.facts]))


def status_lines(found: dict[str, Any]) -> list[str]:
    """agent.status() for a person."""
    build = found["build"] or "-"
    lines = [f"chip {found['chip']}  MicroPython {found['micropython']}  build {build}"]
    installed, job = found["installed"], found["job"]
    lines.append(f"installed {installed['version'] or 'unknown'} (sequence {installed['sequence']})")
    for slot in found["slots"]:
        marks = " ".join(word for word in ("running", "boot", "next") if found[word] == slot["name"])
        image = slot["image"] or {}
        what = image.get("release") or image.get("built") or "no image"
        line = f"  {slot['name']:7} {slot['size']:#9x} {slot['state']:9} {what:22} {marks}"
        lines.append(line.rstrip())
    lines.append(f"last job: {job['phase']} {job['version'] or ''}".rstrip())
    if job["phase"] == "writing":
        lines.append(f"  {job['offset']} of {job['size']} bytes are in flash")
    if job["reason"]:
        lines.append(f"  {sentence(job['reason'], job['detail'] or '')}")
    if found["trial"]:
        lines.append("a trial is running: `otactl confirm` ends it well, a reset rolls back")
    return lines
