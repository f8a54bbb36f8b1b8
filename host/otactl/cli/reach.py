"""How a verb comes to its board: a link with the person's patience, whose long waits are told of."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from otactl.board import logs, ports
from otactl.board.link import Link
from otactl.cli.display import hints, remark
from otactl.cli.shown import Shown
from otactl.errors import UsageError
from otactl.workspace.roster import AUTO
from otactl.workspace.workspace import Workspace

Way = TypeVar("Way", bound=Link)
_FIRST_S = 3.0  # after the first word of a wait, which comes after two seconds
_EVERY_S = 15.0


class Waits:
    """`tell` of a link: a countdown on a terminal, in a pipe a line after five seconds, then every 15."""

    def __init__(self, bars: Shown, *, moves: bool) -> None:
        self._bars = bars
        self._moves = moves
        self._what, self._left_s, self._next = "", 0.0, 0.0

    def __call__(self, what: str, left_s: float) -> None:
        said = f"waiting {left_s:.0f} s at most for {what}"  # the number first: a narrow terminal cuts the end
        if self._moves:
            self._bars.wait(said, counts=False)
            return
        now = time.monotonic()
        if what != self._what or left_s > self._left_s:  # another wait
            self._next = now + _FIRST_S
        elif now >= self._next and hints():
            self._next = now + _EVERY_S
            self._bars.note(f"  {said}")
        self._what, self._left_s = what, left_s


@contextlib.contextmanager
def reached(board: str, slow: float, bars: Shown, *, log: Path | None = None) -> Iterator[Link]:
    """The board at its prompt. `log`: a file for its console, if that can be written. Raises RigError."""
    with reached_by(Link, board, slow, bars, log=log) as link:
        yield link


@contextlib.contextmanager
def reached_by(
    kind: Callable[..., Way], board: str, slow: float, bars: Shown, *, log: Path | None = None
) -> Iterator[Way]:
    """The same by a link of another kind."""
    bars.wait("waiting for the board")
    with contextlib.ExitStack() as opened:
        tap = logs.Journal(opened.enter_context(logs.Aside(log, bars.note))) if log else None
        link = kind(board, slow=slow, tell=Waits(bars, moves=bars.moves), tap=tap, stop=bars.stop)
        say_which(board, link.path)
        opened.enter_context(link)
        yield link


def say_which(board: str, path: str) -> None:
    """On stderr, where `auto` took one of several boards without a question."""
    if board == AUTO and len(there := ports.on_usb()) > 1:
        remark(f"{len(there)} boards are plugged in: took {path}; name one, to be sure")


def update_log(workspace: Path | None, board: str) -> Path | None:
    """Where the console of an update is kept: in the workspace named, or the current folder's if it is in one.

    `board`: its name. Raises UsageError.
    """
    try:
        found = Workspace.find(workspace or Path())
    except UsageError:
        if workspace is not None:
            raise
        return None
    return logs.of_update(found.root, board)
