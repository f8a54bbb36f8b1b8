"""The partition table in flash, and the layouts that a virtual board comes with.

Source: ESP-IDF bootloader_support/src/flash_partitions.c (what the bootloader accepts),
esp_partition/partition.c (the app insists on the MD5 row), partition_table/gen_esp32part.py;
MicroPython ports/esp32/main.c (the vfs row), ports/esp32/partitions-*.csv.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self

from vboard.flash import table_csv
from vboard.flash.partition import (
    FACTORY,
    FAT,
    OTA_0,
    OTADATA,
    ROW_MAGIC,
    ROW_SIZE,
    SECTOR,
    TEST,
    TYPE_APP,
    TYPE_DATA,
    Row,
    TableError,
)

__all__ = ["LAYOUTS", "SECTOR", "TABLE_OFFSET", "TABLE_SIZE", "Row", "Table", "TableError"]

TABLE_OFFSET = 0x8000
TABLE_SIZE = 0xC00  # rows, MD5 row and end row; what is left of the sector is for a signature

_MD5_MAGIC = b"\xeb\xeb"
_MD5_HEAD = _MD5_MAGIC + b"\xff" * 14
_END = b"\xff" * 4  # magic, type and subtype of the end row: the rest is not looked at
_MAX_ROWS = TABLE_SIZE // ROW_SIZE - 2


@dataclass(frozen=True, slots=True)
class Table:
    """The partitions of a flash, in table order."""

    rows: tuple[Row, ...]

    @classmethod
    def from_bytes(cls, data: bytes, flash_size: int, *, require_md5: bool) -> Self:
        """Read the table sector. Raises TableError for what the bootloader refuses.

        require_md5: refuse a table without MD5 row too, as the app does.
        """
        if data[:4] == _END:
            raise TableError("empty", "there is no partition table: the sector is blank")
        rows: list[Row] = []
        md5_seen = False
        for number, start in enumerate(range(0, TABLE_SIZE, ROW_SIZE)):
            raw = data[start : start + ROW_SIZE]
            if raw[:4] == _END:
                break
            if raw[:2] == _MD5_MAGIC:
                if md5_seen:
                    raise TableError("two-md5", "Only one MD5 checksum is allowed")
                if raw[16:] != hashlib.md5(data[:start]).digest():
                    raise TableError("bad-md5", "Incorrect MD5 checksum")
                md5_seen = True
            elif raw[:2] == ROW_MAGIC:
                row = Row.from_bytes(raw)
                if row.end > flash_size:
                    raise TableError("outside-flash", _outside(number, row, flash_size))
                rows.append(row)
            else:
                magic = int.from_bytes(raw[:2], "little")
                raise TableError("bad-magic", f"partition {number} invalid magic number 0x{magic:x}")
        else:
            raise TableError("no-end", "partition table has no terminating entry, not valid")
        if require_md5 and not md5_seen:
            raise TableError("no-md5", "No MD5 found in partition table")
        return cls(tuple(rows))

    def to_bytes(self) -> bytes:
        """One flash sector: rows, MD5 row, FF. Raises TableError when there are too many rows."""
        if len(self.rows) > _MAX_ROWS:
            raise TableError("too-many", f"{len(self.rows)} partitions, a table holds {_MAX_ROWS}")
        rows = b"".join(row.to_bytes() for row in self.rows)
        return (rows + _MD5_HEAD + hashlib.md5(rows).digest()).ljust(SECTOR, b"\xff")

    def find(self, label: str) -> Row | None:
        return _first(row for row in self.rows if row.label == label)

    def find_kind(self, kind: int, subtype: int) -> Row | None:
        """The first partition of that type and subtype."""
        return _first(row for row in self.rows if (row.type, row.subtype) == (kind, subtype))

    @property
    def otadata(self) -> Row | None:
        return self.find_kind(TYPE_DATA, OTADATA)

    @property
    def factory(self) -> Row | None:
        return self.find_kind(TYPE_APP, FACTORY)

    @property
    def test(self) -> Row | None:
        return self.find_kind(TYPE_APP, TEST)

    @property
    def all_ota(self) -> tuple[Row, ...]:
        """Every OTA slot, as the bootloader counts them."""
        return tuple(row for row in self.rows if row.is_ota)

    @property
    def ota_slots(self) -> tuple[Row, ...]:
        """The slots from ota_0 up to the first gap, as the app counts them."""
        slots: list[Row] = []
        while row := self.find_kind(TYPE_APP, OTA_0 + len(slots)):
            if not row.is_ota:
                break
            slots.append(row)
        return tuple(slots)

    def with_auto_vfs(self, flash_size: int) -> Self:
        """With what MicroPython adds at start-up: `vfs`, from the last row to the flash's end.

        It does so since v1.26, where the table names no file system and leaves room for one.
        """
        end = max((row.end for row in self.rows), default=0)
        if any(row.type == TYPE_DATA and row.label in ("vfs", "ffat") for row in self.rows):
            return self
        if not 0 < end < flash_size:
            return self
        return type(self)((*self.rows, Row(TYPE_DATA, FAT, end, flash_size - end, "vfs")))

    def check(self, flash_size: int | None = None) -> None:
        """Raises TableError for what gen_esp32part.py refuses, or a row beyond `flash_size`."""
        for row in self.rows:
            row.check()
        for what, values in (
            ("label", [row.label for row in self.rows]),
            ("otadata", ["partition" for row in self.rows if row.is_data(OTADATA)]),
        ):
            twice = {value for value in values if values.count(value) > 1}
            if twice:
                raise TableError("duplicate", f"{what} {min(twice)} stands in the table twice")
        end = TABLE_OFFSET + SECTOR
        for row in sorted(self.rows, key=lambda row: row.offset):
            if row.offset < end:
                raise TableError("overlap", f"{row.label} begins at 0x{row.offset:x}, before 0x{end:x} is free")
            end = row.end
        for number, row in enumerate(self.rows):
            if flash_size is not None and row.end > flash_size:
                raise TableError("outside-flash", _outside(number, row, flash_size))

    @classmethod
    def from_csv(cls, text: str) -> Self:
        """Read ESP-IDF's CSV (table_csv.py says what of it).

        Raises TableError with the number of a line it cannot read, or for what `check` refuses.
        """
        table = cls(tuple(table_csv.parse(text, TABLE_OFFSET + SECTOR)))
        table.check()
        return table


def _first(rows: Iterable[Row]) -> Row | None:
    return next(iter(rows), None)


def _outside(number: int, row: Row, flash_size: int) -> str:
    return (
        f"partition {number} invalid - offset 0x{row.offset:x} size 0x{row.size:x} "
        f"exceeds flash chip size 0x{flash_size:x}"
    )


LAYOUTS = MappingProxyType(
    {
        name: Table.from_csv(text)
        for name, text in {
            # Two slots for today's 1.7 MB firmware in 4 MiB of flash; the rest is for files.
            "ota": """
                nvs,     data, nvs,   0x9000, 0x5000
                otadata, data, ota,   0xe000, 0x2000
                ota_0,   app,  ota_0, ,       0x1B0000
                ota_1,   app,  ota_1, ,       0x1B0000
            """,
            # MicroPython's partitions-4MiB-ota.csv: firmware built for size only.
            "ota-stock": """
                nvs,      data, nvs,   0x9000, 0x4000
                otadata,  data, ota,   0xd000, 0x2000
                phy_init, data, phy,   0xf000, 0x1000
                ota_0,    app,  ota_0, ,       0x180000
                ota_1,    app,  ota_1, ,       0x180000
            """,
            # A factory app to fall back on and two slots: 8 MiB of flash and up.
            "factory-ota": """
                nvs,     data, nvs,     0x9000, 0x5000
                otadata, data, ota,     0xe000, 0x2000
                factory, app,  factory, ,       0x1B0000
                ota_0,   app,  ota_0,   ,       0x1B0000
                ota_1,   app,  ota_1,   ,       0x1B0000
            """,
            # Three slots, the last two releases stay: 8 MiB of flash and up.
            "three": """
                nvs,     data, nvs,   0x9000, 0x5000
                otadata, data, ota,   0xe000, 0x2000
                ota_0,   app,  ota_0, ,       0x1B0000
                ota_1,   app,  ota_1, ,       0x1B0000
                ota_2,   app,  ota_2, ,       0x1B0000
            """,
            # MicroPython's partitions-4MiBplus.csv, what nearly every board has: no OTA.
            "factory": """
                nvs,      data, nvs,     0x9000, 0x6000
                phy_init, data, phy,     0xf000, 0x1000
                factory,  app,  factory, ,       0x1F0000
            """,
        }.items()
    }
)
