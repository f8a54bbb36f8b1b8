"""What is alive on a virtual board: when a boot starts, what ends it, and what comes next. One thread runs it all.

What the second-stage bootloader and ESP-IDF decide is in chip/bootloader.py and chip/idf.py, what a program can touch
in chip/soc.py; what a person does to a board is board.py.
"""

import selectors
import time
from collections.abc import Callable
from pathlib import Path

from vboard import factory
from vboard.boots import CAUSES, RESETS, Boot, Planned
from vboard.chip import rom
from vboard.chip.firmware import Firmware
from vboard.chip.kept import DEEPSLEEP, HARD, PWRON, WDT, Pins, Rtc
from vboard.chip.panic import Panic
from vboard.chip.process import Process
from vboard.chip.soc import Soc
from vboard.chip.startup import banner, cause_after, flash_fault, start
from vboard.chip.watchdogs import Bitten, pass_time
from vboard.chip.wire import Gone, Link
from vboard.flash.nor import Flash, PowerLost
from vboard.flash.table import Table
from vboard.link.console import Console
from vboard.link.gateway import Gateway
from vboard.link.links import Links
from vboard.link.network import Network
from vboard.link.port import POLL_S
from vboard.link.uart import ringed
from vboard.settings import Settings
from vboard.wired import Wired

BOOTLOADER_WDT_S = 9.0
_RTC_WDT_S = 0.05  # esptool sets 2000 ticks of the slow clock
_RESET_LOOP_S = 0.2  # between two boots of a board that finds nothing to boot, or panics
_TERMINAL_HOLDS = 128 << 10  # bytes, and more: Linux keeps 68 KiB between the two ends of a terminal


class Life(Wired):
    """The process and the boots of a board; board.py drives it."""

    def __init__(self, folder: Path, settings: Settings, flash: Flash, network: Network) -> None:
        super().__init__(folder, settings, flash)
        self.network = network
        self.pins = Pins()
        self.boots: list[Boot] = []
        # called with the reset cause before the bootloader reads the flash; may raise PowerLost
        self.before_boot: Callable[[int], None] | None = None
        # called with each boot once the bootloader has chosen
        self.on_boot: Callable[[Boot], None] | None = None
        self.soc: Soc | None = None
        if settings.real_time:
            self.flash.takes = lambda seconds: pass_time(seconds, self.soc.watchdogs if self.soc else None)
        self._links = Links(self.network, self._mac)
        self.gateway = Gateway(lambda: self._links)
        self._process: Process | None = None
        self._link: Link | None = None
        self._console: Console | None = None
        self._next_boot: Planned | None = None
        self._asleep_on: str | None = None
        self._thread.start()

    @property
    def table(self) -> Table:
        """As what runs sees it, or as today's firmware would."""
        return self.soc.table if self.soc else factory.table(self.flash)

    def power_off(self) -> None:
        """Power goes: whatever ran stops where it was."""
        with self._lock:
            self._stop()
            self._next_boot = None
            self._powered = False

    def _halt(self) -> None:
        self._stop()
        self._next_boot = None
        self.rtc, self._asleep_on = Rtc.at_power_on(), None

    def _restart(self) -> None:
        self._halt()
        self._plan(PWRON)

    def _press(self) -> None:
        """The reset button: an ESP8266 tells it from power that comes, and its RTC goes on."""
        if self.chip.port == "esp32":
            self._restart()
            return
        self._stop()
        self._plan(PWRON, reset=rom.EXTERNAL)

    def _bite_soon(self) -> None:
        if not self._next_boot:
            self._plan(WDT, _RTC_WDT_S, rom.RTC_WDT)

    def close(self) -> None:
        self._end_loop()
        self._stop()
        self.gateway.close()
        self._ports.close()
        self._close_loop()
        self.flash.close()

    # --- from a reset to the first line of Python -----------------------------------------------------------------

    def _plan(self, cause: int, delay_s: float = 0.0, reset: str | None = None) -> None:
        self._powered = True
        self._next_boot = Planned(time.monotonic() + delay_s, cause, reset or RESETS[cause])
        self._wake()

    def _boot(self, cause: int, reset: str) -> None:
        self._download.end()
        self._emit(banner(self.flash, self.chip, reset))
        if self.before_boot:
            self.before_boot(cause)
        asleep, self._asleep_on = self._asleep_on, None
        started = start(
            self.flash,
            self.chip,
            asleep_on=asleep if cause == DEEPSLEEP else None,
            rollback=self.settings.rollback,
        )
        self._emit_lines(started.log)
        self.boots.append(Boot(cause, started.row.label if started.row else None))
        if self.on_boot:
            self.on_boot(self.boots[-1])
        if started.row is None:
            self._plan(CAUSES[started.again], _RESET_LOOP_S, started.again)
            return
        if fault := flash_fault(started.flash_size, self.flash.size, self.chip):
            self._emit_lines(fault)
            self._plan(HARD, _RESET_LOOP_S)
            return
        firmware = Firmware.in_slot(self.flash, started.row, self.chip, self.settings.micropython)
        if firmware.says("panic"):
            self._emit(f"{Panic('LoadProhibited')}\r\n".encode())
            self._plan(HARD, _RESET_LOOP_S)
            return
        if hang := firmware.says("hang"):
            if hang == "startup":  # the bootloader's watchdog runs until app_main (facts 2.4)
                self._plan(WDT, BOOTLOADER_WDT_S, rom.RTC_WDT)
            return
        self._links = Links(
            self.network, self._mac, rmii=self.chip.name == "esp32", broken=bool(firmware.says("no_wifi"))
        )
        self.pins.reset()
        self.soc = Soc(
            self.flash,
            self.chip,
            factory.table(self.flash, makes_vfs=firmware.makes_vfs),
            started.row,
            firmware,
            cause=cause_after(self.chip, cause, reset),
            mac=self._mac,
            rtc=self.rtc,
            pins=self.pins,
            links=self._links,
            gateway=self.gateway,
            watchdog_factor=self.settings.watchdog_factor,
            idf_heap_kib=self.settings.idf_heap_kib,
            told_flash_size=started.flash_size,
            heap_kib=self.settings.heap_kib,
        )
        self._start(self.soc, raw=False)

    def _start(self, soc: Soc, raw: bool) -> None:
        soc.friendly = not raw
        process = Process.start(self.settings.heap_kib, self.flash.path, port=self.chip.port)
        self._process = process
        self._link = Link(process.wire, soc)
        typed = ringed(process.type, process.unread) if self.settings.baud else process.type
        self._console = Console(soc.firmware.banner, raw, typed, process.interrupt)
        soc.on_boot = self._console.release
        self._selector.register(process.console, selectors.EVENT_READ, self._from_board)
        self._selector.register(process.wire, selectors.EVENT_READ, self._request)

    # --- how a boot ends ------------------------------------------------------------------------------------------

    def _stop(self) -> None:
        """The chip stops: the process is gone, and with it all that a reset clears."""
        self._end_process()
        self._download.end()
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
        except Panic as panic:
            self._panic(str(panic))
            return
        except Bitten:
            self._bitten(time.monotonic())
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
        self._panic("Guru Meditation Error: the program crashed MicroPython")

    def _panic(self, says: str) -> None:
        self._emit(f"\r\n{says}\r\n".encode())
        self._stop()
        self._plan(HARD, reset=rom.EXCEPTION if self.chip.port == "esp8266" else None)

    def _bitten(self, now: float) -> bool:
        """Whether a watchdog's time is up; the boot is over then."""
        bite = self.soc.watchdogs.bite(now) if self.soc else None
        if bite is None:
            return False
        if bite.says:
            self._emit(f"\r\n{bite.says}\r\n".encode())
        self._stop()
        self._plan(WDT, reset=bite.reset)
        return True

    def _soft_reset(self) -> None:
        assert self.soc and self._console
        self._end_process()
        self._emit(b"MPY: soft reboot\r\n")
        self.soc.soft_reset()
        self._start(self.soc, self._console.raw)

    # --- what the loop calls --------------------------------------------------------------------------------------

    def _due(self) -> float | None:
        moments = [self.soc.due()] if self.soc and self._process else []
        moments.append(self._next_boot.when if self._next_boot else None)
        moments += [line.due() for line in self._uart]
        moments.append(None if self._ports.open else time.monotonic() + POLL_S)
        return min((moment for moment in moments if moment is not None), default=None)

    def _on_time(self, now: float) -> None:
        self._ports.look()
        for line in self._uart:
            line.on_time(now)
        if self._next_boot and now >= self._next_boot.when:
            planned, self._next_boot = self._next_boot, None
            try:
                self._boot(planned.cause, planned.reset)
            except PowerLost:
                self.power_off()
        if not self.soc or not self._process:
            return
        if self._bitten(now):
            return
        if self.soc.tick(now):
            self._process.wake()

    def _type(self, data: bytes) -> None:
        if self._console and self._process:
            self._console.from_host(data)

    def _from_board(self) -> None:
        """All that was printed up to now, but no end of what a program prints for ever: the loop has other work too."""
        assert self._process and self._console
        taken = 0
        while taken < _TERMINAL_HOLDS and (data := self._process.read()):
            self._emit(self._console.from_board(data))
            taken += len(data)
