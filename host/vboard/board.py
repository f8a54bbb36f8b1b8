"""A virtual board: flash file, boot loader, MicroPython process and serial port, run by one thread.

    with Board(folder, chip="esp32", layout="ota", app=image) as board:
        board.power_on()
        ... drive board.port with mpremote ...

What the second-stage bootloader and ESP-IDF decide is in bootloader.py and idf.py, what a program can touch in
soc.py; this module owns what is alive: when it starts, what ends it, and what comes next.
"""

import os
import selectors
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from vboard import factory
from vboard.chip.bootloader import boot as second_stage
from vboard.chip.firmware import Firmware
from vboard.chip.idf import Abort
from vboard.chip.kept import DEEPSLEEP, HARD, PWRON, WDT, Pins, Rtc
from vboard.chip.process import Process
from vboard.chip.soc import Soc
from vboard.chip.wire import Gone, Link
from vboard.chips import CHIPS
from vboard.flash.nor import PowerLost
from vboard.flash.table import Table
from vboard.link.console import Console
from vboard.link.gateway import Gateway
from vboard.link.links import Links
from vboard.link.network import Network
from vboard.link.port import POLL_S, Port
from vboard.link.seen import Seen

_ROM_REASON = {
    PWRON: "rst:0x1 (POWERON_RESET)",
    HARD: "rst:0xc (SW_CPU_RESET)",
    WDT: "rst:0x7 (TG0WDT_SYS_RESET)",
    DEEPSLEEP: "rst:0x5 (DEEPSLEEP_RESET)",
}
BOOTLOADER_WDT_S = 9.0
_RESET_LOOP_S = 0.2  # between two boots of a board that finds nothing to boot, or panics


@dataclass(frozen=True, slots=True)
class Boot:
    """One boot: `cause` as machine.reset_cause() gives it, `slot` the label of the partition, None where none boots."""

    cause: int
    slot: str | None


class Board(Seen):
    """`folder` keeps flash.bin, console.log and `port`, a link to a terminal. Several boards may run at once."""

    def __init__(
        self,
        folder: Path,
        *,
        chip: str = "esp32",
        layout: str | Table = "ota",
        flash_mib: int = 4,
        app: bytes | None = None,
        heap_kib: int = 160,
        network: Network | None = None,
        micropython: str = "1.26.1",
        rollback: bool = True,
    ) -> None:
        """A folder without a flash file gets a new one with the table and `app` in its first app slot.

        `heap_kib`: what a program has. `micropython`: the version that an image without a word of its own claims.
        `rollback`: False plays a bootloader from before v1.21 (facts 6.5). Raises ValueError for an unknown chip or
        layout, TableError for a table or an app that does not fit.
        """
        if chip not in CHIPS:
            raise ValueError(f"unknown chip {chip!r}: one of {', '.join(CHIPS)}")
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(folder / "console.log")
        self.chip = CHIPS[chip]
        self.heap_kib = heap_kib
        self.network = network or Network()
        self.pins = Pins()
        self.rtc = Rtc.at_power_on()
        self.boots: list[Boot] = []
        # called with the reset cause before the bootloader reads the flash; may raise PowerLost
        self.before_boot: Callable[[int], None] | None = None
        # called with each boot once the bootloader has chosen
        self.on_boot: Callable[[Boot], None] | None = None
        self.soc: Soc | None = None
        self.flash = factory.flash(folder / "flash.bin", self.chip, layout, flash_mib << 20, app)
        self._micropython = micropython
        self._rollback = rollback
        self._mac = factory.mac(folder)
        self._links = Links(self.network, self._mac)
        self.gateway = Gateway(lambda: self._links)
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        self._selector.register(self._wake_read, selectors.EVENT_READ, self._woken)
        self._port = Port(folder / "port", self._selector, self._from_host)
        self.port = self._port.path
        self._process: Process | None = None
        self._link: Link | None = None
        self._console: Console | None = None
        self._next_boot: tuple[float, int] | None = None  # (when, cause)
        self._asleep_on: str | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="vboard", daemon=True)
        self._thread.start()

    # --- what a person does to a board ----------------------------------------------------------------------------

    def power_on(self) -> None:
        """Power comes: RAM, RTC and RTC memory are as new."""
        with self._lock:
            self._stop()
            self.rtc = Rtc.at_power_on()
            self._asleep_on = None
            self._plan(PWRON)

    def power_off(self) -> None:
        """Power goes: whatever ran stops where it was."""
        with self._lock:
            self._stop()
            self._next_boot = None

    def reset(self, cause: int = HARD) -> None:
        """The reset button (EN), or another cause."""
        with self._lock:
            self._stop()
            self._plan(cause)

    def set_pin(self, pin: int, level: int | None) -> None:
        """Hold an input at a level; None lets go of it."""
        with self._lock:
            if level is None:
                self.pins.held.pop(pin, None)
            else:
                self.pins.held[pin] = level

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
    def table(self) -> Table:
        return factory.table(self.flash)

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

    def close(self) -> None:
        with self._lock:
            self._closing = True
            self._wake()
        self._thread.join()
        self._stop()
        self.gateway.close()
        self._port.close()
        os.close(self._wake_read)
        os.close(self._wake_write)
        self._selector.close()
        self._log.close()
        self.flash.close()

    def __enter__(self) -> "Board":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- from a reset to the first line of Python -----------------------------------------------------------------

    def _plan(self, cause: int, delay_s: float = 0.0) -> None:
        self._next_boot = (time.monotonic() + delay_s, cause)
        self._wake()

    def _boot(self, cause: int) -> None:
        self._emit(f"\r\n{_ROM_REASON[cause]},boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n".encode())
        if self.before_boot:
            self.before_boot(cause)
        asleep, self._asleep_on = self._asleep_on, None
        booted = second_stage(
            self.flash,
            self.chip,
            deep_sleep_partition=asleep if cause == DEEPSLEEP else None,
            rollback_enabled=self._rollback,
        )
        for line in booted.log:
            self._emit(line.encode() + b"\r\n")
        self.boots.append(Boot(cause, booted.row.label if booted.row else None))
        if self.on_boot:
            self.on_boot(self.boots[-1])
        if booted.row is None:
            self._plan(HARD, _RESET_LOOP_S)
            return
        firmware = Firmware.in_slot(self.flash, booted.row, self.chip, self._micropython)
        if firmware.says("panic"):
            self._emit(b"Guru Meditation Error: Core  0 panic'ed (LoadProhibited). Exception was unhandled.\r\n")
            self._plan(HARD, _RESET_LOOP_S)
            return
        if hang := firmware.says("hang"):
            if hang == "startup":  # the bootloader's watchdog runs until app_main (facts 2.4)
                self._plan(WDT, BOOTLOADER_WDT_S)
            return
        self._links = Links(
            self.network, self._mac, rmii=self.chip.name == "esp32", broken=bool(firmware.says("no_wifi"))
        )
        self.pins.reset()
        self.soc = Soc(
            self.flash,
            self.chip,
            self.table,
            booted.row,
            firmware,
            cause=cause,
            mac=self._mac,
            rtc=self.rtc,
            pins=self.pins,
            links=self._links,
            gateway=self.gateway,
        )
        self._start(self.soc, raw=False)

    def _start(self, soc: Soc, raw: bool) -> None:
        soc.friendly = not raw
        process = Process.start(self.heap_kib, self.flash.path)
        self._process = process
        self._link = Link(process.wire, soc)
        self._console = Console(soc.firmware.banner, raw, process.type, process.interrupt)
        soc.on_boot = self._console.release
        self._selector.register(process.console, selectors.EVENT_READ, self._from_board)
        self._selector.register(process.wire, selectors.EVENT_READ, self._request)

    # --- how a boot ends ------------------------------------------------------------------------------------------

    def _stop(self) -> None:
        """The chip stops: the process is gone, and with it all that a reset clears."""
        self._end_process()
        self.soc = None
        self._console = None

    def _end_process(self) -> None:
        if self._process:
            self._from_board()
            self._selector.unregister(self._process.console)
            self._selector.unregister(self._process.wire)
            self._process.end()
        self._process = self._link = None

    def _request(self) -> None:
        assert self._link and self.soc
        try:
            self._link.serve()
        except Gone:
            self._ended()
            return
        except PowerLost:
            self.power_off()
            return
        except Abort as abort:
            self._emit(f"\r\nabort() was called: {abort}\r\n".encode())
            self._stop()
            self._plan(HARD)
            return
        if self.soc.wants:
            self._obey(*self.soc.wants)

    def _obey(self, what: str, seconds: float) -> None:
        assert self.soc
        if what == "soft":
            self._soft_reset()
            return
        label = self.soc.row.label
        self._stop()
        if what == "reset":
            self._plan(HARD)
            return
        self._asleep_on = label
        if seconds != float("inf"):
            self._plan(DEEPSLEEP, seconds)

    def _ended(self) -> None:
        """The process ended by itself: Ctrl-D or SystemExit is a soft reset, a crash of the interpreter a panic."""
        assert self._process
        if self._process.wait() >= 0:
            self._soft_reset()
            return
        self._emit(b"\r\nGuru Meditation Error: the program crashed MicroPython\r\n")
        self._stop()
        self._plan(HARD)

    def _soft_reset(self) -> None:
        assert self.soc and self._console
        self._end_process()
        self._emit(b"MPY: soft reboot\r\n")
        self.soc.soft_reset()
        self._start(self.soc, self._console.raw)

    # --- the loop -------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._closing:
            events = self._selector.select(self._patience())
            with self._changed:
                for key, _ in events:
                    if key.fd in self._selector.get_map():  # an earlier event may have ended the process
                        key.data()
                self._on_time(time.monotonic())
                self._changed.notify_all()

    def _patience(self) -> float | None:
        """Seconds until something is due that no event will announce."""
        with self._lock:
            moments = [self.soc.due()] if self.soc and self._process else []
            moments.append(self._next_boot[0] if self._next_boot else None)
            moments.append(None if self._port.open else time.monotonic() + POLL_S)
            known = [moment for moment in moments if moment is not None]
            return max(0.0, min(known) - time.monotonic()) if known else None

    def _on_time(self, now: float) -> None:
        self._port.look()
        if self._next_boot and now >= self._next_boot[0]:
            cause = self._next_boot[1]
            self._next_boot = None
            try:
                self._boot(cause)
            except PowerLost:
                self.power_off()
        if not self.soc or not self._process:
            return
        if bite := self.soc.watchdog_bites(now):
            self._emit(f"\r\n{bite}\r\n".encode())
            self._stop()
            self._plan(WDT)
            return
        if self.soc.tick(now):
            self._process.wake()

    def _from_host(self, data: bytes) -> None:
        if self._console and self._process:
            self._console.from_host(data)

    def _from_board(self) -> None:
        assert self._process and self._console
        while data := self._process.read():
            self._emit(self._console.from_board(data))

    def _emit(self, data: bytes) -> None:
        self._show(data)
        self._port.write(data)

    def _woken(self) -> None:
        os.read(self._wake_read, 4096)

    def _wake(self) -> None:
        os.write(self._wake_write, b"\0")
