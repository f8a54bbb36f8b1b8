"""Where code and data may lie: which addresses each chip maps, and which its ROM and its bootloader load.

Source: ESP-IDF soc/{esp32,esp32s2,esp32s3,esp32c3,esp32c6}/include/soc/soc.h; esptool targets/*.py.
"""

from vboard.chips import Chip

_RTC_SLOW = range(0x50000000, 0x50002000)
_MAPPED = {  # DROM and IROM: windows of the flash cache
    "esp32": (range(0x3F400000, 0x3F800000), range(0x400D0000, 0x40400000)),
    "esp32s2": (range(0x3F000000, 0x3F3F0000), range(0x40080000, 0x40800000)),
    "esp32c3": (range(0x3C000000, 0x3C800000), range(0x42000000, 0x42800000)),
    "esp32s3": (range(0x3C000000, 0x3E000000), range(0x42000000, 0x44000000)),
    "esp32c6": (range(0x42000000, 0x43000000),),
}
_RAM = {
    "esp32": (
        range(0x3FF80000, 0x3FF82000),  # RTC fast memory, on the data bus
        range(0x3FFAE000, 0x40000000),
        range(0x40080000, 0x400AA000),
        range(0x400C0000, 0x400C2000),  # RTC fast memory, on the instruction bus
        _RTC_SLOW,
    ),
    "esp32s2": (
        range(0x3FF9E000, 0x3FFA0000),  # RTC fast memory, on the data bus
        range(0x3FFB0000, 0x40000000),
        range(0x40020000, 0x40070000),
        range(0x40070000, 0x40072000),  # RTC fast memory, on the instruction bus
        _RTC_SLOW,
    ),
    "esp32c3": (range(0x3FC80000, 0x3FCE0000), range(0x4037C000, 0x403E0000), _RTC_SLOW),
    "esp32s3": (
        range(0x3FC88000, 0x3FD00000),
        range(0x40370000, 0x403E0000),
        range(0x600FE000, 0x60100000),
        _RTC_SLOW,
    ),
    "esp32c6": (range(0x40800000, 0x40880000), range(0x50000000, 0x50004000)),
}
_BOOTLOADER_RAM = {"esp32": (range(0x40070000, 0x40080000),)}  # the caches' own, once an app runs


def is_mapped(chip: Chip, address: int) -> bool:
    return any(address in window for window in _MAPPED[chip.name])


def is_ram(chip: Chip, first: int, last: int) -> bool:
    """Whether both addresses lie in one memory that the bootloader may fill."""
    return any(first in memory and last in memory for memory in _RAM[chip.name])


def rom_loads(chip: Chip, first: int, last: int) -> bool:
    """Whether both addresses lie in one memory that the ROM may fill with the bootloader."""
    memories = _RAM[chip.name] + _BOOTLOADER_RAM.get(chip.name, ())
    return any(first in memory and last in memory for memory in memories)
