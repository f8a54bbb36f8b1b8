"""What a way to a board says meanwhile: to the bars of one board (display.Bars), or to one row of many (rows.Row)."""

from typing import Protocol

from otactl.board.timed import Stop


class Shown(Protocol):
    """What is said while one waits for a board. `moves`: whether anything but lines is seen. `stop`: Ctrl-C, in a thread."""

    @property
    def moves(self) -> bool: ...

    @property
    def stop(self) -> Stop | None: ...

    def wait(self, what: str, *, counts: bool = True) -> None: ...

    def show(self, name: str, done: int, total: int) -> None: ...

    def drop(self, name: str) -> None: ...

    def note(self, line: str, sign: bool | None = None) -> None: ...
