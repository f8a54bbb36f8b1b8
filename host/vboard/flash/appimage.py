"""An app image: its header, its description, and whether a chip would run it.

Source: ESP-IDF bootloader_support/include/esp_app_format.h and src/esp_image_format.c,
src/bootloader_common_loader.c, esp_app_format/include/esp_app_desc.h.

Not modelled: the eFuse block revision limits of the description, and the bootloader's refusal of a
segment that would land on its own stack or data.
"""

import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass

from vboard.chips import Chip
from vboard.memory import is_mapped, is_ram

HEADER_SIZE = 24
DESC_OFFSET = 32  # the header, one segment header, then the first segment's data
DESC_SIZE = 256
HASH_SIZE = 32
HEAD_SIZE = DESC_OFFSET + DESC_SIZE  # what `describe` needs
MAGIC = 0xE9
DESC_MAGIC = 0xABCD5432
MAX_SEGMENTS = 16
LONGEST = 16 << 20
MMU_PAGE = 0x10000
_TWO_MIB, _LARGEST = 1, 7  # codes of a flash size: a power of two in MiB

_HEADER = struct.Struct("<BBBBI B3s HBHH 4s B")
_SEGMENT = struct.Struct("<II")
_DESC = struct.Struct("<II8s32s32s16s16s32s32sHHB75s")
_CHECKSUM_SEED = 0xEF
_FOLD = 0x10000  # bytes XORed at a time
_UNSET = (0, 0xFFFF)  # values of the maximum revision that set no limit
_NOT_LOADED = 0x10000000  # load addresses below are padding and reserved marks, which nothing loads

Read = Callable[[int, int], bytes]
"""Gives `n` bytes at an offset from the image's first byte; fewer, or ValueError, past the end."""


class ImageError(Exception):
    """The image would not be started. The text says which check it failed."""


@dataclass(frozen=True, slots=True)
class Header:
    """The 24 bytes before the first segment. Revisions are major * 100 + minor."""

    segment_count: int
    entry: int
    chip_id: int
    min_revision: int
    max_revision: int
    hash_appended: bool
    spi_mode: int = 2
    spi_size_and_speed: int = 0x20

    @property
    def flash_size(self) -> int:
        """Bytes of flash that the header speaks of; IDF takes a code that it does not know for 2 MiB."""
        code = self.spi_size_and_speed >> 4
        return 1 << 20 + (code if code <= _LARGEST else _TWO_MIB)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Header":
        """Raises ImageError unless `data` begins like an image."""
        if len(data) < HEADER_SIZE or data[0] != MAGIC:
            raise ImageError("invalid magic byte (nothing flashed here?)")
        _, count, mode, size, entry, _, _, chip, _, lowest, highest, _, hashed = _HEADER.unpack(data[:HEADER_SIZE])
        return cls(count, entry, chip, lowest, highest, bool(hashed), mode, size)


@dataclass(frozen=True, slots=True)
class Segment:
    """`offset` is that of the data, in bytes from the start of the image."""

    load_address: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class AppDesc:
    """esp_app_desc_t. MicroPython leaves `version` and `project` empty."""

    version: str = ""
    project: str = ""
    time: str = ""
    date: str = ""
    idf: str = ""
    elf_sha256: bytes = bytes(32)
    secure_version: int = 0
    min_block_revision: int = 0
    max_block_revision: int = 0
    mmu_page_log2: int = 16

    @classmethod
    def from_bytes(cls, data: bytes) -> "AppDesc | None":
        """None unless `data` begins with a description."""
        if len(data) < DESC_SIZE:
            return None
        magic, secure, _, version, project, time, date, idf, elf, lowest, highest, page, _ = _DESC.unpack(
            data[:DESC_SIZE]
        )
        if magic != DESC_MAGIC:
            return None
        return cls(
            _text(version),
            _text(project),
            _text(time),
            _text(date),
            _text(idf),
            elf,
            secure,
            lowest,
            highest,
            page,
        )

    def to_bytes(self) -> bytes:
        texts = [s.encode() for s in (self.version, self.project, self.time, self.date, self.idf)]
        return _DESC.pack(
            DESC_MAGIC,
            self.secure_version,
            bytes(8),
            *texts,
            self.elf_sha256,
            self.min_block_revision,
            self.max_block_revision,
            self.mmu_page_log2,
            bytes(75),
        )


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What a sound image holds. `length` counts its checksum and hash, but nothing after them."""

    length: int
    chip_id: int
    segments: tuple[Segment, ...]
    hash_appended: bool
    sha256: bytes | None
    desc: AppDesc | None


def reader(data: bytes) -> Read:
    return lambda offset, n: data[offset : offset + n]


def describe(head: bytes) -> tuple[Header, AppDesc | None]:
    """The header and description in an image's first HEAD_SIZE bytes.

    Raises ImageError when it is no image.
    """
    return Header.from_bytes(head), AppDesc.from_bytes(head[DESC_OFFSET:HEAD_SIZE])


def measure(data: bytes | Read) -> int:
    """An image's length in bytes, by its headers alone. Raises ImageError for headers of none."""
    read = data if callable(data) else reader(data)
    header = Header.from_bytes(exactly(read, 0, HEADER_SIZE))
    return body_length(walk(read, header)) + HASH_SIZE * header.hash_appended


def verify(data: bytes | Read, part_offset: int, part_size: int, chip: Chip, *, app_side: bool) -> ImageInfo:
    """Checks an image in a partition (flash offset and size, bytes) as the chip does.

    `app_side`: as esp_image_verify in the running app does (set_boot calls it); without it, as the
    bootloader does, which also refuses a segment meant for no RAM of this chip.
    Raises ImageError with the reason.
    """
    read = data if callable(data) else reader(data)
    if part_size > LONGEST:
        raise ImageError(f"partition size {part_size:#x} invalid, larger than 16MB")
    header = Header.from_bytes(exactly(read, 0, HEADER_SIZE))
    check_chip(header, chip)
    segments = walk(read, header)
    for number, segment in enumerate(segments):
        _check_placement(number, segment, part_offset, chip, loads=not app_side)
    body = body_length(segments)
    length = body + HASH_SIZE * header.hash_appended
    if length > part_size:
        raise ImageError(f"image length {length} doesn't fit in partition length {part_size}")
    image = exactly(read, 0, length)
    desc = AppDesc.from_bytes(image[DESC_OFFSET:HEAD_SIZE])
    if chip.mmu_page_configurable and desc is None:
        raise ImageError("no app description, and this chip needs its MMU page size")
    checksum = checksum_of(image, segments)
    if checksum != image[body - 1]:
        raise ImageError(f"checksum failed: calculated {checksum:#04x}, read {image[body - 1]:#04x}")
    digest = hashlib.sha256(memoryview(image)[:body]).digest() if header.hash_appended else None
    if digest is not None and digest != image[body:length]:
        raise ImageError("image hash failed: image is corrupt")
    return ImageInfo(length, header.chip_id, segments, header.hash_appended, digest, desc)


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("ascii", "replace")


def exactly(read: Read, offset: int, n: int) -> bytes:
    """Raises ImageError where there are fewer bytes."""
    try:
        data = read(offset, n)
    except ValueError:
        data = b""
    if len(data) < n:
        raise ImageError(f"cut short: {n} bytes at {offset:#x} go past the end")
    return data


def check_chip(header: Header, chip: Chip) -> None:
    """Raises ImageError where an image is for another chip, or for other revisions of it."""
    if header.chip_id != chip.chip_id:
        raise ImageError(f"mismatch chip ID, expected {chip.chip_id}, found {header.chip_id}")
    low, high, own = header.min_revision, header.max_revision, chip.revision
    if own < low:
        raise ImageError(f"chip revision check failed: required >= {_revision(low)}, found {_revision(own)}")
    if high not in _UNSET and own > high:
        raise ImageError(f"chip revision check failed: required <= {_revision(high)}, found {_revision(own)}")


def _revision(number: int) -> str:
    return f"v{number // 100}.{number % 100}"


def walk(read: Read, header: Header) -> tuple[Segment, ...]:
    """The segments that follow a header. Raises ImageError for lengths that no image has."""
    if header.segment_count > MAX_SEGMENTS:
        raise ImageError(f"segment count {header.segment_count} exceeds max {MAX_SEGMENTS}")
    segments = []
    offset = HEADER_SIZE
    for number in range(header.segment_count):
        address, size = _SEGMENT.unpack(exactly(read, offset, _SEGMENT.size))
        if size % 4 or size >= LONGEST:
            raise ImageError(f"segment {number}: invalid length {size:#x}")
        offset += _SEGMENT.size
        segments.append(Segment(address, offset, size))
        offset += size
    return tuple(segments)


def _check_placement(number: int, segment: Segment, part_offset: int, chip: Chip, *, loads: bool) -> None:
    first, last = segment.load_address, segment.load_address + segment.size - 1
    if is_mapped(chip, first):
        at = part_offset + segment.offset
        if at % MMU_PAGE != first % MMU_PAGE:
            raise ImageError(f"segment {number}: load address {first:#010x} doesn't match data at {at:#x}")
    elif loads and segment.size and first >= _NOT_LOADED and not is_ram(chip, first, last):
        raise ImageError(f"segment {number}: {first:#010x}-{last:#010x}: bad load address range")


def body_length(segments: tuple[Segment, ...]) -> int:
    """Up to the checksum, which is the last byte of a 16-byte line."""
    end = segments[-1].offset + segments[-1].size if segments else HEADER_SIZE
    return (end + 16) & ~15


def checksum_of(image: bytes, segments: tuple[Segment, ...]) -> int:
    """What the last byte before the hash must be: XOR of all segment data."""
    # on long integers: a loop over 1.7 MB takes a second
    total = _CHECKSUM_SEED
    for segment in segments:
        end = segment.offset + segment.size
        for start in range(segment.offset, end, _FOLD):
            total ^= int.from_bytes(image[start : min(start + _FOLD, end)], "little")
    width = _FOLD * 8
    while width > 8:
        width //= 2
        total = (total >> width) ^ (total & ((1 << width) - 1))
    return total
