"""Boards that are plugged in one after the other: which ports are new, and which may be taken."""

import glob
import os
from collections.abc import Sequence

from serial.tools import list_ports

_MAKERS = {  # of what an ESP32 board has at its USB port; a phone, a modem or a printer is none of them
    0x303A: "Espressif",
    0x10C4: "Silicon Labs",  # CP210x
    0x1A86: "WCH",  # CH340, CH9102
    0x0403: "FTDI",
    0x067B: "Prolific",
}


class Arrivals:
    """Ports by where they are: the socket of a USB port, which stays through resets, else the path.

    A port is new when it was there at two looks in a row: what was just plugged in is not ready, nor readable, at once.
    It is new again once it was away, but not while it is at work: USB in the chip itself goes away with each reset.
    Without a pattern, what is there at the first look is left alone until it was away: nobody has named it.
    """

    def __init__(self, words: Sequence[str]) -> None:
        """`words`: patterns of paths, such as '/dev/ttyUSB*'; none means every USB port that a board may be at."""
        self._words = list(words)
        self.left_alone = {} if self._words else self._present()
        self._fresh: set[str] = set()
        self._known = set(self.left_alone)
        self._at_work: set[str] = set()

    def look(self) -> list[tuple[str, str]]:
        """(key, path) of the ports that are new at this look; they are at work until `done`."""
        there = self._present()
        self._known &= there.keys() | self._at_work
        new = [key for key in there if key in self._fresh and key not in self._known]
        self._fresh = there.keys() - self._known
        self._known |= set(new)
        self._at_work |= set(new)
        return [(key, there[key]) for key in new]

    def done(self, key: str) -> None:
        """The port is at work no more: unplugged and plugged in, it is new."""
        self._at_work.discard(key)

    def _present(self) -> dict[str, str]:
        if self._words:
            paths = {path for word in self._words for path in glob.glob(word) if os.path.exists(path)}
            return {path: path for path in sorted(paths)}
        usb = [port for port in list_ports.comports() if port.vid in _MAKERS]
        return {port.location or port.device: port.device for port in usb}
