"""What a person sees of many boards at once: lines with the boards' names; on a terminal a row for each below them."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from otactl.board.timed import Stop
from otactl.cli import display

_BAR = 20  # columns


class Row:
    """What the thread of one board says; also a Shown, as display.Bars is for a single one. `stop`: Ctrl-C for it."""

    def __init__(self, name: str, rows: "Rows") -> None:
        self.name = name
        self.moves = rows.moves
        self.stop = Stop()
        self._rows = rows
        self._waits = Spinner("dots")
        self._measure: tuple[str, int, int] | None = None  # what, how far, of how much
        self._ended: Text | None = None

    def say(self, text: str) -> None:
        """A line."""
        self.note(text)

    def progress(self, done: int, total: int) -> None:
        """How far this board is: a bar on a terminal, nothing in a pipe."""
        self.show("", done, total)

    # --- as display.Bars ---------------------------------------------------------------------------

    def wait(self, what: str, *, counts: bool = True) -> None:
        self._waits.text = Text(display.plain(what.strip()), "dim", no_wrap=True, overflow="ellipsis")

    def show(self, name: str, done: int, total: int) -> None:
        self._measure = name, done, total

    def drop(self, name: str) -> None:
        if self._measure and self._measure[0] == name:
            self._measure = None

    def note(self, line: str, sign: bool | None = None) -> None:
        self._rows.line(self.name, line.strip(), sign)

    # --- its row -----------------------------------------------------------------------------------

    def end(self, text: str, well: bool) -> None:
        """The last word; of a reason after a colon its row has no room."""
        self._ended = display.verdict(text.partition(":")[0], well)
        self.note(text, well)

    @property
    def ended(self) -> bool:
        """Whether its last word was said."""
        return self._ended is not None

    def drawn(self) -> RenderableType:
        if self._ended:
            return self._ended
        if self._measure is None:
            return self._waits
        name, done, total = self._measure
        line = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=max(total, 1), completed=done, width=_BAR)
        line.add_row(bar, Text(f"{name} {100 * done // max(total, 1)} %".strip()))
        return line


class Rows:
    """The rows of a command, alive inside `with` on a terminal."""

    def __init__(self, names: Sequence[str], *, lines: bool = True, rows: bool = True) -> None:
        """`lines`, `rows`: without them nothing is shown, as for output that a script reads."""
        self._lines = lines
        self._width = max((len(name) for name in names), default=0)
        console = display.console()
        self.moves = console.is_terminal and not console.record and rows
        self._rows: list[Row] = []
        self._live = (
            Live(
                get_renderable=self._render,
                transient=True,
                console=console,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            if self.moves
            else None
        )

    def row(self, name: str) -> Row:
        """A new one, below those before."""
        self._rows.append(made := Row(name, self))
        return made

    def line(self, name: str, text: str, sign: bool | None) -> None:
        """A line of one board. Any thread may say one."""
        if self._lines:
            display.show_named(name.ljust(self._width), text, sign)

    def _render(self) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True, min_width=self._width)
        table.add_column(no_wrap=True, ratio=1)
        fits = len(self._rows) < display.console().height
        for row in self._rows if fits else [row for row in self._rows if not row.ended]:
            table.add_row(Text(row.name, "bold"), row.drawn())
        return table

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()
