"""A virtual board for a session: what `--board virtual` means, where no board is plugged in."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otactl.errors import UsageError

if TYPE_CHECKING:
    from vboard.board import Board as Virtual

LOOPBACK = (4, 5)  # pins with a wire between them, the output first
FEATURES = ("virtual", "wifi", "power", f"loopback:{LOOPBACK[0]}-{LOOPBACK[1]}")
SSID, PASSWORD = "virtual", "password"  # of the one network that it can join


class VirtualBoard:
    """`board`: the running one, for what only a virtual board can do (pins, a network that breaks)."""

    def __init__(self, chip: str = "", folder: Path | None = None) -> None:
        """Starts it. Raises UsageError for an unknown chip, and where there is no virtual board on this system."""
        self._scratch = tempfile.TemporaryDirectory(prefix="vboard-") if folder is None else None
        place = folder or Path(self._scratch.name if self._scratch else "")
        self.board = _made(place, chip or "esp32")
        self.board.wire(*LOOPBACK)
        self.board.power_on()

    @property
    def device(self) -> str:
        return str(self.board.port)

    def power(self) -> "Switch":
        return Switch(self.board)

    def close(self) -> None:
        self.board.close()
        if self._scratch:
            self._scratch.cleanup()


def _made(folder: Path, chip: str) -> "Virtual":
    try:
        from vboard.board import Board as Virtual
    except ImportError as error:  # Windows has no pseudo-terminals
        raise UsageError(f"no virtual board on this system ({error}): name a real one with --board") from None
    try:
        return Virtual(folder, chip=chip)
    except ValueError as error:
        raise UsageError(f"--board virtual:{chip}: {error}") from None


class Switch:
    """The power of a virtual board."""

    def __init__(self, board: Any) -> None:
        self._board = board

    def on(self) -> None:
        self._board.power_on()

    def off(self) -> None:
        self._board.power_off()

    def cycle(self) -> None:
        self.off()
        self.on()
