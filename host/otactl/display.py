"""What a person sees: bars on a terminal, lines elsewhere."""

import sys
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

from otactl.serve import Transfer


class Bars:
    """Named progress bars; where output is no terminal, nothing moves and `note` still prints its lines."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._progress = Progress(
            TextColumn("  {task.description}"),
            BarColumn(bar_width=32),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            console=self._console,
            disable=not sys.stdout.isatty(),
        )
        self._tasks: dict[str, TaskID] = {}

    def show(self, name: str, done: int, total: int) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=total)
        self._progress.update(self._tasks[name], completed=done, total=total)

    def drop(self, name: str) -> None:
        if name in self._tasks:
            self._progress.remove_task(self._tasks.pop(name))

    def note(self, line: str) -> None:
        self._console.print(line, markup=False)

    def __enter__(self) -> "Bars":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()


class ServeLog:
    """`watch` of a server: a bar for each board that downloads, and a line when it is through."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars

    def __call__(self, transfer: Transfer) -> None:
        name = f"{transfer.peer} {transfer.path}"
        if not transfer.over:
            self._bars.show(name, transfer.done, transfer.size)
            return
        self._bars.drop(name)
        if transfer.status == 404:
            self._bars.note(f"{name}: 404, not there")
            return
        sent = transfer.done - transfer.start
        part = f" from {transfer.start}" if transfer.start else ""
        cut = "" if transfer.done == transfer.size else ", broken off by the board"
        self._bars.note(f"{name}: {sent} bytes{part} in {transfer.seconds:.1f} s{cut}")
