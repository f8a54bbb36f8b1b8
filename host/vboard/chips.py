"""The chips that a virtual board can be, and what tells them apart for an update.

Source: ESP-IDF bootloader_support/include/esp_app_format.h (chip ids),
bootloader/Kconfig.projbuild (offsets), soc/*/include/soc/soc_caps.h; MicroPython
ports/esp32/boards/ESP32_GENERIC* (names), py/persistentcode.h (mpy).
"""

from dataclasses import dataclass
from types import MappingProxyType

_MPY_XTENSAWIN = 10
_MPY_RV32IMC = 11


@dataclass(frozen=True, slots=True)
class Chip:
    """One chip type with the stock MicroPython board that runs on it.

    name: as esptool spells it.
    chip_id: what an app image's header must name.
    bootloader_offset: bytes into flash where the second-stage bootloader lies.
    revision: silicon revision of the virtual chip, major * 100 + minor.
    build, machine: sys.implementation._build and ._machine.
    mpy_arch: native architecture in bits 10 and up of sys.implementation._mpy.
    mmu_page_configurable: IDF insists on an app descriptor in the image only where this holds.
    """

    name: str
    chip_id: int
    bootloader_offset: int
    revision: int
    build: str
    machine: str
    mpy_arch: int
    mmu_page_configurable: bool = False


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
                mpy_arch=_MPY_XTENSAWIN,
            ),
            Chip(
                name="esp32s3",
                chip_id=9,
                bootloader_offset=0x0,
                revision=2,
                build="ESP32_GENERIC_S3",
                machine="Generic ESP32S3 module with ESP32S3",
                mpy_arch=_MPY_XTENSAWIN,
            ),
            Chip(
                name="esp32c3",
                chip_id=5,
                bootloader_offset=0x0,
                revision=4,
                build="ESP32_GENERIC_C3",
                machine="ESP32C3 module with ESP32C3",
                mpy_arch=_MPY_RV32IMC,
            ),
        )
    }
)
