"""App images: built with esptool's own writer, or taken out of a full-flash file.

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
    HEAD_SIZE,
    AppDesc,
    ImageError,
    Read,
    describe,
    measure,
)
from vboard.flash.table import TABLE_OFFSET, Row, Table, TableError

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
_WIDEST_FLASH = 128 << 20  # bytes; the file does not say how large the chip is
_BASES = (0x0, 0x1000, 0x2000)  # flash offsets at which a full-flash file may begin

_OTHER_FORMATS = (
    (b"\x7fELF", "an ELF file: convert it with `esptool elf2image`"),
    (b"UF2\n", "a UF2 file: take the .app-bin or .bin of the same build"),
    (b"PK\x03\x04", "a ZIP archive: unpack it first"),
    (b"\x1f\x8b", "a gzip file: unpack it first"),
    (b"\xcf\xb6\x88\x07", "an encrypted image (esp_encrypted_img): decrypt it first"),
    (b"\xaa\x50", "a partition table"),
    (b"<", "a web page: the download went wrong"),
    (b"\xff" * 16, "blank flash contents"),
)


def build_app(
    chip_name: str,
    *,
    size: int | None = None,
    seed: int = 0,
    version: str = "",
    project: str = "",
    secure_version: int = 0,
    min_revision: int = 0,
    max_revision: int = 0,
    append_hash: bool = True,
) -> bytes:
    """A sound app image for `chip_name` (as esptool spells it: esp32, esp32c6, …).

    `size`: about how many bytes, 2 KiB at least. Images of one seed and size are equal, of two
    seeds they differ all through.
    """
    wanted = size or _DEFAULT_SIZE
    noise = random.Random(f"{seed}/{chip_name}/{wanted}").randbytes(wanted)
    desc = AppDesc(
        version=version,
        project=project,
        time="12:00:00",
        date="Jan  1 2026",
        idf=_IDF,
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


def extract_app(data: bytes) -> tuple[bytes, str]:
    """The app image in a firmware file, and a note on where it was.

    An app image comes back as it is, with whatever follows it; a full-flash file (bootloader,
    partition table and app) gives the image in its first app partition. Raises ValueError that
    says what the file is instead.
    """
    if _is_app(data):
        _check_whole(data, 0, "the file")
        return data, "app image"
    for base in _BASES:
        rows = _app_rows(data[TABLE_OFFSET - base :])
        if rows:
            return _from_partition(data, rows[0], rows[0].offset - base)
    raise ValueError(_what_else(data))


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


def _is_app(data: bytes) -> bool:
    try:
        return describe(data[:HEAD_SIZE])[1] is not None
    except ImageError:
        return False


def _app_rows(sector: bytes) -> list[Row]:
    try:
        table = Table.from_bytes(sector[:0x1000], _WIDEST_FLASH, require_md5=False)
    except TableError:
        return []
    return [row for row in table.rows if row.is_app]


def _from_partition(data: bytes, row: Row, offset: int) -> tuple[bytes, str]:
    where = f"partition {row.label} at {row.offset:#x}"
    app = data[offset : offset + row.size]
    if not _is_app(app):
        raise ValueError(f"a full-flash file without an app: {where} holds none")
    length = _check_whole(app, offset, where)
    return app[:length], f"app taken out of a full-flash file, {where}"


def _check_whole(app: bytes, offset: int, where: str) -> int:
    try:
        length = measure(app)
    except ImageError as error:
        raise ValueError(f"a damaged app image in {where}: {error}") from None
    if length > len(app):
        raise ValueError(f"an app image cut short: {where} has {len(app)} bytes of its {length}")
    return length


def _what_else(data: bytes) -> str:
    for magic, name in _OTHER_FORMATS:
        if data.startswith(magic):
            return name
    try:
        describe(data[:HEAD_SIZE])
    except ImageError:
        return f"no ESP32 firmware (it begins with {data[:8].hex(' ')})" if data else "an empty file"
    return "an ESP32 image without an app description: a bootloader alone"
