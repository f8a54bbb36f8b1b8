"""The ways to restart a board, by name, and waiting for the restart that follows."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from otactl.errors import BoardError, UsageError

from otactl_pytest import reboots
from otactl_pytest.power import cycle
from otactl_pytest.reboots import Reboot

if TYPE_CHECKING:
    from otactl_pytest.board import Board


def _soft(board: "Board") -> None:
    board.to_prompt()
    board.console.mark()
    board.run_program()


def _hard(board: "Board") -> None:
    board.to_prompt()
    board.console.mark()
    board.link.start("import machine\nmachine.reset()")
    board.link.let_go()


def _lines(board: "Board") -> None:
    board.console.mark()
    board.link.pulse()


def _power(board: "Board") -> None:
    if board.power is None:
        raise UsageError(f"{board.name} has no power switch: name it with --board-power, or in boards.toml")
    board.console.mark()
    cycle(board.power)
    board.link.let_go()


WAYS: dict[str, Callable[["Board"], None]] = {"soft": _soft, "hard": _hard, "lines": _lines, "power": _power}


def reset(board: "Board", kind: str) -> None:
    """Raises UsageError for a kind that is none of WAYS, RigError."""
    if kind not in WAYS:
        raise UsageError(f"no reset {kind!r}: one of {', '.join(WAYS)}")
    board.console.note(f"{kind} reset")
    WAYS[kind](board)


def expect(board: "Board", cause: str | None, timeout: float) -> Reboot:
    """Raises BoardError where no reboot comes in time or its cause is another, UsageError for a cause that there is not."""
    if cause is not None and cause not in reboots.CAUSES:
        raise UsageError(f"no cause {cause!r}: one of {', '.join(reboots.CAUSES)}")
    board.link.let_go()
    told = reboots.next_one(board.console, timeout)
    if told is None:
        raise BoardError(f"the board did not reboot within {timeout * board.slow:g} s")
    if cause not in (None, told.cause):
        raise BoardError(f"the board rebooted, but by {told.cause or told.rom}, not by {cause}")
    return told
