"""The two transistors between a serial adapter and the chip: DTR and RTS hold EN and IO0 low.

RTS alone holds the chip in reset (EN), DTR alone selects download mode (IO0), both together neither: so nothing happens
when a host opens a port. EN has a capacitor: it rises slowly, and a host that goes from RTS to DTR through both is in
time for IO0. Here that time is until RTS is let go, however long it takes over a network.
"""

from typing import Literal

Event = Literal["hold", "run", "download"]


class Lines:
    """The lines as the host has set them, True where asserted."""

    def __init__(self) -> None:
        self.dtr = self.rts = False
        self._held = False

    def set(self, *, dtr: bool, rts: bool) -> Event | None:
        """What this does to the chip: nothing, held in reset, started into flash or into the loader."""
        let_go = self.rts and not rts
        self.dtr, self.rts = dtr, rts
        if rts and not dtr and not self._held:
            self._held = True
            return "hold"
        if self._held and let_go:
            self._held = False
            return "download" if dtr else "run"
        return None
