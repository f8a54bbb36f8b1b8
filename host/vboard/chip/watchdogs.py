"""The chip's watchdogs: the task watchdog that machine.WDT arms, and the one over interrupts that are off too long.

Facts 6.9 and 10.12. The bootloader's own is in life.py: it runs before there is a program.
"""

import time
from dataclasses import dataclass

from vboard.chip import rom
from vboard.chips import Chip

_INTERRUPTS_OFF_S = 0.3


@dataclass(frozen=True, slots=True)
class Bite:
    """A watchdog ends the boot: what the console shows, and the kind of reset (rom.py)."""

    says: str
    reset: str


_TASK_BITE = Bite("E task_wdt: Task watchdog got triggered. Aborting.", rom.RESTART)
_SDK_BITE = Bite("", rom.SOFT_WDT)


class Bitten(Exception):
    """A watchdog bit while a flash operation was under way, which did not happen then."""


class Watchdogs:
    """Times are time.monotonic(). `factor`: the task watchdog waits its time divided by this."""

    def __init__(self, factor: float, chip: Chip) -> None:
        self._chip = chip
        self._factor = factor
        self._task_s: float | None = None
        self._task_due = 0.0
        self._irq_off = 0  # how often disable_irq() was called and enable_irq() was not
        self._irq_due = 0.0

    def arm(self, seconds: float) -> None:
        """machine.WDT(): nothing but a reset takes it away again."""
        self._task_s = seconds
        self.feed()

    def feed(self) -> None:
        if self._task_s is not None:
            self._task_due = time.monotonic() + self._task_s / self._factor

    @property
    def interrupts_off(self) -> bool:
        return self._irq_off > 0

    def interrupts(self, off: bool) -> None:
        self._irq_off = max(0, self._irq_off + (1 if off else -1))
        if off and self._irq_off == 1:
            self._irq_due = time.monotonic() + _INTERRUPTS_OFF_S

    def soft_reset(self) -> None:
        """The task watchdog stays armed."""
        self._irq_off = 0

    def due(self) -> float | None:
        """When one bites if nobody does anything."""
        times = [self._irq_due] if self._irq_off else []
        if self._task_s is not None:
            times.append(self._task_due)
        return min(times, default=None)

    def bite(self, now: float) -> Bite | None:
        """How one resets the chip; None while none does."""
        if self._irq_off and now >= self._irq_due:
            return Bite("", rom.INTERRUPT_WDT)
        if self._task_s is not None and now >= self._task_due:
            return _SDK_BITE if self._chip.port == "esp8266" else _TASK_BITE
        return None


def pass_time(seconds: float, watchdogs: Watchdogs | None) -> None:
    """A flash operation at the speed of a chip: nothing else of the program runs, but the watchdogs do. Raises Bitten."""
    until = time.monotonic() + seconds
    due = watchdogs.due() if watchdogs else None
    time.sleep(max(0.0, min(until, due or until) - time.monotonic()))
    if due is not None and due < until:
        raise Bitten
