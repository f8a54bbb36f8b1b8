"""otadata: the two entries that say which slot starts next, and how far it is trusted.

Each entry lies alone in a sector, so that one survives whatever happens to the other.
Source: ESP-IDF bootloader_support/include/esp_flash_partitions.h, src/bootloader_common_loader.c,
app_update/esp_ota_ops.c.
"""

import struct
import zlib
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Self

from vboard.flash.nor import SECTOR, Flash
from vboard.flash.table import Row

ENTRY_SIZE = 32

_ENTRY = struct.Struct("<I20sII")
_BLANK_SEQ = 0xFFFFFFFF
_NO_LABEL = b"\xff" * 20
_U32 = 0xFFFFFFFF


class State(IntEnum):
    NEW = 0  # chosen, not yet started
    PENDING_VERIFY = 1  # started once, not yet confirmed
    VALID = 2
    INVALID = 3  # the app itself gave it up
    ABORTED = 4  # reset before it was confirmed
    UNDEFINED = 0xFFFFFFFF  # written where rollback is not built in


def crc_of(seq: int) -> int:
    """The CRC of an entry: it covers the sequence number and nothing else."""
    return zlib.crc32(seq.to_bytes(4, "little"), 0xFFFFFFFF)


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry as it stands in flash: nothing is mended, crc may be wrong and state any number."""

    seq: int
    state: int
    crc: int
    label: bytes = _NO_LABEL  # 20 bytes that nothing uses and every rewrite keeps

    @classmethod
    def make(cls, seq: int, state: State) -> Self:
        return cls(seq, state, crc_of(seq))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        seq, label, state, crc = _ENTRY.unpack(data)
        return cls(seq, state, crc, label)

    def to_bytes(self) -> bytes:
        return _ENTRY.pack(self.seq, self.label, self.state, self.crc)

    def with_state(self, state: State) -> Self:
        return replace(self, state=state)

    @property
    def blank(self) -> bool:
        return self.seq == _BLANK_SEQ

    @property
    def crc_ok(self) -> bool:
        return self.crc == crc_of(self.seq)

    @property
    def invalid(self) -> bool:
        """Never to be chosen. The CRC does not count: an entry may be neither valid nor this."""
        return self.blank or self.state in (State.INVALID, State.ABORTED)

    @property
    def valid(self) -> bool:
        return not self.invalid and self.crc_ok


def active(first: Entry, second: Entry) -> int:
    """Index of the entry that decides: of two valid ones the later, or 0 in a tie; -1 for none."""
    if first.valid and second.valid:
        return int(second.seq > first.seq)
    if first.valid:
        return 0
    return 1 if second.valid else -1


def slot_of(seq: int, slots: int) -> int:
    """The slot that sequence number `seq` means among so many, in C's unsigned arithmetic."""
    return (seq - 1 & _U32) % slots


def next_seq(current: int, slot: int, slots: int) -> int:
    """The lowest number for `slot` not below `current`: for the current slot, the same again."""
    seq = (slot + 1) % slots
    if current > seq:
        rounds = -(-(current - seq) // slots)
        seq += rounds * slots
    return seq & _U32


def read_entries(flash: Flash, otadata: Row) -> tuple[Entry, Entry]:
    """Both entries of the partition `otadata`."""
    first, second = (Entry.from_bytes(flash.read(otadata.offset + index * SECTOR, ENTRY_SIZE)) for index in (0, 1))
    return first, second
