"""What comes in over a board's serial ports, and where it goes: to the program, or to the ROM loader.

How a board gets into the loader: by the modem lines of its network port, by its buttons, and on a terminal, which has
no modem lines, by esptool's SYNC. life.py says what runs otherwise.
"""

import time
from pathlib import Path

from vboard import factory
from vboard.chip import esp8266, rom
from vboard.chip.kept import Rtc
from vboard.flash.nor import Flash, PowerLost
from vboard.link.ports import Ports
from vboard.link.uart import Line
from vboard.loader.download import Download
from vboard.loader.lines import Lines
from vboard.loader.loader import SYNC_FRAME
from vboard.loader.roms import ROMS
from vboard.loop import Loop
from vboard.settings import Settings


class Wired(Loop):
    """The serial ports and the loader of a board; `_powered` is whether there is anybody to answer."""

    def __init__(self, folder: Path, settings: Settings, flash: Flash) -> None:
        super().__init__(folder / "console.log")
        self.settings = settings
        self.chip = settings.chip
        self.flash = flash
        self.rtc = Rtc.at_power_on()
        self.port = folder / "port"
        self._mac = factory.mac(folder)
        self._ports = Ports(
            self.port,
            settings.network_port,
            self._selector,
            on_data=self._from_host,
            on_closed=self._closed,
            on_lines=self._lines_set,
        )
        ends = (self._type, self._ports.write)  # of the lines to the chip, and from it
        self._uart = [Line(settings.baud, end) for end in ends] if settings.baud else []
        self._lines = Lines()
        self._download = Download(self.chip, flash, self._mac, self._ports.write)
        self._powered = False

    # --- what life.py does ----------------------------------------------------------------------------------------

    def power_off(self) -> None:
        raise NotImplementedError

    def _halt(self) -> None:
        """The chip is held in reset: nothing runs and nothing is planned, RTC and clock are as new."""
        raise NotImplementedError

    def _restart(self) -> None:
        """A reset by EN, into flash."""
        raise NotImplementedError

    def _press(self) -> None:
        """A reset by the reset pin, into flash."""
        raise NotImplementedError

    def _bite_soon(self) -> None:
        """The RTC's watchdog resets the chip when its time is up."""
        raise NotImplementedError

    def _type(self, data: bytes) -> None:
        """What the host typed, to the program."""
        raise NotImplementedError

    # --------------------------------------------------------------------------------------------------------------

    def _emit(self, data: bytes) -> None:
        self._show(data)
        if self._uart:
            self._uart[1].put(data, time.monotonic())
        else:
            self._ports.write(data)

    def _emit_lines(self, lines: list[str]) -> None:
        for line in lines:
            self._emit(line.encode() + b"\r\n")

    def _from_host(self, data: bytes, has_lines: bool) -> None:
        called = self._powered and not has_lines and not self._download.active and self.chip.name in ROMS
        if called and self._download.is_called(data):
            self._enter_loader(called=True)
            data = SYNC_FRAME
        if self._download.active:
            self._to_loader(data)
        elif self._uart:
            self._uart[0].put(data, time.monotonic())
        else:
            self._type(data)

    def _enter_loader(self, *, called: bool = False) -> None:
        """A reset with the boot pin held low; `called` by SYNC."""
        self._halt()
        self._powered = True
        if self.chip.name not in ROMS:  # its loader is not there: it waits, and answers nobody
            self._emit(esp8266.download_banner())
            return
        banner = rom.download_banner(self.chip.name, ROMS[self.chip.name].download)
        if called:
            self._show(banner)  # on the port it would stand before the answer to the SYNC that is here already
        else:
            self._emit(banner)
        self._download.begin(called=called)

    def _to_loader(self, data: bytes) -> None:
        try:
            self._download.take(data)
        except PowerLost:
            self.power_off()
            return
        if self._download.over:
            self._restart()
        elif self._download.watchdog_set:
            self._bite_soon()

    def _closed(self) -> None:
        if self._download.left_by_closing():
            self._restart()

    def _lines_set(self, dtr: bool, rts: bool) -> None:
        event = self._lines.set(dtr=dtr, rts=rts)
        if not self._powered:
            return
        if event == "hold":
            self._halt()
        elif event == "run":
            self._press()
        elif event == "download":
            self._enter_loader()
