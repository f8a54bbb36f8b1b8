"""App images, built with esptool's own writer.

An app image is data to the virtual board, so one may carry a trailer that says how its firmware
behaves: after the image, on the next 16-byte line, b"VBOARD\\0\\1", a 16-bit length
(little-endian) and that much JSON. ROM and bootloader ignore what follows an image.
"""

import hashlib
import json
import random
import struct
from typing import Any

from esptool.bin_image import ELFSection
from esptool.targets import CHIP_DEFS

from vboard.flash.appimage import (
    DESC_OFFSET,
    AppDesc,
    Read,
    measure,
)

_IDF = "v5.4.2"
_DEFAULT_SIZE = 24 << 10
_WITH_CODE = 160 << 10  # smallest that gets a code segment: its alignment takes up to 64 KiB
_DIO = 2
_4MB_40MHZ = 0x20
_RAM = {  # chip: (start of an app's data in DRAM, start of its code in IRAM)
    "esp32": (0x3FFBDB60, 0x40080000),
    "esp32s3": (0x3FC9ED00, 0x40374000),
    "esp32c3": (0x3FC94800, 0x40380000),
    "esp32s2": (0x3FFC8000, 0x40028000),
    "esp32c6": (0x40810000, 0x40800000),
}
_TRAILER_MAGIC = b"VBOARD\0\1"
_TRAILER_HEAD = struct.Struct("<8sH")


def build_app(
    chip_name: str,
    *,
    size: int | None = None,
    seed: int = 0,
    version: str = "",
    project: str = "",
    idf: str = _IDF,
    secure_version: int = 0,
    min_revision: int = 0,
    max_revision: int = 0,
    append_hash: bool = True,
    filled: bytes | None = None,
) -> bytes:
    """A sound app image for `chip_name` (as esptool spells it: esp32, esp32c6, …).

    `size`: about how many bytes, 2 KiB at least. Images of one seed and size are equal, of two
    seeds they differ all through. `filled`: its code is this over and over, and no noise.
    """
    wanted = size or _DEFAULT_SIZE
    noise = random.Random(f"{seed}/{chip_name}/{wanted}").randbytes(wanted)
    if filled:
        noise = (filled * (wanted // len(filled) + 1))[:wanted]
    desc = AppDesc(
        version=version,
        project=project,
        time="12:00:00",
        date="Jan  1 2026",
        idf=idf,
        elf_sha256=hashlib.sha256(noise + version.encode()).digest(),
        secure_version=secure_version,
    ).to_bytes()

    def written(filler: int) -> bytes:
        rom = CHIP_DEFS[chip_name]
        image = rom.BOOTLOADER_IMAGE(append_digest=append_hash)
        data_in_ram, code_in_ram = _RAM[chip_name]
        constants, code = (wanted // 4, filler) if wanted >= _WITH_CODE else (filler, 0)
        parts = {
            rom.DROM_MAP_START + DESC_OFFSET: desc + noise[:constants],
            data_in_ram: noise[:256],
            code_in_ram: noise[:1024],
            rom.IROM_MAP_START + DESC_OFFSET: noise[-code:] if code else b"",
        }
        # by its name the writer knows the one that goes first, where code and constants share a window (C6)
        names = dict.fromkeys(parts, b"") | {rom.DROM_MAP_START + DESC_OFFSET: b".flash.appdesc"}
        image.segments = [ELFSection(names[at], at, data, 0) for at, data in parts.items() if data]
        image.entrypoint = code_in_ram
        image.flash_mode, image.flash_size_freq = _DIO, _4MB_40MHZ
        image.min_rev_full, image.max_rev_full = min_revision, max_revision
        result: bytes = image.save(None)
        return result

    # the writer pads between segments as their addresses ask: write, correct by what it came to
    guess = wanted // 4
    return written(max(guess + wanted - len(written(guess)), 0) & ~15)


def with_behaviour(image: bytes, **behaviour: Any) -> bytes:
    """`image` with a trailer saying so, in place of whatever followed it.

    Raises ImageError when it is no image.
    """
    length = measure(image)
    text = json.dumps(behaviour, sort_keys=True, separators=(",", ":")).encode()
    padding = b"\xff" * (_trailer_offset(length) - length)
    return image[:length] + padding + _TRAILER_HEAD.pack(_TRAILER_MAGIC, len(text)) + text


def behaviour_of(read: Read, image_length: int) -> dict[str, Any]:
    """What the trailer after an image of that length says; {} without one."""
    offset = _trailer_offset(image_length)
    try:
        magic, size = _TRAILER_HEAD.unpack(read(offset, _TRAILER_HEAD.size))
        if magic != _TRAILER_MAGIC:
            return {}
        behaviour = json.loads(read(offset + _TRAILER_HEAD.size, size))
    except (
        ValueError,
        struct.error,
    ):  # the image ends where its flash does, or a write of the trailer was cut
        return {}
    return behaviour if isinstance(behaviour, dict) else {}


def _trailer_offset(image_length: int) -> int:
    return (image_length + 15) & ~15
