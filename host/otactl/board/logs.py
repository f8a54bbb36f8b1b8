"""A board's console with the times of this machine: for `otactl logs`, and kept in the workspace while an update runs."""

import contextlib
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from otactl.board import panic
from otactl.board.console import Console

KEPT = 20  # logs of a board
_DATED = f"-{'[0-9]' * 8}-{'[0-9]' * 6}.log"
_POLL_S = 1.0

Out = Callable[[str], None]


class Journal:
    """Console lines, each with its time, and a line more where one tells of a crash or a new day begins."""

    def __init__(self, *outs: Out) -> None:
        self._outs = outs
        self._day = datetime.now().date()

    def __call__(self, line: str) -> None:
        now = datetime.now()
        if now.date() != self._day:
            self._day = now.date()
            self._say(f"--- {self._day}")
        self._say(f"{now:%H:%M:%S} {''.join(c if c.isprintable() or c == chr(9) else '?' for c in line)}")
        if told := panic.explain(line):
            self._say(f"{now:%H:%M:%S} ^ {told}")

    def _say(self, line: str) -> None:
        for out in self._outs:
            out(line)


class LogFile:
    """A file that takes lines, each on disk before the next; one that got none is not left. Raises OSError with the path."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("ab", buffering=0)

    def __call__(self, line: str) -> None:
        try:
            self._file.write(f"{line}\n".encode())
        except OSError as error:  # no space left: what the system says of a handle names no file
            error.filename = str(self.path)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        with contextlib.suppress(OSError):
            if not self.path.stat().st_size:
                self.path.unlink()


class Aside:
    """The same of an update, which does not hang on it: where it cannot be written `tell` gets a line, and that is all."""

    def __init__(self, path: Path, tell: Out) -> None:
        self._path, self._tell = path, tell
        self._opened = contextlib.ExitStack()
        self._file: LogFile | None = None
        with self._spared():
            self._file = self._opened.enter_context(LogFile(path))

    def __call__(self, line: str) -> None:
        with self._spared():
            if self._file:
                self._file(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    @contextlib.contextmanager
    def _spared(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._file = None
            self._tell(f"warning: {self._path}: {error.strerror}; what the board says is not kept")


def watch(console: Console, journal: Journal) -> NoReturn:
    """Pass on what the board says, through resets and unplugging, until Ctrl-C; the program is not interrupted."""
    gone = False
    while True:
        line = console.line(_POLL_S)
        if console.gone != gone:
            gone = console.gone
            journal("--- the port is gone; waiting for it" if gone else "--- the port is back")
        if line is not None:
            journal(line)


def of_update(workspace: Path, board: str) -> Path:
    """Where the log of an update of today goes, BOARD-DATE.log; all but that board's newest KEPT - 1 make room.

    `board`: its name, or its device.
    """
    folder = workspace / ".otactl" / "logs"
    name = re.sub(r"[^A-Za-z0-9.]+", "-", board.removeprefix("/dev/")).strip("-.") or "board"
    with contextlib.suppress(OSError):  # who opens it tells why it cannot be written
        folder.mkdir(parents=True, exist_ok=True)
        old = sorted(folder.glob(f"{name}{_DATED}"), key=lambda path: path.stat().st_mtime)
        for path in old[: max(0, len(old) - KEPT + 1)]:
            path.unlink(missing_ok=True)
    return folder / f"{name}-{datetime.now():%Y%m%d-%H%M%S}.log"
