"""The boots of a board: one that was, and one that is to come."""

from dataclasses import dataclass

from vboard.chip import rom
from vboard.chip.kept import DEEPSLEEP, HARD, PWRON, USB, WDT

RESETS = {PWRON: rom.POWER, HARD: rom.RESTART, WDT: rom.RESTART, DEEPSLEEP: rom.SLEEP, USB: rom.USB}
# what machine.reset_cause() gives after a boot that found nothing to start
CAUSES = {rom.BOOTLOADER: HARD, rom.RTC_WDT: WDT, rom.TIMER_WDT: WDT}


@dataclass(frozen=True, slots=True)
class Boot:
    """One boot: `cause` as machine.reset_cause() gives it, `slot` the label of the partition, None where none boots."""

    cause: int
    slot: str | None


@dataclass(frozen=True, slots=True)
class Planned:
    """The next boot: at `when` (time.monotonic()), for `cause`, with the ROM's words for `reset`."""

    when: float
    cause: int
    reset: str
