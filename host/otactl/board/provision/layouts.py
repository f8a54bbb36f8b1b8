"""Which partition table a board gets: two equal slots with room for the firmware to grow, the rest for files."""

from dataclasses import dataclass
from pathlib import Path

from vboard.flash.partition import FAT, NVS, OTA_0, OTADATA, TYPE_APP, TYPE_DATA, Row  # pure Python: any system
from vboard.flash.table import LAYOUTS, Table, TableError

from otactl.errors import BoardError, UsageError

GROWTH = 0.05  # of the firmware: the C3's grew by 22 % from 1.20 to 1.24, which is about so much a release
FILES_LEAST = 0x40000  # bytes: the agent, its configuration, and an application of some size
_STEP = 0x10000  # app partitions begin at multiples of it
_FIRST = 0x10000  # where the first slot begins, and the app of a stock build
_USUAL = ((16 << 20, 0x400000), (8 << 20, 0x280000), (4 << 20, 0x1B0000))  # (flash of so many bytes and up, slot)
_NAMED = tuple(name for name in LAYOUTS if name != "factory")  # that one has no slots


@dataclass(frozen=True, slots=True)
class Layout:
    """A table for a board, with a row for its files. `note`: what is to be known of it."""

    table: Table
    note: str = ""

    @property
    def first(self) -> Row:
        """Where the bootloader looks while otadata is blank."""
        return self.table.factory or self.table.ota_slots[0]

    @property
    def files(self) -> Row:
        found = self.table.find("vfs")
        assert found
        return found


def for_firmware(app_size: int, flash_size: int) -> Layout:
    """Two slots that an app of `app_size` bytes fits with room to grow. Raises BoardError where the flash is too small."""
    most = (flash_size - _FIRST - FILES_LEAST) // 2 // _STEP * _STEP
    if app_size > most:
        raise BoardError(
            f"two slots for {app_size} bytes of firmware and {FILES_LEAST >> 10} KiB of files do not fit into "
            f"{flash_size >> 20} MiB of flash: take a smaller build, or another board"
        )
    usual = next((slot for size, slot in _USUAL if flash_size >= size), 0)
    size = min(most, max(usual, _rounded(int(app_size * (1 + GROWTH)))))
    room = size / app_size - 1
    tight = f"the slots have room for {room:.1%} more only: releases that grow beyond it need another table, by cable"
    return Layout(_two_slots(size, flash_size), tight if room < GROWTH else "")


def named(words: str, app_size: int, flash_size: int) -> Layout:
    """A layout by its name, or from a file in ESP-IDF's CSV form; a row for files is added where it has none.

    Raises UsageError for one that is none, or has no slots; BoardError where flash or firmware do not fit it.
    """
    table = _with_files(_read(words), flash_size, words)
    try:
        table.check(flash_size)
    except TableError as error:
        raise BoardError(f"layout {words}: {error}") from None
    layout = Layout(table)
    small = next((row for row in (layout.first, *table.ota_slots) if row.size < app_size), None)
    if small:
        raise BoardError(f"layout {words}: {small.label} has {small.size} bytes, the firmware {app_size}")
    return layout


def _read(words: str) -> Table:
    if words in _NAMED:
        table = LAYOUTS[words]
    else:
        path = Path(words)
        if not path.is_file():
            raise UsageError(f"layout {words!r}: no file, and none of {', '.join(_NAMED)}")
        try:
            table = Table.from_csv(path.read_text(encoding="utf-8"))
        except (TableError, ValueError) as error:
            raise UsageError(f"{words}: {error}") from None
    if len(table.ota_slots) < 2 or not table.otadata or not table.find_kind(TYPE_DATA, NVS):
        raise UsageError(f"layout {words}: an update needs two OTA slots, otadata and nvs")
    return table


def _with_files(table: Table, flash_size: int, words: str) -> Table:
    """MicroPython looks for its files in a row named vfs; ffat is what it was called before."""
    if table.find("vfs"):
        return table
    if table.find("ffat"):
        raise UsageError(f"layout {words}: name the partition for files vfs")
    end = max(row.end for row in table.rows)
    if end + FILES_LEAST > flash_size:
        raise BoardError(f"layout {words}: {flash_size >> 20} MiB of flash leave no room for files")
    return Table((*table.rows, Row(TYPE_DATA, FAT, end, flash_size - end, "vfs")))


def _two_slots(size: int, flash_size: int) -> Table:
    end = _FIRST + 2 * size
    return Table(
        (
            Row(TYPE_DATA, NVS, 0x9000, 0x5000, "nvs"),
            Row(TYPE_DATA, OTADATA, 0xE000, 0x2000, "otadata"),
            Row(TYPE_APP, OTA_0, _FIRST, size, "ota_0"),
            Row(TYPE_APP, OTA_0 + 1, _FIRST + size, size, "ota_1"),
            # MicroPython makes this one itself since 1.26; with a row every version finds its files in the same place
            Row(TYPE_DATA, FAT, end, flash_size - end, "vfs"),
        )
    )


def _rounded(size: int) -> int:
    return -(-size // _STEP) * _STEP
