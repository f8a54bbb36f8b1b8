"""A virtual board: flash file, boot loader, MicroPython process and serial port.

    with Board(folder, chip="esp32", layout="ota", app=image) as board:
        board.power_on()
        ... drive board.port with mpremote ...

This module is what a person does to a board and sees of it; what runs meanwhile is life.py.
"""

from datetime import datetime
from pathlib import Path

from vboard import factory, portlink
from vboard import folder as folders
from vboard.boots import Boot
from vboard.chip.kept import PWRON
from vboard.chips import BOARDS
from vboard.flash.table import Table
from vboard.life import Life
from vboard.link.network import Network
from vboard.settings import Settings

__all__ = ["Board", "Boot"]


class Board(Life):
    """`folder` keeps flash.bin, console.log and `port`, a link to a terminal. Several boards may run at once."""

    def __init__(
        self,
        folder: Path,
        *,
        chip: str = "esp32",
        layout: str | Table = "ota",
        flash_mib: int | None = None,
        app: bytes | None = None,
        blank: bool = False,
        full_flash: bytes | None = None,
        heap_kib: int | None = None,
        idf_heap_kib: int | None = None,
        network: Network | None = None,
        micropython: str = "1.26.1",
        rollback: bool = True,
        real_time: bool = False,
        watchdog_factor: float = 1.0,
        network_port: int | None = None,
        baud: int | None = None,
    ) -> None:
        """A folder without a flash file gets a new one: bootloader, the table, `app` in its first app slot.

        `blank`: nothing but FF instead, as a module comes from its factory. `full_flash`: a firmware file from the
        bootloader on instead, as micropython.org has them; `layout` counts for neither. `flash_mib`: None takes the file's size, or the smallest that holds the layout and files. `heap_kib`: what a
        program has, None as the chip does (chips.py). `idf_heap_kib`: what the IDF heap has at the start, None as a stock board (chip/heap.py).
        `micropython`: the version that an image without a word of its own claims. `rollback`: False plays a bootloader
        from before v1.21 (facts 6.5), whatever lies in flash; True leaves it to what lies there. `real_time`: flash operations take a chip's time. `watchdog_factor`: the task
        watchdog bites after its time divided by this. `network_port`: a TCP port of this machine (0: any) for the
        serial port with its modem lines, by RFC 2217; `url` says where. `baud`: the program's console is a UART of that
        speed (link/uart.py), None for one that is as fast as it goes and loses nothing.

        Raises ValueError for an unknown chip or layout, TableError for a table or an app that does not fit, Refused (a
        ValueError) where another board runs in the folder, or its `port` is a file of somebody's, OSError for a network
        port that is taken.
        """
        if chip not in BOARDS:
            raise ValueError(f"unknown chip {chip!r}: one of {', '.join(BOARDS)}")
        settings = Settings(
            chip=BOARDS[chip],
            heap_kib=heap_kib or BOARDS[chip].heap_kib,
            micropython=micropython,
            rollback=rollback,
            idf_heap_kib=idf_heap_kib,
            real_time=real_time,
            watchdog_factor=watchdog_factor,
            network_port=network_port,
            baud=baud,
        )
        size = None if flash_mib is None else flash_mib << 20
        self._claim = folders.claim(folder)
        try:
            portlink.check(folder / "port")
            flash = factory.flash(
                folder / folders.FLASH,
                settings.chip,
                layout,
                size,
                app,
                blank=blank,
                full_flash=full_flash,
                rollback=rollback,
                micropython=micropython,
            )
            super().__init__(folder, settings, flash, network or Network())
        except BaseException:
            self._claim.release()
            raise

    def close(self) -> None:
        super().close()
        self._claim.release()

    # --- what a person does to a board ----------------------------------------------------------------------------

    def power_on(self) -> None:
        """Power comes: RAM, RTC and RTC memory are as new."""
        with self._lock:
            self._restart()

    def reset(self, cause: int = PWRON) -> None:
        """The reset button, or another cause.

        The button pulls EN low: the whole chip is off then, RTC clock and memory with it, and what comes up reads
        as power-on (IDF calls it chip reset). Another cause leaves the RTC alone.
        """
        with self._lock:
            if cause == PWRON:
                self._press()
                return
            self._stop()
            self._plan(cause)

    def download_mode(self) -> None:
        """The reset button, with the boot button held: the ROM loader waits for esptool until the next reset."""
        with self._lock:
            self._enter_loader()

    def set_pin(self, pin: int, level: int | None) -> None:
        """Hold an input at a level; None lets go of it."""
        with self._lock:
            if level is None:
                self.pins.held.pop(pin, None)
            else:
                self.pins.held[pin] = level

    def wire(self, out: int, into: int) -> None:
        """A wire from one pin to another: what the program drives at `out` is what `into` reads."""
        with self._lock:
            self.pins.wires[into] = out

    def set_clock(self, when: datetime) -> None:
        with self._lock:
            self.rtc.set(when)

    def drop_wifi(self, for_s: float) -> None:
        """The link breaks; connections over it are dead, the board finds the network again after `for_s` seconds."""
        with self._lock:
            self._links.station.drop(for_s)

    def program(self, offset: int, data: bytes) -> None:
        """Write flash over the serial bootloader, as `esptool write-flash` does. The board should be off."""
        with self._lock:
            factory.program(self.flash, offset, data)

    # --- what a person sees ---------------------------------------------------------------------------------------

    @property
    def url(self) -> str | None:
        """Where the serial port is on the network, with its modem lines, as esptool and pyserial take it."""
        return self._ports.url

    @property
    def in_loader(self) -> bool:
        """Whether the chip is in the ROM loader, or in a stub that came through it."""
        with self._lock:
            return self._download.active

    @property
    def slot(self) -> str | None:
        """The label of the partition that runs; None while nothing does."""
        with self._lock:
            return self.soc.row.label if self.soc else None

    def wait_boots(self, count: int, timeout_s: float = 20) -> Boot:
        """Until the board has booted `count` times in all; gives that boot."""
        self.wait(lambda: len(self.boots) >= count, timeout_s, f"boot number {count}")
        return self.boots[count - 1]

    def wait_repl(self, timeout_s: float = 20) -> None:
        """Until boot.py and main.py are through and the prompt waits."""
        self.wait(lambda: bool(self._console and self._console.at_repl), timeout_s, "prompt")

    def __enter__(self) -> "Board":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
