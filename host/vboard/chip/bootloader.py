"""The second-stage bootloader: which partition starts after a reset, and what otadata says then.

Its image in flash is the ROM's matter (firststage.py); what counts here is the flash size in its header.

Source: ESP-IDF bootloader/subproject/main/bootloader_start.c and
bootloader_support/src/bootloader_utility.c as MicroPython builds them: rollback on, no
anti-rollback, no validation on waking from deep sleep, log level WARN. The console text is IDF's
without the time stamps.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from vboard.chips import Chip
from vboard.flash.appimage import HEADER_SIZE, Header, ImageError, check_chip, describe, verify
from vboard.flash.nor import SECTOR, Flash
from vboard.flash.otadata import Entry, State, active, read_entries, slot_of
from vboard.flash.table import TABLE_OFFSET, TABLE_SIZE, Row, Table, TableError

_FACTORY = -1  # the index that IDF gives the factory partition, one below ota_0
_MIN_OTADATA_SIZE = 2 * SECTOR


@dataclass(frozen=True, slots=True)
class Booted:
    """What one reset led to.

    row: the partition that starts; None where nothing does and the chip resets again, for ever.
    log: lines that the bootloader printed.
    """

    row: Row | None
    log: list[str]


def boot(
    flash: Flash,
    chip: Chip,
    *,
    header: Header | None = None,
    deep_sleep_partition: str | None = None,
    rollback_enabled: bool = True,
) -> Booted:
    """Run the bootloader once over `flash`.

    header: of its own image; None for one that fits the chip and the flash.
    deep_sleep_partition: on waking from deep sleep, the label of what ran before. It starts again,
        unverified and whatever otadata says.
    rollback_enabled: False for a bootloader from before MicroPython v1.21, which starts an image
        that is NEW and leaves it NEW.
    Raises what `flash.before` raises.
    """
    log: list[str] = []
    size = header.flash_size if header else flash.size
    if header and (fault := _unfit(header, chip)):
        return Booted(None, [f"E boot_comm: {fault}"])
    try:
        table = Table.from_bytes(flash.read(TABLE_OFFSET, TABLE_SIZE), size, require_md5=False)
    except TableError as error:
        says = "partition 0 invalid magic number 0xffff" if error.code == "empty" else str(error)
        log.append(f"E flash_parts: {says}")
        log.append("E boot: Failed to verify partition table")
        log.append("E boot: load partition table error!")
        return Booted(None, log)
    if size > flash.size:
        table = Table(tuple(_wrapped(row, flash.size) for row in table.rows))
    return Booted(_Bootloader(flash, chip, table, rollback_enabled, log).run(deep_sleep_partition), log)


def _unfit(header: Header, chip: Chip) -> str:
    """Why this bootloader will not run on this chip (bootloader_common_check_chip_validity), or nothing."""
    try:
        check_chip(replace(header, max_revision=0), chip)  # only an app has a newest revision
    except ImageError as error:
        return str(error)
    return ""


def _wrapped(row: Row, size: int) -> Row:
    """Where a row lies in a flash of `size` bytes: it has no address lines for more, so its beginning follows its end."""
    offset = row.offset % size
    return replace(row, offset=offset, size=min(row.size, size - offset))


class _Bootloader:
    def __init__(self, flash: Flash, chip: Chip, table: Table, rollback: bool, log: list[str]) -> None:
        self._flash = flash
        self._chip = chip
        self._table = table
        self._rollback = rollback
        self._log = log
        self._app_count = len(table.all_ota)
        self._slots = {row.slot_index: row for row in table.all_ota}
        self._unwritten: Row | None = None  # otadata without a number yet: this boot gives it one

    def run(self, deep_sleep_partition: str | None) -> Row | None:
        if deep_sleep_partition is not None:
            row = self._table.find(deep_sleep_partition)
            if row and self._looks_loadable(row):
                return row
            self._error("Fast booting is not successful")
        index = self._select()
        return None if index is None else self._load(index)

    def _select(self) -> int | None:
        """The index to try first, after the state changes in otadata; None where IDF gives up."""
        otadata = self._table.otadata
        if otadata is None:
            return _FACTORY
        if otadata.size < _MIN_OTADATA_SIZE:
            self._error(f"ota_info partition size {otadata.size} is too small (minimum {_MIN_OTADATA_SIZE} bytes)")
            return None
        first, second = (
            self._abort_unconfirmed(otadata, index, entry)
            for index, entry in enumerate(read_entries(self._flash, otadata))
        )
        if (first.invalid and second.invalid) or not self._app_count:
            if self._table.factory:
                return _FACTORY
            if all(entry.blank or not entry.crc_ok for entry in (first, second)):
                self._unwritten = otadata
            return 0
        index = active(first, second)
        if index < 0:
            self._error(
                "ota data partition invalid, falling back to factory"
                if self._table.factory
                else "ota data partition invalid and no factory, will try all partitions"
            )
            return _FACTORY
        entry = (first, second)[index]
        if self._rollback and entry.state == State.NEW:
            # before the image is looked at: even one that cannot start is marked as tried
            self._write(otadata, index, entry.with_state(State.PENDING_VERIFY))
        return slot_of(entry.seq, self._app_count)

    def _abort_unconfirmed(self, otadata: Row, index: int, entry: Entry) -> Entry:
        """An image that was started and never confirmed has had its chance, whatever its CRC."""
        if not self._rollback or entry.state != State.PENDING_VERIFY:
            return entry
        aborted = entry.with_state(State.ABORTED)
        self._write(otadata, index, aborted)
        return aborted

    def _load(self, start: int) -> Row | None:
        for index, row in self._candidates(start):
            if self._verifies(row):
                if self._unwritten:
                    self._write(self._unwritten, 0, Entry.make(index + 1, State.VALID))
                return row
            name = "Factory app partition" if index == _FACTORY else f"OTA app partition slot {index}"
            self._error(f"{name} is not bootable")
        if self._table.test and self._verifies(self._table.test):
            self._log.append("W boot: Falling back to test app as only bootable partition")
            return self._table.test
        self._error("No bootable app partitions in the partition table")
        return None

    def _candidates(self, start: int) -> Iterator[tuple[int, Row]]:
        """Down from `start` to the factory app, then up: what otadata says no longer counts."""
        for index in (*range(start, _FACTORY - 1, -1), *range(start + 1, self._app_count)):
            row = self._table.factory if index == _FACTORY else self._slots.get(index)
            if row:
                yield index, row

    def _verifies(self, row: Row) -> bool:
        try:
            read = self._flash.reader(row.offset)
            verify(read, row.offset, row.size, self._chip, app_side=False)
        except ImageError as error:
            self._log.append(f"E esp_image: {error}")
            return False
        return True

    def _looks_loadable(self, row: Row) -> bool:
        try:
            describe(self._flash.read(row.offset, HEADER_SIZE))
        except ImageError:
            return False
        return True

    def _write(self, otadata: Row, index: int, entry: Entry) -> None:
        """Two operations: a power cut between them leaves this entry blank, the other whole."""
        address = otadata.offset + index * SECTOR
        self._flash.erase(address, SECTOR, actor="bootloader")
        self._flash.program(address, entry.to_bytes(), actor="bootloader")

    def _error(self, text: str) -> None:
        self._log.append(f"E boot: {text}")
