"""One row of the partition table: its 32 bytes, what they mean, and what a row must keep to.

Source: ESP-IDF bootloader_support/include/esp_flash_partitions.h, and
partition_table/gen_esp32part.py for the checks.
"""

import struct
from dataclasses import dataclass
from typing import Self

SECTOR = 0x1000
ROW_SIZE = 32

TYPE_APP = 0x00
TYPE_DATA = 0x01
FACTORY = 0x00
OTA_0 = 0x10
TEST = 0x20
OTADATA = 0x00
NVS = 0x02
FAT = 0x81
ENCRYPTED = 1 << 0
READONLY = 1 << 1

ROW_MAGIC = b"\xaa\x50"
_ROW = struct.Struct("<2sBBLL16sL")
_APP_ALIGN = 0x10000  # a page of the MMU: code is mapped, not copied
_NVS_MIN = 0x3000
_OTADATA_SIZE = 0x2000
_LABEL_MAX = 16
_ADDRESSES = 1 << 32


class TableError(Exception):
    """A table that no chip would take. `code` is a stable word.

    Found in flash: empty, bad-magic, bad-md5, two-md5, no-md5, no-end, outside-flash.
    In the making: csv, label, alignment, bad-size, duplicate, overlap, too-many, outside-flash.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Row:
    """One partition: `size` bytes of flash from `offset` on. `flags`: ENCRYPTED | READONLY."""

    type: int
    subtype: int
    offset: int
    size: int
    label: str
    flags: int = 0

    @property
    def end(self) -> int:
        return self.offset + self.size

    @property
    def is_app(self) -> bool:
        return self.type == TYPE_APP

    @property
    def is_ota(self) -> bool:
        return self.is_app and OTA_0 <= self.subtype < TEST

    @property
    def slot_index(self) -> int:
        """Number of the OTA slot. Raises ValueError for any other partition."""
        if not self.is_ota:
            raise ValueError(f"partition {self.label} is not an OTA slot")
        return self.subtype - OTA_0

    @property
    def readonly(self) -> bool:
        return bool(self.flags & READONLY)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        _, kind, subtype, offset, size, label, flags = _ROW.unpack(data)
        return cls(kind, subtype, offset, size, label.split(b"\0")[0].decode("latin-1"), flags)

    def to_bytes(self) -> bytes:
        label = self.label.encode("latin-1")
        return _ROW.pack(ROW_MAGIC, self.type, self.subtype, self.offset, self.size, label, self.flags)

    def is_data(self, subtype: int) -> bool:
        return (self.type, self.subtype) == (TYPE_DATA, subtype)

    def check(self) -> None:
        """Raises TableError (label, alignment, bad-size) for what gen_esp32part.py refuses."""
        if not 0 < len(self.label) <= _LABEL_MAX or not self.label.isascii():
            raise TableError("label", f"label {self.label!r}: 1 to {_LABEL_MAX} ASCII characters")
        align = alignment(self.type)
        if self.offset % align:
            raise TableError(
                "alignment",
                f"{self.label}: offset 0x{self.offset:x} is not a multiple of 0x{align:x}",
            )
        if self.size <= 0 or (self.is_app and self.size % SECTOR):
            raise TableError("alignment", f"{self.label}: size 0x{self.size:x} is not of whole sectors")
        if self.end > _ADDRESSES:
            raise TableError("bad-size", f"{self.label}: ends at 0x{self.end:x}, beyond 4 GiB")
        if self.is_data(OTADATA) and self.size != _OTADATA_SIZE:
            raise TableError("bad-size", f"{self.label}: otadata is always 0x{_OTADATA_SIZE:x} bytes")
        if self.is_data(NVS) and not self.readonly and self.size < _NVS_MIN:
            raise TableError("bad-size", f"{self.label}: NVS needs 0x{_NVS_MIN:x} bytes")


def alignment(kind: int) -> int:
    """What the offset of a partition of type `kind` is a multiple of, in bytes."""
    return _APP_ALIGN if kind == TYPE_APP else SECTOR
