"""From a reset to an app: the ROM, the second-stage bootloader, and the first thing that ESP-IDF does in the app."""

from dataclasses import dataclass

from vboard.chip import esp8266, rom
from vboard.chip.bootloader import boot as second_stage
from vboard.chip.firststage import first_stage
from vboard.chip.panic import Panic
from vboard.chips import RISCV, Chip
from vboard.flash.bootimage import rolls_back
from vboard.flash.nor import Flash
from vboard.flash.table import Row


@dataclass(frozen=True, slots=True)
class Started:
    """row: the partition that starts, None where nothing does; then `again` is the kind of reset that follows.

    flash_size: bytes that the bootloader's header speaks of, 0 where there is no bootloader. log: what was printed.
    """

    row: Row | None
    flash_size: int
    log: list[str]
    again: str


def start(flash: Flash, chip: Chip, *, asleep_on: str | None, rollback: bool) -> Started:
    """`asleep_on`: on waking from deep sleep, the label of what ran before. `rollback`: False for a bootloader without,
    whatever lies in flash. Raises what `flash.before` raises.
    """
    if chip.port == "esp8266":
        return Started(esp8266.starts(flash), flash.size, [], rom.BOOTLOADER)
    found = first_stage(flash, chip)
    if found.header is None:
        return Started(None, 0, found.log, rom.stuck(chip.name))
    booted = second_stage(
        flash,
        chip,
        header=found.header,
        deep_sleep_partition=asleep_on,
        rollback_enabled=rollback and rolls_back(found.image) is not False,
    )
    return Started(booted.row, found.header.flash_size, [*found.log, *booted.log], rom.BOOTLOADER)


def banner(flash: Flash, chip: Chip, reset: str) -> bytes:
    """What the console shows of the ROM after a reset of the kind `reset`."""
    return esp8266.banner(reset, flash) if chip.port == "esp8266" else rom.banner(chip.name, reset)


def cause_after(chip: Chip, cause: int, reset: str) -> int:
    """machine.reset_cause() after a reset of the kind `reset`, which the esp32 port calls `cause`."""
    return esp8266.REASONS[reset] if chip.port == "esp8266" else cause


def flash_fault(told: int, real: int, chip: Chip) -> list[str]:
    """What an app prints that dies because the header speaks of more flash (bytes) than there is; nothing if all is well.

    Source: ESP-IDF spi_flash/esp_flash_spi_init.c. MicroPython is built without assertions, so it goes on without a
    flash chip and falls over it in boardctrl_startup() (reckoned from the source, for 1.26 and newer).
    """
    if told <= real:
        return []
    sizes = f"Detected size({real >> 10}k) smaller than the size in the binary image header({told >> 10}k)"
    fault = Panic("Load access fault" if chip.mpy_arch == RISCV else "LoadProhibited")
    return [f"E spi_flash: {sizes}. Probe failed.", str(fault)]
