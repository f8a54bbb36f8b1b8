"""What a person sees: colours, bars and spinners on a terminal, plain lines elsewhere.

Every verb prints through here, so that the demo can take a picture of it (picture.py).
"""

import contextlib
import io
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text
from rich.theme import Theme

from otactl.cli import told
from otactl.cli.waiting import Waiting

_ATTENTION = "black on yellow"  # yellow alone cannot be read on a light ground
_DONE, _FAILED, _NOTED = ("✓", "bold green"), ("✗", "bold red"), ("!", _ATTENTION)
_IN_ASCII = {"✓": "+", "✗": "x"}  # for what can show no other signs
_WIDEST = 1000

_THEME = Theme({"progress.download": "none", "progress.data.speed": "dim"})  # red is for what failed


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError  # for run.py, as from any other print


class _Screen:
    """Where it all goes. `hints`: whether the next thing to type is told."""

    def __init__(self) -> None:
        self.console: Console = _Console(highlight=False, theme=_THEME)
        self.hints = True


_screen = _Screen()


def console() -> Console:
    """The one console of the command's output."""
    return _screen.console


def plain(text: str) -> str:
    """What strangers asked for, or a board said, moves no cursor."""
    return "".join(c if c.isprintable() else "?" for c in text)


def short(path: Path) -> Path:
    """From the current folder, where it lies in there."""
    with contextlib.suppress(ValueError):
        return path.relative_to(Path.cwd())
    return path


def show(line: str | Text) -> None:
    """Print a line: as it is in a pipe, however long; wrapped at words on a terminal, as far in as it begins."""
    screen = _screen.console
    if isinstance(line, str):
        line = told.as_typed(line)
    if not screen.is_terminal:
        screen.print(line, soft_wrap=True, markup=False)
        return
    text = line if isinstance(line, Text) else Text(line)
    depth = len(text.plain) - len(text.plain.lstrip(" "))
    screen.print(Padding(text[depth:], (0, 0, 0, depth), expand=False), markup=False)


def show_table(table: Table) -> None:
    """A table; in a pipe as wide as it is, and without blanks at the ends of its lines."""
    for column in table.columns:
        column.overflow = "fold"  # a path or a digest that is cut is of no use
    show_page(table)


def show_page(page: RenderableType) -> None:
    """The same for several things under one another."""
    if _screen.console.is_terminal:
        _screen.console.print(page)
        return
    wide = Console(file=io.StringIO(), width=_WIDEST, highlight=False)  # a pipe's own console has 80 columns
    with wide.capture() as drawn:
        wide.print(page)
    for line in drawn.get().splitlines():
        show(line.rstrip())


def done(text: str) -> None:
    """A verdict: it is as it was asked for."""
    _signed(_DONE, text)


def failed(text: str) -> None:
    """A verdict: it is not."""
    _signed(_FAILED, text)


def warn(text: str) -> None:
    """What the person should do something about."""
    _signed(_NOTED, text)


def follow_up(words: str, why: str = "") -> None:
    """The next thing to type, as told.py completes it: a command's last line, which nothing wraps. On a terminal without room
    for `why` beside it that stands below."""
    if not _screen.hints:
        return
    screen, line = _screen.console, Text.assemble("  next: ", (f"otactl {told.completed(words)}", "bold"))
    beside = Text(f"  # {told.as_typed(why)}" if why else "", "dim")
    fits = not screen.is_terminal or line.cell_len + beside.cell_len <= screen.width
    screen.print(line + beside if fits else line, soft_wrap=True)
    if not fits:
        show(Text("  ") + beside)


def type_this(line: str) -> None:
    """What mends the verdict above it: a command line, which nothing wraps."""
    _screen.console.print(Text.assemble("    ", (plain(line), "bold")), soft_wrap=True)


def complain(error: str) -> None:
    """The command's one line on stderr."""
    line = Text.assemble(("otactl:", "bold red"), f" {plain(error)}")
    console = Console(stderr=True, highlight=False)
    console.print(line, soft_wrap=not console.is_terminal)


def remark(text: str) -> None:
    """A line on stderr that is no failure."""
    Console(stderr=True, highlight=False).print(Text(f"otactl: {plain(text)}"), soft_wrap=True)


def verdict(text: str, well: bool) -> Text:
    """A line that begins with the sign for it."""
    mark, style = _DONE if well else _FAILED
    return Text.assemble((_shown(mark), style), f" {plain(text)}")


def show_named(name: str, text: str, sign: bool | None = None) -> None:
    """A line of one board of several; `sign` as Bars.note has it. On a terminal what is wrapped stands under the text."""
    text = told.as_typed(text, name)
    line = Text(plain(text)) if sign is None else verdict(text, sign)
    if not _screen.console.is_terminal:
        show(Text(f"{name}  ") + line)
        return
    row = Table.grid(padding=(0, 2))
    row.add_column(no_wrap=True)
    row.add_column(overflow="fold")
    row.add_row(Text(name, "bold"), line)
    _screen.console.print(row)


def _shown(sign: str) -> str:
    return sign if _screen.console.encoding.startswith("utf") else _IN_ASCII.get(sign, sign)


def _signed(mark: tuple[str, str], text: str) -> None:
    sign, style = _shown(mark[0]), mark[1]
    screen = _screen.console
    for line in told.as_typed(text).splitlines():
        if screen.is_terminal:  # what is wrapped stands under the text, not under the sign
            row = Table.grid(padding=(0, 1))
            row.add_row(Text(sign, style), Text(plain(line), overflow="fold"))
            screen.print(row)
        else:
            show(f"{sign} {plain(line)}")
        sign = " "


class Bars:
    """Named progress bars and a spinner; where output is no terminal none moves, and `note` still prints."""

    stop = None  # Ctrl-C comes to the main thread by itself

    def __init__(self, *, quiet: bool = False) -> None:
        """`quiet`: nothing at all, for output that a script reads."""
        self._quiet = quiet
        self._tasks: dict[str, TaskID] = {}
        still = quiet or _screen.console.record or _screen.console.is_dumb_terminal
        self.moves = _screen.console.is_terminal and not still
        self._progress = Progress(
            TextColumn("  {task.description}", markup=False),
            BarColumn(bar_width=32),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=_screen.console,
        )
        self._spinner: Waiting | None = None
        self._live = (
            Live(
                get_renderable=self._render,
                transient=True,
                console=console(),
                redirect_stdout=False,
                redirect_stderr=False,
            )
            if self.moves
            else None
        )

    def _render(self) -> RenderableType:
        waiting = [self._spinner] if self._spinner and not self._tasks else []
        return Group(*([self._progress] if self._tasks else []), *waiting)

    def wait(self, what: str, *, counts: bool = True) -> None:
        """Let the spinner say what is waited for; `counts`: and for how long already, where `what` does not say it."""
        self._spinner = Waiting(plain(what), time.monotonic() if counts else None)

    def _came(self) -> None:
        if self._spinner and not self._spinner.counts:
            self._spinner = None

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

    def note(self, line: str, sign: bool | None = None) -> None:
        """A line above the bars; `sign`: it says that something went well, or did not."""
        self._came()
        if self._quiet:
            return
        if sign is None:
            line = told.as_typed(plain(line))
            show(Text.assemble(("warning:", _ATTENTION), line[8:]) if line.startswith("warning:") else line)
        else:
            _signed(_DONE if sign else _FAILED, line)

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.stop()


def hints() -> bool:
    """Whether the person is told what to do next, and what is waited for."""
    return _screen.hints


@contextlib.contextmanager
def without_hints() -> Iterator[None]:
    """For a story that types the next thing itself, and is the same each time: waits are not told of either."""
    before, _screen.hints = _screen.hints, False
    try:
        yield
    finally:
        _screen.hints = before


@contextlib.contextmanager
def onto(console: Console) -> Iterator[None]:
    """Print to another console meanwhile."""
    before, _screen.console = _screen.console, console
    try:
        yield
    finally:
        _screen.console = before
