"""A board in download mode: what brings it there, what the host says to it meanwhile, what brings it out again."""

from collections.abc import Callable

from vboard.chips import Chip
from vboard.flash.nor import Flash
from vboard.loader.loader import SYNC_FRAME, Loader


class Download:
    """`send` gets what the loader says."""

    def __init__(self, chip: Chip, flash: Flash, mac: bytes, send: Callable[[bytes], None]) -> None:
        self._chip, self._flash, self._mac, self._send = chip, flash, mac, send
        self._loader: Loader | None = None
        self._typed = b""
        self._called = False

    @property
    def active(self) -> bool:
        return self._loader is not None

    def begin(self, *, called: bool = False) -> None:
        """The chip has come up in the loader. `called`: by SYNC on a terminal, which stands for the modem lines."""
        self._loader = Loader(self._chip, self._flash, self._mac, self._send)
        self._called = called

    def end(self) -> None:
        self._loader, self._typed = None, b""

    def is_called(self, typed: bytes) -> bool:
        """Whether the host has just sent SYNC to a chip that is not in the loader."""
        self._typed = (self._typed + typed)[-len(SYNC_FRAME) - 4096 :]
        if SYNC_FRAME not in self._typed:
            self._typed = self._typed[-len(SYNC_FRAME) :]
            return False
        self._typed = b""
        return True

    def take(self, data: bytes) -> None:
        """What the host sent. May raise PowerLost."""
        assert self._loader
        self._loader.take(data)

    @property
    def over(self) -> bool:
        """Whether the chip leaves for its flash."""
        return bool(self._loader and self._loader.over)

    @property
    def watchdog_set(self) -> bool:
        """Whether the host has armed the watchdog, to be reset by it."""
        return bool(self._loader and self._loader.watchdog_set)

    def left_by_closing(self) -> bool:
        """Whether the host's closing the terminal ends it: on a wire its lines would have reset the chip."""
        return self.active and self._called
