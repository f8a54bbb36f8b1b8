"""The running chip: everything a MicroPython program can touch, from one reset to the next.

`Soc` is what the C modules of the esp32 port stand on. It knows nothing of processes or consoles (board.py) and
nothing of the wire (link.py). What outlives a reset (RTC, watchdog across a soft reset, pins, Wi-Fi) is handed in.
"""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from vboard.chip.firmware import Firmware
from vboard.chip.idf import App, IdfError
from vboard.chip.kept import EPOCH_2000, SOFT, Pins, Rtc, Ticker
from vboard.chips import Chip
from vboard.flash.nor import Flash
from vboard.flash.nvs import Nvs, NvsError
from vboard.flash.table import Row, Table
from vboard.link.calls import NetworkCalls
from vboard.link.gateway import Gateway
from vboard.link.links import Links

_PINS = {
    "esp32": {*range(20), 21, 22, 23, 25, 26, 27, *range(32, 40)},
    "esp32s3": {*range(22), *range(26, 49)},
    "esp32c3": set(range(22)),
}
_TIMERS = {"esp32": 4, "esp32s3": 4, "esp32c3": 2}
_EVENT_GRAIN_S = 0.001
_INTERRUPT_WDT_S = 0.3  # facts 6.9


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
    ) -> None:
        self.flash, self.chip, self.table, self.row, self.firmware = (
            flash,
            chip,
            table,
            row,
            firmware,
        )
        self.cause, self.mac, self.rtc, self.pins = cause, mac, rtc, pins
        self.app = App(flash, chip, table, row)
        self.nvs = self._mount_nvs()
        self.wdt_s: float | None = None
        self.wdt_due = 0.0
        self._irq_off = 0  # how often disable_irq() was called and enable_irq() was not
        self._irq_due = 0.0
        self.tickers: dict[int, Ticker] = {}
        self._fired: set[int] = set()
        self.friendly = True
        self.on_boot: Callable[[], None] = lambda: None  # told when boot.py begins
        self.wants: tuple[str, float] | None = None  # ("reset" | "soft" | "sleep", seconds)
        self._namespaces: list[int] = []
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
        self.tickers.clear()
        self._fired.clear()
        self._irq_off = 0
        self._namespaces.clear()
        self.cause = SOFT
        self.wants = None

    # --- time -----------------------------------------------------------------------------------------------------

    def due(self) -> float | None:
        """The next moment (time.monotonic) at which the watchdog or a timer must act."""
        times = [self._irq_due] if self._irq_off else [t.due for t in self.tickers.values()]
        if self.wdt_s is not None:
            times.append(self.wdt_due)
        return min(times, default=None)

    def watchdog_bites(self, now: float) -> str | None:
        """What the chip says as a watchdog resets it; None while none does."""
        if self._irq_off and now >= self._irq_due:
            return "Guru Meditation Error: Core  1 panic'ed (Interrupt wdt timeout on CPU1)."
        if self.wdt_s is not None and now >= self.wdt_due:
            return "E task_wdt: Task watchdog got triggered. Aborting."
        return None

    def tick(self, now: float) -> bool:
        """Whether a timer's time has come that the program has not been told of yet."""
        news = False
        if self._irq_off:
            return news
        for number, ticker in list(self.tickers.items()):
            if now + _EVENT_GRAIN_S >= ticker.due:
                self._fired.add(number)
                news = True
                ticker.due = max(now, ticker.due + ticker.period_s)
                if not ticker.repeats:
                    del self.tickers[number]
        return news

    def call_timers_fired(self) -> list[int]:
        fired = sorted(self._fired)
        self._fired.clear()
        return fired

    def feed(self) -> None:
        if self.wdt_s is not None:
            self.wdt_due = time.monotonic() + self.wdt_s

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

    def call_flash_size(self) -> int:
        return self.flash.size

    # --- NVS ------------------------------------------------------------------------------------------------------

    def store(self) -> Nvs:
        if self.nvs is None:
            raise NvsError(-4353, "ESP_ERR_NVS_NOT_INITIALIZED")
        return self.nvs

    def namespace(self, handle: int) -> int:
        return self._namespaces[handle]

    def call_nvs_open(self, name: str) -> int:
        self._namespaces.append(self.store().namespace(name))
        return len(self._namespaces) - 1

    def call_nvs_get_i32(self, handle: int, key: str) -> int:
        return self.store().get_i32(self.namespace(handle), key)

    def call_nvs_erase_key(self, handle: int, key: str) -> None:
        self.store().erase_key(self.namespace(handle), key)

    # --- machine --------------------------------------------------------------------------------------------------

    def call_board(self) -> dict[str, Any]:
        return self.firmware.describe()

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

    def call_wdt(self, timeout_ms: int) -> None:
        self.wdt_s = timeout_ms / 1000
        self.feed()

    def call_irq(self, off: bool) -> None:
        self._irq_off = max(0, self._irq_off + (1 if off else -1))
        if off and self._irq_off == 1:
            self._irq_due = time.monotonic() + _INTERRUPT_WDT_S

    def call_timer_known(self, number: int) -> bool:
        return -1 <= number < _TIMERS[self.chip.name]

    def call_timer(self, number: int, period_ms: int, repeats: int) -> None:
        self.tickers.pop(number, None)
        if period_ms > 0:
            period = period_ms / 1000
            self.tickers[number] = Ticker(period, bool(repeats), time.monotonic() + period)

    def call_pin_known(self, pin: Any) -> bool:
        return isinstance(pin, int) and pin in _PINS[self.chip.name]

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
