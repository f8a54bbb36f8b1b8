"""Items of the NVS store: one value, or one chunk of a blob, or the index of a blob's chunks.

Source: ESP-IDF nvs_flash/src/nvs_types.hpp, nvs_types.cpp; nvs_flash/include/nvs.h (error codes).
"""

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum

ENTRY_SIZE = 32  # bytes
ENTRY_COUNT = 126  # of a page
CHUNK_MAX = (ENTRY_COUNT - 1) * ENTRY_SIZE  # most data that one item holds, bytes
KEY_MAX = 15  # bytes
NO_CHUNK = 0xFF  # chunk index of every item but a blob's data

_ITEM = struct.Struct("<BBBB I 16s 8s")
_VAR_LENGTH = struct.Struct("<HHI")


class Kind(IntEnum):
    """Types of item that the store treats in ways of their own; the others are single entries."""

    U8 = 0x01
    I32 = 0x14
    TEXT = 0x21
    OLD_BLOB = 0x41  # whole in one item, as written before IDF 4
    BLOB_DATA = 0x42
    BLOB_INDEX = 0x48


_VARIABLE = frozenset({Kind.TEXT, Kind.OLD_BLOB, Kind.BLOB_DATA})


class Status(IntEnum):
    """Errors, as the negative numbers that MicroPython makes of them."""

    NOT_FOUND = -0x1102
    NOT_ENOUGH_SPACE = -0x1105
    KEY_TOO_LONG = -0x1109
    INVALID_STATE = -0x110B
    INVALID_LENGTH = -0x110C
    NO_FREE_PAGES = -0x110D
    VALUE_TOO_LONG = -0x110E
    NEW_VERSION_FOUND = -0x1110


class NvsError(Exception):
    """`code` and `name` as MicroPython puts them in its OSError."""

    def __init__(self, code: int, name: str) -> None:
        super().__init__(code, name)
        self.code = code
        self.name = name

    @classmethod
    def of(cls, status: Status) -> "NvsError":
        return cls(int(status), f"ESP_ERR_NVS_{status.name}")


def crc32(data: bytes) -> int:
    return zlib.crc32(data, 0xFFFFFFFF)


@dataclass(frozen=True, slots=True)
class Item:
    """The first entry of an item.

    data: the value, or the size and CRC of what the entries after it hold.
    """

    namespace: int
    kind: int
    span: int  # entries
    chunk: int
    key: bytes
    data: bytes

    @classmethod
    def make(cls, namespace: int, kind: Kind, key: bytes, value: bytes, chunk: int) -> "Item":
        """The item of a value whose data, if its kind has any, goes into the entries after it."""
        if kind in _VARIABLE:
            data = _VAR_LENGTH.pack(len(value), 0xFFFF, crc32(value))
        else:
            data = value.ljust(8, b"\xff")
        return cls(namespace, kind, _span(kind, len(value)), chunk, key, data)

    @classmethod
    def from_bytes(cls, raw: bytes, index: int) -> "Item | None":
        """None when entry `index` holds no sound item: a bad CRC, or an impossible span."""
        namespace, kind, span, chunk, crc, key, data = _ITEM.unpack(raw)
        if crc != crc32(raw[:4] + raw[8:]) or not 0 < span <= ENTRY_COUNT - index:
            return None
        if span != _span(kind, _VAR_LENGTH.unpack(data)[0]):
            return None
        return cls(namespace, kind, span, chunk, key.split(b"\0", 1)[0], data)

    def to_bytes(self) -> bytes:
        fields = (self.namespace, self.kind, self.span, self.chunk)
        crc = crc32(bytes(fields) + self.key.ljust(16, b"\0") + self.data)
        return _ITEM.pack(*fields, crc, self.key, self.data)

    @property
    def is_variable(self) -> bool:
        return self.kind in _VARIABLE

    @property
    def data_size(self) -> int:
        """Bytes in the entries after this one."""
        size: int = _VAR_LENGTH.unpack(self.data)[0]
        return size

    @property
    def data_crc(self) -> int:
        crc: int = _VAR_LENGTH.unpack(self.data)[2]
        return crc

    @property
    def owner(self) -> tuple[int, bytes]:
        return self.namespace, self.key

    @property
    def identity(self) -> tuple[int, bytes, int]:
        """What two items of one value have in common, whatever their types."""
        return self.namespace, self.key, self.chunk


def _span(kind: int, size: int) -> int:
    return 1 + -(-size // ENTRY_SIZE) if kind in _VARIABLE else 1
