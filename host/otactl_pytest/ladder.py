"""Bringing back a board that does not answer: from the mildest means to the hardest, until the preflight holds."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from otactl.errors import OtactlError, RigError

from otactl_pytest.power import cycle
from otactl_pytest.preflight import Expected, WrongTarget, same_chip, same_mac

if TYPE_CHECKING:
    from otactl_pytest.board import Board

SHORT_S = 8.0  # it was waited for already
LONG_S = 40.0  # it has just started, and its program may begin with a long call
_STARTS_S = 2.0  # from power or EN to a MicroPython that hears Ctrl-C


@dataclass(frozen=True, slots=True)
class Means:
    """What a rig has beyond a port.

    `image`: a whole flash to write back, None where there is none. `expected`: the board that it may be written to.
    """

    image: Path | None = None
    expected: Expected = field(default_factory=Expected)


class Loader(Protocol):
    """What a board's ROM loader tells: otactl.board.slots_rom.RomSource."""

    chip: str

    @property
    def mac(self) -> str: ...

    @property
    def locked(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Rung:
    """`climb` does one thing; it raises RigError where it cannot be done, and says why.

    `answers_s`: how long the board may take to its prompt afterwards.
    """

    name: str
    climb: Callable[["Board", Means], None]
    answers_s: float


def _interrupt(board: "Board", _: Means) -> None:
    board.link.interrupt()


def _soft_reset(board: "Board", _: Means) -> None:
    board.link.enter_repl(within_s=SHORT_S)


def _open_again(board: "Board", _: Means) -> None:
    board.reopen()


def _lines(board: "Board", _: Means) -> None:
    board.link.pulse()
    time.sleep(_STARTS_S * board.slow)


def _power(board: "Board", _: Means) -> None:
    if board.power is None:
        raise RigError("there is no power switch (--board-power)")
    cycle(board.power)
    time.sleep(_STARTS_S * board.slow)
    board.reopen()


def _reflash(board: "Board", means: Means) -> None:
    if means.image is None:
        raise RigError("there is no image to write back (--board-reflash)")
    from otactl.board.slots_rom import RomSource

    data = means.image.read_bytes()
    with board.lent(), RomSource(board.device) as source:
        require_ours(source, means.expected)
        if len(data) > source.flash_size:
            raise RigError(f"{means.image} has {len(data)} bytes, the flash {source.flash_size}")
        source.write(0, data)
    time.sleep(_STARTS_S * board.slow)


def require_ours(source: "Loader", expected: Expected) -> None:
    """What the loader itself says. Raises WrongTarget for another board; RigError for one that would start nothing."""
    if expected.chip and not same_chip(source.chip, expected.chip):
        raise WrongTarget(f"wrong target: its loader is that of an {source.chip}, not of an {expected.chip}")
    if expected.mac and not same_mac(source.mac, expected.mac):
        raise WrongTarget(f"wrong target: its loader says {source.mac}, not {expected.mac}")
    if source.locked:
        raise RigError(f"{source.locked}: it would not start what is written to it")


RUNGS = (
    Rung("Ctrl-C", _interrupt, SHORT_S),
    Rung("soft reset", _soft_reset, SHORT_S),
    Rung("port opened anew", _open_again, SHORT_S),
    Rung("reset by DTR and RTS", _lines, LONG_S),
    Rung("power cycle", _power, LONG_S),
    Rung("reflash", _reflash, LONG_S),
)


def climb(
    board: "Board", holds: Callable[[float], object], means: Means, rungs: tuple[Rung, ...] = RUNGS
) -> tuple[str, ...]:
    """Rung by rung until `holds` (the preflight, within so many seconds) raises nothing; what was tried, in words, each noted in the board's console too.

    Raises RigError with all of it where the last rung did not help, WrongTarget at once where another board answers.
    """
    tried: list[str] = []
    for rung in rungs:
        why = _try(board, rung, holds, means)
        board.console.note(f"ladder: {rung.name}: {why or 'the board is back'}")
        tried.append(f"{rung.name}: {why.partition(': ')[0] or 'the board is back'}")  # without the advice
        if not why:
            return tuple(tried)
    raise RigError(f"{board.name} does not come back ({'; '.join(tried)})")


def _try(board: "Board", rung: Rung, holds: Callable[[float], object], means: Means) -> str:
    """Why a rung did not help; empty where it did."""
    try:
        rung.climb(board, means)
        holds(rung.answers_s)
    except WrongTarget:
        raise
    except (OtactlError, OSError) as error:
        return str(error)
    return ""
