"""ESP-IDF as esp32.Partition calls it: guarded flash access, and the say over the next boot.

Source: ESP-IDF esp_partition/partition.c and partition_target.c, spi_flash/esp_flash_api.c,
app_update/esp_ota_ops.c; MicroPython ports/esp32/esp32_partition.c, mphalport.c (error numbers).
"""

from dataclasses import replace
from typing import NoReturn

from vboard.chip.panic import Abort
from vboard.chips import Chip
from vboard.flash.appimage import ImageError, verify
from vboard.flash.nor import SECTOR, Actor, Flash
from vboard.flash.otadata import Entry, State, active, crc_of, next_seq, read_entries, slot_of
from vboard.flash.table import TABLE_OFFSET, TABLE_SIZE, Row, Table

_ANY = 0xFF
_U32 = 0xFFFFFFFF
_FILE_SYSTEMS = ("vfs", "ffat")
VERIFY_US_PER_KIB = 410  # reading and hashing an image: 0.67 s for 1.6 MB (facts 10.11)
_CODES = {
    "ESP_FAIL": 1,  # the port's one error that is not negated
    "ESP_ERR_INVALID_ARG": -0x102,
    "ESP_ERR_INVALID_SIZE": -0x104,
    "ESP_ERR_NOT_FOUND": -0x105,
    "ESP_ERR_NOT_ALLOWED": -0x10D,
    "ESP_ERR_OTA_VALIDATE_FAILED": -0x1503,
}


class IdfError(Exception):
    """What MicroPython raises as OSError(code, name), or OSError(code) where the name is empty."""

    def __init__(self, code: int, name: str) -> None:
        super().__init__(code, name)
        self.code = code
        self.name = name


def _error(name: str) -> IdfError:
    return IdfError(_CODES[name], name)


class App:
    """A running app. `table` is what it sees, with the partition that it added at start-up.

    Offsets and sizes are bytes within a partition; a negative offset is the large number that C
    makes of it.
    """

    def __init__(self, flash: Flash, chip: Chip, table: Table, running: Row) -> None:
        self._flash = flash
        self._chip = chip
        self._table = table
        self._running = running

    def find(self, kind: int, subtype: int = _ANY, label: str | None = None) -> list[Row]:
        """Partitions in table order. 255: any subtype, and any type if any subtype."""
        if kind == _ANY and subtype != _ANY:
            return []
        return [
            row
            for row in self._table.rows
            if kind in (row.type, _ANY) and subtype in (row.subtype, _ANY) and label in (row.label, None)
        ]

    def boot_partition(self) -> Row | None:
        """What otadata names, whether or not it would start; None on a board without otadata."""
        otadata, slots = self._table.otadata, self._table.ota_slots
        if otadata is None:
            return None
        entries = read_entries(self._flash, otadata)
        index = active(*entries)
        if index < 0 or not slots:
            first_slot = next(iter(self._slots_in_order()), None)
            return self._table.factory or first_slot or self._table.test
        return slots[slot_of(entries[index].seq, len(slots))]

    def next_update(self, start: Row) -> Row | None:
        """The OTA slot after `start`; after the last one or anything else the first; or None."""
        slots = self._slots_in_order()
        after = slots.index(start) + 1 if start in slots else 0
        return slots[after % len(slots)] if slots else None

    def read(self, row: Row, offset: int, size: int) -> bytes:
        """Raises IdfError: INVALID_ARG for a start, INVALID_SIZE for an end beyond the row."""
        return self._flash.read(row.offset + _within(row, offset, size), size)

    def program(self, row: Row, offset: int, data: bytes) -> None:
        """Write without an erase: bits only go from 1 to 0, and nobody checks what came of it.

        Raises IdfError as `read` does and NOT_ALLOWED on a read-only partition; Abort in the
        running app, the bootloader and the partition table.
        """
        offset = _within(row, offset, len(data), writing=True)
        self._guard(row.offset + offset, len(data))
        self._flash.program(row.offset + offset, data, actor=_actor(row))

    def erase(self, row: Row, offset: int, size: int) -> None:
        """Raises as `program` does; INVALID_SIZE, INVALID_ARG where not of whole sectors."""
        offset = _within(row, offset, size, writing=True)
        if size % SECTOR:
            raise _error("ESP_ERR_INVALID_SIZE")
        if offset % SECTOR:
            raise _error("ESP_ERR_INVALID_ARG")
        self._guard(row.offset + offset, size)
        self._flash.erase(row.offset + offset, size, actor=_actor(row))

    def write_blocks(self, row: Row, offset: int, data: bytes, block_size: int) -> None:
        """writeblocks(n, buf): erase and write. Raises as `erase` does.

        With blocks smaller than a sector the rest of the sector goes through RAM, and a power cut
        loses it.
        """
        offset &= _U32
        end = offset + len(data)
        if block_size >= SECTOR:
            self.erase(row, offset, len(data))
        else:
            for start in range(offset - offset % SECTOR, end, SECTOR):
                self._erase_around(row, start, offset, end)
        self.program(row, offset, data)

    def write_from_nowhere(self, row: Row, offset: int, size: int, *, erases: bool) -> NoReturn:
        """writeblocks() of `size` bytes at address 0 (uctypes.bytearray_at): what it erases is erased, then IDF refuses.

        Raises IdfError as `erase` does, or INVALID_ARG.
        """
        if erases:
            self.erase(row, offset & _U32, size)
        raise _error("ESP_ERR_INVALID_ARG")

    def _erase_around(self, row: Row, start: int, keep_to: int, keep_from: int) -> None:
        """Erase the sector at `start`; restore what is before `keep_to` or from `keep_from` on."""
        kept = self.read(row, start, SECTOR)
        self.erase(row, start, SECTOR)
        if start < keep_to:
            self.program(row, start, kept[: keep_to - start])
        if keep_from < start + SECTOR:
            self.program(row, keep_from, kept[keep_from - start :])

    def set_boot(self, row: Row) -> None:
        """Verify the image in `row`, then make it the one that the next boot starts, as NEW.

        Raises IdfError: OTA_VALIDATE_FAILED for a bad image (a data partition holds none),
        NOT_FOUND on a board without otadata, INVALID_ARG for a slot that IDF does not count.
        """
        try:
            read = self._flash.reader(row.offset)
            image = verify(read, row.offset, row.size, self._chip, app_side=True)
        except ImageError:
            raise _error("ESP_ERR_OTA_VALIDATE_FAILED") from None
        self._flash.spend(image.length * VERIFY_US_PER_KIB / 1024)
        if not row.is_app:
            raise _error("ESP_ERR_INVALID_ARG")
        otadata, slots = self._table.otadata, len(self._table.ota_slots)
        if otadata is None:
            raise _error("ESP_ERR_NOT_FOUND")
        if row == self._table.factory:
            for at in range(0, otadata.size, SECTOR):  # one call of IDF's; the chip erases sector by sector
                self.erase(otadata, at, SECTOR)
            return
        slot = row.subtype & 0x0F
        if slot >= slots:
            raise _error("ESP_ERR_INVALID_ARG")
        entries = read_entries(self._flash, otadata)
        index = active(*entries)
        if index < 0:
            target, seq = 0, slot + 1
        else:
            target, seq = 1 - index, next_seq(entries[index].seq, slot, slots)
        self._rewrite(otadata, target, replace(entries[target], seq=seq, state=State.NEW))

    def mark_valid(self) -> None:
        """Mark the active entry VALID. It need not be the running app's: IDF does not ask.

        Raises IdfError: NOT_FOUND on a board without otadata, ESP_FAIL where no entry is active.
        """
        otadata = self._table.otadata
        if otadata is None:
            raise _error("ESP_ERR_NOT_FOUND")
        entries = read_entries(self._flash, otadata)
        index = active(*entries)
        if index < 0 or not self._table.ota_slots:
            raise _error("ESP_FAIL")
        if entries[index].state != State.VALID:
            self._rewrite(otadata, index, entries[index].with_state(State.VALID))

    def _rewrite(self, otadata: Row, index: int, entry: Entry) -> None:
        self.erase(otadata, index * SECTOR, SECTOR)
        sealed = replace(entry, crc=crc_of(entry.seq))
        self.program(otadata, index * SECTOR, sealed.to_bytes())

    def _slots_in_order(self) -> list[Row]:
        return sorted(self._table.all_ota, key=lambda row: row.subtype)

    def _guard(self, address: int, size: int) -> None:
        if address <= TABLE_OFFSET + TABLE_SIZE:
            raise Abort(f"write at 0x{address:x}, in the bootloader or the partition table")
        running = self._running
        if address in range(running.offset, running.end) or (address < running.offset < address + size):
            raise Abort(f"write at 0x{address:x}, in the running app ({running.label})")


def _within(row: Row, offset: int, size: int, *, writing: bool = False) -> int:
    """The offset as C sees it, checked in the order in which IDF checks."""
    if writing and row.readonly:
        raise _error("ESP_ERR_NOT_ALLOWED")
    offset &= _U32
    if offset > row.size:
        raise _error("ESP_ERR_INVALID_ARG")
    if offset + size > row.size:
        raise _error("ESP_ERR_INVALID_SIZE")
    return offset


def _actor(row: Row) -> Actor:
    return "vfs" if row.label in _FILE_SYSTEMS else "app"
