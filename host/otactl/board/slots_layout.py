"""The partition table and otadata as they lie in flash, and what they mean: bytes in, facts out.

Source: ESP-IDF esp_flash_partitions.h, bootloader_common_loader.c, bootloader_utility.c, esp_ota_ops.c, as MicroPython
builds them (rollback on). All integers are little-endian.
"""

import struct
import zlib
from dataclasses import dataclass

from vboard.flash.table import Table, TableError  # pure Python: runs on any system

from otactl.errors import BoardError

SECTOR = 0x1000
TABLE_AT = 0x8000
TABLE_SIZE = 0xC00
APP, DATA = 0, 1
ENTRY_SIZE = 32
NEW, PENDING, VALID, INVALID, ABORTED, UNDEFINED = 0, 1, 2, 3, 4, 0xFFFFFFFF
STATES = {
    NEW: "new",
    PENDING: "pending",
    VALID: "valid",
    INVALID: "invalid",
    ABORTED: "aborted",
    UNDEFINED: "undefined",
}
_WIDEST = 1 << 32
_ENTRY = struct.Struct("<I20sII")
_BLANK = 0xFFFFFFFF
_FACTORY, _OTA_0, _TEST = 0x00, 0x10, 0x20
_DATA_KINDS = {
    0: "otadata",
    1: "phy",
    2: "nvs",
    3: "coredump",
    4: "nvs keys",
    0x81: "fat",
    0x82: "spiffs",
    0x8F: "romfs",
}


@dataclass(frozen=True, slots=True)
class Part:
    """One partition: `size` bytes of flash from `offset` on."""

    name: str
    type: int
    subtype: int
    offset: int
    size: int

    @property
    def is_app(self) -> bool:
        return self.type == APP

    @property
    def is_slot(self) -> bool:
        """Whether otadata can name it."""
        return self.is_app and _OTA_0 <= self.subtype < _TEST

    @property
    def is_factory(self) -> bool:
        return self.is_app and self.subtype == _FACTORY

    @property
    def number(self) -> int | None:
        """Of an OTA slot, from 0."""
        return self.subtype - _OTA_0 if self.is_slot else None

    @property
    def is_otadata(self) -> bool:
        return (self.type, self.subtype) == (DATA, 0)

    @property
    def kind(self) -> str:
        if self.is_app:
            return "factory" if self.is_factory else f"ota_{self.number}" if self.is_slot else "app"
        return _DATA_KINDS.get(self.subtype, "data") if self.type == DATA else f"type {self.type}"


def parse_table(data: bytes, where: str) -> tuple[Part, ...]:
    """The rows of a table sector. Raises BoardError for what the bootloader or MicroPython would refuse."""
    try:
        table = Table.from_bytes(data, _WIDEST, require_md5=True)
    except TableError as error:
        if error.code == "empty":
            raise BoardError(f"{where} has no partition table at {TABLE_AT:#x}: flash firmware first") from None
        if error.code == "no-md5":
            why = "has no MD5, which MicroPython insists on"
        else:
            why = f"is damaged ({error})"
        raise BoardError(f"the partition table of {where} {why}: flash it again by cable") from None
    return tuple(Part(row.label, row.type, row.subtype, row.offset, row.size) for row in table.rows)


def _crc(seq: int) -> int:
    return zlib.crc32(seq.to_bytes(4, "little"), 0xFFFFFFFF)


@dataclass(frozen=True, slots=True)
class Entry:
    """One of otadata's two. `crc_ok`: it covers the number only, not the state."""

    seq: int
    state: int
    crc_ok: bool
    label: bytes = b"\xff" * 20  # nothing uses it, every rewrite keeps it

    @classmethod
    def parse(cls, data: bytes) -> "Entry":
        seq, label, state, crc = _ENTRY.unpack_from(data)
        return cls(seq, state, crc == _crc(seq), label)

    def encoded(self) -> bytes:
        return _ENTRY.pack(self.seq, self.label, self.state, _crc(self.seq))

    @property
    def blank(self) -> bool:
        return self.seq == _BLANK

    @property
    def given_up(self) -> bool:
        """Never chosen. The CRC does not count: an entry may be neither this nor valid."""
        return self.blank or self.state in (INVALID, ABORTED)

    @property
    def counts(self) -> bool:
        return not self.given_up and self.crc_ok

    @property
    def said(self) -> str:
        if self.blank:
            return "blank"
        state = STATES.get(self.state, f"{self.state:#x}")
        return f"seq {self.seq} {state}" + ("" if self.crc_ok else ", wrong CRC")


Entries = tuple[Entry, Entry]


def active(entries: Entries) -> int | None:
    """Index of the entry that decides: of two that count the later, the first in a tie."""
    first, second = entries
    if first.counts and second.counts:
        return int(second.seq > first.seq)
    return 0 if first.counts else 1 if second.counts else None


def named(entry: Entry, slots: int) -> int:
    """The number of the slot that an entry means among so many, in C's unsigned arithmetic."""
    return ((entry.seq - 1) & 0xFFFFFFFF) % slots


def switched(entries: Entries, slot: int, slots: int) -> tuple[int, Entry]:
    """What esp_ota_set_boot_partition() writes for `slot` of `slots`: which entry, and its new content."""
    now = active(entries)
    if now is None:
        return 0, Entry(slot + 1, NEW, True, entries[0].label)
    seq = (slot + 1) % slots
    if entries[now].seq > seq:
        seq += -(-(entries[now].seq - seq) // slots) * slots
    return 1 - now, Entry(seq & 0xFFFFFFFF, NEW, True, entries[1 - now].label)
