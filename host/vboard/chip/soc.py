"""The running chip: everything a MicroPython program can touch, from one reset to the next.

`Soc` is what the C modules of the esp32 port stand on. It knows nothing of processes or consoles (board.py) and
nothing of the wire (link.py). What outlives a reset (RTC, watchdog across a soft reset, pins, Wi-Fi) is handed in.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from vboard.chip.esp8266 import WATCHDOG_S, RawFlash
from vboard.chip.firmware import Firmware
from vboard.chip.heap import IdfHeap
from vboard.chip.idf import App, IdfError
from vboard.chip.kept import EPOCH_2000, SOFT, Pins, Rtc
from vboard.chip.timers import Timers
from vboard.chip.watchdogs import Watchdogs
from vboard.chips import Chip
from vboard.flash.image8266 import user_start
from vboard.flash.nor import READ_KIB_US, Flash
from vboard.flash.nvs import Nvs, NvsError
from vboard.flash.table import Row, Table
from vboard.link.calls import NetworkCalls
from vboard.link.gateway import Gateway
from vboard.link.links import Links

_HEAP_DATA = 4  # esp32.HEAP_DATA


class Soc:
    """One boot of the chip, running `row`. `on_reset` and `on_sleep` are told what the program asked for."""

    def __init__(
        self,
        flash: Flash,
        chip: Chip,
        table: Table,
        row: Row,
        firmware: Firmware,
        *,
        cause: int,
        mac: bytes,
        rtc: Rtc,
        pins: Pins,
        links: Links,
        gateway: Gateway,
        watchdog_factor: float = 1.0,
        idf_heap_kib: int | None = None,
        told_flash_size: int | None = None,
        heap_kib: int = 0,
    ) -> None:
        """`told_flash_size`: bytes that the bootloader's header speaks of; None as much as there is."""
        self.flash, self.chip, self.table, self.row, self.firmware = flash, chip, table, row, firmware
        self.cause, self.mac, self.rtc, self.pins = cause, mac, rtc, pins
        self._links = links
        self.app = App(flash, chip, table, row)
        self.storage = RawFlash(flash) if chip.port == "esp8266" else self.app  # what writes to flash go through
        self.nvs = self._mount_nvs()
        self.watchdogs = Watchdogs(watchdog_factor, chip)
        self.timers = Timers(chip, firmware.numbers)
        self.friendly = True
        self.on_boot: Callable[[], None] = lambda: None  # told when boot.py begins
        self.wants: tuple[str, float] | None = None  # ("reset" | "soft" | "sleep", seconds)
        self.heap = IdfHeap(idf_heap_kib, chip.name, firmware.numbers)
        self.mhz = chip.mhz  # its clock
        self._heap_kib = heap_kib  # what a program has
        self._told_flash_size = told_flash_size or flash.size
        self._calls: dict[str, Callable[..., Any]] = {
            name[5:]: getattr(part, name)
            for part in (self, NetworkCalls(links, gateway))
            for name in dir(part)
            if name.startswith("call_")
        }

    def _mount_nvs(self) -> Nvs | None:
        row = self.table.find("nvs")
        return Nvs(self.flash, row.offset, row.size) if row else None

    def soft_reset(self) -> None:
        """What is gone after a soft reset: timers. The watchdog stays armed (facts 6.9)."""
        self.timers.clear()
        self.watchdogs.soft_reset()
        self.heap.soft_reset()
        if self.chip.port == "esp32":
            self.cause = SOFT
        self.wants = None

    # --- time -----------------------------------------------------------------------------------------------------

    def due(self) -> float | None:
        """The next moment (time.monotonic) at which a watchdog or a timer must act."""
        times = [self.watchdogs.due(), None if self.watchdogs.interrupts_off else self.timers.due()]
        return min((moment for moment in times if moment is not None), default=None)

    def tick(self, now: float) -> bool:
        """Whether a timer's time has come that the program has not been told of yet."""
        return not self.watchdogs.interrupts_off and self.timers.tick(now)

    # --- flash ----------------------------------------------------------------------------------------------------

    def rows(self, index: int) -> Row:
        return self.table.rows[index]

    def _index(self, row: Row) -> int:
        return self.table.rows.index(row)

    def _role(self, which: int) -> Row:
        row = self.row if which == 1 else self.app.boot_partition()
        if row is None:
            raise IdfError(2, "")
        return row

    def call_partition(self, which: int | str) -> tuple[int, list[Any]]:
        if isinstance(which, str) and which.startswith("#"):
            row = self.rows(int(which[1:]))
        elif isinstance(which, str):
            found = [r for r in self.app.find(0, 0xFF, which) + self.app.find(1, 0xFF, which)]
            if not found:
                raise IdfError(2, "")
            row = found[0]
        elif which in (0, 1):
            row = self._role(which)
        else:
            raise ValueError()
        return self._index(row), [row.type, row.subtype, row.offset, row.size, row.label, False]

    def call_partition_find(self, type: int, subtype: int, label: str | None) -> list[int]:
        return [self._index(row) for row in self.app.find(type, subtype, label)]

    def call_set_boot(self, index: int) -> None:
        self.app.set_boot(self.rows(index))

    def call_mark_valid(self) -> None:
        self.app.mark_valid()

    def call_next_update(self, index: int) -> int:
        row = self.app.next_update(self.rows(index))
        if row is None:
            raise IdfError(2, "")
        return self._index(row)

    def call_user_start(self) -> int:
        """Of an ESP8266: where the firmware ends."""
        return user_start(self.flash.size)

    def call_flash_size(self) -> int:
        """Since 1.26 MicroPython asks the flash itself (boardctrl_startup); before, it believed the header."""
        return self.flash.size if self.firmware.numbers >= (1, 26) else self._told_flash_size

    # --- NVS ------------------------------------------------------------------------------------------------------

    def store(self) -> Nvs:
        if self.nvs is None:
            raise NvsError(-4353, "ESP_ERR_NVS_NOT_INITIALIZED")
        return self.nvs

    @property
    def nvs_handles(self) -> int:
        """How many NVS() have opened one since the last hard reset: the port never closes any."""
        return self.heap.nvs_handles

    def call_nvs_open(self, name: str) -> int:
        """The number of the namespace, which is all that the later calls need."""
        namespace = self.store().namespace(name)
        if not self.heap.open_nvs():
            raise IdfError(12, "ESP_ERR_NO_MEM")
        return namespace

    def call_nvs_get_i32(self, namespace: int, key: str) -> int:
        return self.store().get_i32(namespace, key)

    def call_nvs_erase_key(self, namespace: int, key: str) -> None:
        self.store().erase_key(namespace, key)

    # --- memory ---------------------------------------------------------------------------------------------------

    def call_start_wifi(self, used: int) -> None:
        """The first network.WLAN() of a program. Since 1.26 the port has a word for it (network_common.c)."""
        self.heap.python_holds(used)
        if not self.heap.start_wifi():
            if self.firmware.numbers >= (1, 26):
                raise OSError("WiFi Out of Memory")
            raise RuntimeError("Wifi Unknown Error 0x0101")

    def call_idf_heap_info(self, capabilities: int, used: int) -> list[tuple[int, int, int, int]]:
        self.heap.python_holds(used)
        return self.heap.info() if capabilities & _HEAP_DATA else []

    def call_mem_free(self, used: int) -> int:
        return self.heap.python_free(used)

    def call_tls_open(self, used: int) -> int:
        """A number for tls_close. The chip panics where there is not enough memory; with too little beside it no data come."""
        self.heap.python_holds(used)
        opened = self.heap.open_tls()
        self.call_tls_write(used)
        return opened

    def call_tls_write(self, used: int) -> None:
        """A connection may have been open for a while: Python's heap has grown beside its buffers."""
        self.heap.python_holds(used)
        if self.heap.starved:
            self._links.station.drop(0)

    def call_tls_close(self, number: int) -> None:
        self.heap.close_tls(number)

    # --- machine --------------------------------------------------------------------------------------------------

    def call_board(self) -> dict[str, Any]:
        return self.firmware.describe() | {
            "read_kib_us": READ_KIB_US if self.flash.takes else 0,
        }

    def call_heap(self) -> int:
        """Bytes that a program has to the byte; 0 where that is not so exact."""
        return self._heap_kib << 10 if self.chip.port == "esp8266" else 0

    def call_booting(self) -> None:
        self.on_boot()

    def call_friendly(self) -> bool:
        return self.friendly

    def call_reset(self) -> None:
        self.wants = ("reset", 0.0)

    def call_soft_reset(self) -> None:
        self.wants = ("soft", 0.0)

    def call_deepsleep(self, ms: int) -> None:
        self.wants = ("sleep", ms / 1000 if ms else float("inf"))

    def call_reset_cause(self) -> int:
        return self.cause

    def call_unique_id(self) -> list[int]:
        return list(self.mac)

    def call_freq(self, mhz: int) -> int:
        """The clock from now on, as MicroPython's ports/esp32/modmachine.c takes it; 0 where it does not. `mhz` 0: as it is."""
        if mhz and (mhz not in (20, 40, 80, 160, 240) or mhz > self.chip.fastest_mhz):
            return 0
        self.mhz = mhz or self.mhz
        return self.mhz

    def call_wdt(self, timeout_ms: int) -> None:
        """An ESP8266 takes no time: it is the SDK's."""
        self.watchdogs.arm(WATCHDOG_S if self.chip.port == "esp8266" else timeout_ms / 1000)

    def call_irq(self, off: bool) -> None:
        self.watchdogs.interrupts(off)

    def call_timer_open(self, number: int) -> int:
        return self.timers.handle(number)

    def call_timer(self, handle: int, period_ms: int, repeats: int) -> bool:
        """Whether the clock stands from now on."""
        if period_ms > 0:
            self.timers.start(handle, period_ms / 1000, repeats=bool(repeats))
        else:
            self.timers.stop(handle)
        return self.timers.clock_stopped

    def call_pin_known(self, pin: Any) -> bool:
        return isinstance(pin, int) and pin in self.chip.pins

    def call_pin_init(self, pin: int, mode: int, pull: int) -> None:
        if mode == 1:
            self.pins.driven.pop(pin, None)
        if pull in (1, 2):
            self.pins.pulled[pin] = pull - 1

    def call_pin_get(self, pin: int) -> int:
        return self.pins.level(pin)

    def call_pin_set(self, pin: int, level: int) -> None:
        self.pins.driven[pin] = level

    def call_rtc(self) -> float:
        return self.rtc.ahead_s - EPOCH_2000.timestamp()

    def call_rtc_set(self, seconds_since_2000: int) -> None:
        self.rtc.set(EPOCH_2000 + timedelta(seconds=seconds_since_2000))

    def call_rtc_memory(self, data: list[int] | None) -> list[int] | None:
        if data is None:
            return list(self.rtc.memory)
        self.rtc.memory = bytes(data)
        return None

    def call(self, name: str, args: list[Any]) -> Any:
        """One call by name, from the wire."""
        return self._calls[name](*args)
