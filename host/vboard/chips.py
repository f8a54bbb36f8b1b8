"""The chips that a virtual board can be, and what tells them apart for an update.

Source: ESP-IDF bootloader_support/include/esp_app_format.h (chip ids),
bootloader/Kconfig.projbuild (offsets), soc/*/include/soc/soc_caps.h; MicroPython
ports/esp32/boards/ESP32_GENERIC* (names), py/persistentcode.h (mpy), ports/esp32/machine_pin.h
(pins); esptool targets/*.py.
"""

from dataclasses import dataclass
from types import MappingProxyType

LX106, XTENSA, RISCV = 9, 10, 11  # xtensa, xtensawin and rv32imc in a .mpy file's architecture field


@dataclass(frozen=True, slots=True)
class Chip:
    """One chip type with the stock MicroPython board that runs on it.

    name: as esptool spells it.
    chip_id: what an app image's header must name.
    bootloader_offset: bytes into flash where the second-stage bootloader lies.
    revision: silicon revision of the virtual chip, major * 100 + minor.
    build, machine: sys.implementation._build and ._machine.
    mpy_arch: native architecture in bits 10 and up of sys.implementation._mpy.
    pins: the numbers that machine.Pin takes.
    mmu_page_configurable: IDF insists on an app descriptor in the image only where this holds.
    mhz, fastest_mhz: of its clock, at the start and at the most.
    port: MicroPython's, "esp32" or "esp8266". heap_kib: what a program has when boot.py begins.
    """

    name: str
    chip_id: int
    bootloader_offset: int
    revision: int
    build: str
    machine: str
    mpy_arch: int
    pins: frozenset[int]
    mmu_page_configurable: bool = False
    port: str = "esp32"
    heap_kib: int = 160
    mhz: int = 160
    fastest_mhz: int = 240


CHIPS = MappingProxyType(
    {
        chip.name: chip
        for chip in (
            Chip(
                name="esp32",
                chip_id=0,
                bootloader_offset=0x1000,
                revision=301,
                build="ESP32_GENERIC",
                machine="Generic ESP32 module with ESP32",
                mpy_arch=XTENSA,
                pins=frozenset({*range(20), 21, 22, 23, 25, 26, 27, *range(32, 40)}),
            ),
            Chip(
                name="esp32s2",
                chip_id=2,
                bootloader_offset=0x1000,
                revision=100,
                build="ESP32_GENERIC_S2",
                machine="Generic ESP32S2 module with ESP32S2",
                mpy_arch=XTENSA,
                pins=frozenset({*range(19), 21, 26, *range(33, 47)}),  # 19 and 20 are its USB
            ),
            Chip(
                name="esp32s3",
                mhz=240,
                chip_id=9,
                bootloader_offset=0x0,
                revision=2,
                build="ESP32_GENERIC_S3",
                machine="Generic ESP32S3 module with ESP32S3",
                mpy_arch=XTENSA,
                pins=frozenset({*range(22), *range(26, 49)}),
            ),
            Chip(
                name="esp32c3",
                fastest_mhz=160,
                chip_id=5,
                bootloader_offset=0x0,
                revision=4,
                build="ESP32_GENERIC_C3",
                machine="ESP32C3 module with ESP32C3",
                mpy_arch=RISCV,
                pins=frozenset(range(22)),
            ),
            Chip(
                name="esp32c6",
                fastest_mhz=160,
                chip_id=13,
                bootloader_offset=0x0,
                revision=1,
                build="ESP32_GENERIC_C6",
                machine="ESP32C6 module with ESP32C6",
                mpy_arch=RISCV,
                pins=frozenset({*range(12), *range(14, 24)}),  # 12 and 13 are its USB, 24 and up its flash
                mmu_page_configurable=True,
            ),
        )
    }
)

# Its heap is 38 KiB (ports/esp8266/main.c), 37,952 bytes of it for objects (micropython#5949), and _boot.py, the file
# system and flashbdev hold some of that: about 35 KB are free in boot.py (micropython#11666).
ESP8266 = Chip(
    name="esp8266",
    chip_id=-1,  # an image for it names none
    bootloader_offset=0x0,
    revision=0,
    build="ESP8266_GENERIC",
    machine="ESP module with ESP8266",
    mpy_arch=LX106,
    pins=frozenset({*range(6), *range(12, 17)}),  # 6 to 11 are its flash
    port="esp8266",
    heap_kib=35,
)
# What a virtual board can be; CHIPS are those with a partition table, which the agent updates as a whole.
BOARDS = MappingProxyType({**CHIPS, ESP8266.name: ESP8266})
