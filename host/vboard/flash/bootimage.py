"""The second-stage bootloader as an image in flash: one made up for a virtual board, and what a real one tells.

Like an app it is data to the virtual board: chip/bootloader.py does what its code would do.
Sources: ESP-IDF esp_bootloader_format/include/esp_bootloader_desc.h; MicroPython's firmware files (segments, words).
"""

import random
import struct
from functools import lru_cache

from esptool.bin_image import ELFSection
from esptool.targets import CHIP_DEFS

from vboard.flash.appimage import HEADER_SIZE, Header, ImageError

_IDF = "v5.4.2"
_DIO, _40MHZ = 2, 0
_CODE = 16 << 10  # bytes, about what a real one has
_RAM = {  # chip: (start of data in DRAM, start of code in IRAM), as in MicroPython's own
    "esp32": (0x3FFF0030, 0x40078000),
    "esp32s2": (0x3FFE6108, 0x4004C000),
    "esp32s3": (0x3FCE2820, 0x403CB700),
    "esp32c3": (0x3FCD5820, 0x403CE710),
    "esp32c6": (0x4086E610, 0x40875720),
}
_DESC = struct.Struct("<B2sBI32s24s16s")
_DESC_AT = HEADER_SIZE + 8  # where the first segment's data begin
_DESC_MAGIC = 80
_WORDS_OF_IDF_4 = b"E (%u) %s: "  # how its log lines begin; IDF 5 has %lu there
_WORDS_OF_IDF_5 = b"E (%lu) %s: "


@lru_cache(maxsize=16)
def build(chip_name: str, flash_size: int, *, rollback: bool = True) -> bytes:
    """A sound bootloader image for a flash of `flash_size` bytes; its header tells the power of two below or at it.

    `rollback`: False for one as MicroPython before v1.21 has it, built with IDF 4.
    """
    rom = CHIP_DEFS[chip_name]
    image = rom.BOOTLOADER_IMAGE(append_digest=True)
    data_in_ram, code_in_ram = _RAM[chip_name]
    desc = _DESC.pack(_DESC_MAGIC, bytes(2), 0, 1, _IDF.encode(), b"Jan  1 2026 12:00:00", bytes(16))
    data = (desc + _WORDS_OF_IDF_5 if rollback else _WORDS_OF_IDF_4) + b"load partition table error!\n"
    code = random.Random(f"bootloader/{chip_name}").randbytes(_CODE)
    image.segments = [
        ELFSection(name, at, content + bytes(-len(content) % 4), 0)
        for name, at, content in ((b".data", data_in_ram, data), (b".text", code_in_ram, code))
    ]
    image.entrypoint = code_in_ram
    size_code = (flash_size >> 20).bit_length() - 1
    image.flash_mode, image.flash_size_freq = _DIO, size_code << 4 | _40MHZ
    image.min_rev_full, image.max_rev_full = 0, 0
    result: bytes = image.save(None)
    return result


def rolls_back(image: bytes) -> bool | None:
    """Whether a MicroPython bootloader takes an unconfirmed app back (facts 6.5); None where it does not show.

    MicroPython before v1.21 was built with IDF 4, and only its OTA variants rolled back: those count as the others.
    """
    if image[_DESC_AT : _DESC_AT + 1] == bytes([_DESC_MAGIC]) or _WORDS_OF_IDF_5 in image:
        return True
    return False if _WORDS_OF_IDF_4 in image else None


def flash_size_of(image: bytes) -> int | None:
    """Bytes of flash that the header of a bootloader speaks of; None where it is none."""
    try:
        return Header.from_bytes(image).flash_size
    except ImageError:
        return None
