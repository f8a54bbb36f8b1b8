"""One page (flash sector) of the NVS store: how entries are written, and what a power cut leaves.

A page is a 32-byte header, a 32-byte table of two-bit entry states and 126 entries of 32 bytes.
An item takes one entry, or one and as many more as its data fills; each is programmed first and
marked written after.
Source: ESP-IDF nvs_flash/src/nvs_page.cpp.
"""

import struct
from enum import IntEnum

from vboard.flash.nor import SECTOR, Flash
from vboard.flash.nvs_item import (
    CHUNK_MAX,
    ENTRY_COUNT,
    ENTRY_SIZE,
    KEY_MAX,
    NO_CHUNK,
    Item,
    Kind,
    NvsError,
    Status,
    crc32,
)

_VERSION = 0xFE  # of the format; counts down
_TABLE_AT = 32
_ENTRIES_AT = 64
_ERASED_WORD = b"\xff" * 4
_PER_WORD = 16  # entry states in one 32-bit word of the table

_HEADER = struct.Struct("<II B19s I")


class PageState(IntEnum):
    """A page goes down this list one bit at a time. CORRUPT is never written, only concluded."""

    UNINITIALIZED = 0xFFFFFFFF
    ACTIVE = 0xFFFFFFFE
    FULL = 0xFFFFFFFC
    FREEING = 0xFFFFFFF8
    CORRUPT = 0xFFFFFFF0


class EntryState(IntEnum):
    EMPTY = 0b11
    WRITTEN = 0b10
    ILLEGAL = 0b01
    ERASED = 0b00


class Page:
    """A page and an index of its items, kept in step with the flash.

    items: each item by the number of its first entry, in ascending order.
    next_free: the first entry that was never written.
    """

    def __init__(self, flash: Flash, base: int) -> None:
        self._flash = flash
        self._base = base
        self._table = bytearray(b"\xff" * 32)
        self.state = PageState.UNINITIALIZED
        self.sequence = 0
        self.items: dict[int, Item] = {}
        self.next_free = 0

    # --- mounting --------------------------------------------------------------------------------

    def load(self) -> None:
        """Reads the page, and finishes or takes back whatever a power cut left half done.

        Raises NvsError when a newer format wrote it.
        """
        raw = self._flash.read(self._base, SECTOR)
        state, sequence, version, _, crc = _HEADER.unpack(raw[:32])
        if state == PageState.UNINITIALIZED:
            blank = raw == b"\xff" * SECTOR
            self.state = PageState.UNINITIALIZED if blank else PageState.CORRUPT
            return
        if crc != crc32(raw[4:28]):
            self.state = PageState.CORRUPT
            return
        if version < _VERSION:
            raise NvsError.of(Status.NEW_VERSION_FOUND)
        self.sequence = sequence
        self._table[:] = raw[_TABLE_AT:_ENTRIES_AT]
        if state == PageState.ACTIVE:
            self.state = PageState.ACTIVE
            self._recover_active()
        elif state in (PageState.FULL, PageState.FREEING):
            self.state = PageState(state)
            self._recover_closed()
        else:
            self.state = PageState.CORRUPT

    def _recover_active(self) -> None:
        empty = (i for i in range(ENTRY_COUNT) if self._get(i) == EntryState.EMPTY)
        self.next_free = next(empty, ENTRY_COUNT)
        # an entry that was programmed, or begun, but not marked
        while self.next_free < ENTRY_COUNT and self._raw(self.next_free)[:4] != _ERASED_WORD:
            self._set(self.next_free, EntryState.ERASED)
            self.next_free += 1
        last = None
        i, end = 0, self.next_free
        while i < end:
            index, i = i, i + 1
            state = self._get(index)
            item = Item.from_bytes(self._raw(index), index) if state == EntryState.WRITTEN else None
            if item is None:
                last = None
                if state != EntryState.ERASED:
                    self.erase_item(index)
                continue
            i = index + item.span
            older = next((j for j, other in self.items.items() if other.identity == item.identity), None)
            self.items[index] = item
            last = index
            if not self._is_complete(index, item):
                last = None
                self.erase_item(index)
            elif older is not None:
                self.erase_item(older)
        if last is not None:
            self._drop_older_than(last)

    def _drop_older_than(self, last: int) -> None:
        # IDF 5 looks for the older double of the last item without regard to its chunk number. If
        # that item is data of a new blob whose index was not written yet, it erases the data of
        # the old one where that is on this page too: the cut costs both values. So it does here.
        item = self.items[last]
        first = self.find(item.namespace, item.key, item.kind)
        if first is not None and first < last:
            self.erase_item(first)

    def _recover_closed(self) -> None:
        self.next_free = ENTRY_COUNT
        i = 0
        while i < ENTRY_COUNT:
            index, i = i, i + 1
            if self._get(index) != EntryState.WRITTEN:
                continue
            item = Item.from_bytes(self._raw(index), index)
            if item is None:
                self.erase_item(index)
                continue
            i = index + item.span
            self.items[index] = item
            if not self._is_complete(index, item):
                self.erase_item(index)

    def _is_complete(self, index: int, item: Item) -> bool:
        return all(self._get(i) == EntryState.WRITTEN for i in range(index, index + item.span))

    # --- reading ---------------------------------------------------------------------------------

    def find(self, namespace: int, key: bytes, kind: int | None = None, chunk: int | None = None) -> int | None:
        """The first entry of the first item that matches. As in IDF, 15 bytes of the key count.

        What is in flash decides: an item that was written over the remains of a torn one is none.
        """
        key = key[:KEY_MAX]
        for index, item in list(self.items.items()):
            same = item.namespace == namespace and item.key == key
            if same and kind in (None, item.kind) and chunk in (None, item.chunk):
                if Item.from_bytes(self._raw(index), index):
                    return index
                self._drop_unsound(index)
        return None

    def _drop_unsound(self, index: int) -> None:
        # IDF does not know its span any more, and comes upon its data as upon so many items
        for i in range(index, index + self.items.pop(index).span):
            self._set(i, EntryState.ERASED)

    def data(self, index: int) -> bytes | None:
        """The data of a variable-length item; None when its CRC does not match."""
        item = self.items[index]
        data = self._flash.read(self._address(index + 1), item.data_size)
        return data if crc32(data) == item.data_crc else None

    @property
    def used(self) -> int:
        """Entries that hold something, data of items included."""
        return sum(self._get(i) == EntryState.WRITTEN for i in range(ENTRY_COUNT))

    @property
    def tailroom(self) -> int:
        """Bytes of data that one more item on this page may have."""
        if self.state == PageState.UNINITIALIZED:
            return CHUNK_MAX
        if self.state == PageState.FULL:
            return 0
        return max(ENTRY_COUNT - 1 - self.next_free, 0) * ENTRY_SIZE

    # --- writing ---------------------------------------------------------------------------------

    def write_item(self, namespace: int, kind: Kind, key: bytes, value: bytes, chunk: int = NO_CHUNK) -> bool:
        """Adds an item; False when the page has no room for it.

        Raises NvsError for a key or value that is too long.
        """
        if self.state == PageState.UNINITIALIZED:
            self._initialize()
        if self.state == PageState.FULL:
            return False
        if len(key) > KEY_MAX:
            raise NvsError.of(Status.KEY_TOO_LONG)
        if len(value) > CHUNK_MAX:
            raise NvsError.of(Status.VALUE_TOO_LONG)
        item = Item.make(namespace, kind, key, value, chunk)
        index = self.next_free
        if index + item.span > ENTRY_COUNT:
            return False
        self._append(item.to_bytes())
        self.items[index] = item
        if item.is_variable:
            whole = len(value) // ENTRY_SIZE * ENTRY_SIZE
            self._append_range(value[:whole])
            if whole < len(value):
                self._append(value[whole:].ljust(ENTRY_SIZE, b"\xff"))
        return True

    def erase_item(self, index: int) -> None:
        """Marks an item's entries erased; entry `index` alone where there is no sound item."""
        item = self.items.pop(index, None)
        if item is None or item.span == 1:
            span = 1
            self._set(index, EntryState.ERASED)
        else:
            span = item.span
            self._set_range(index, index + span, EntryState.ERASED)
        self.next_free = max(self.next_free, index + span)

    def copy_to(self, other: "Page") -> None:
        """Appends every item to `other`, entry by entry."""
        if self.items and other.state == PageState.UNINITIALIZED:
            other._initialize()
        for index, item in self.items.items():
            other.items[other.next_free] = item
            for i in range(index, index + item.span):
                other._append(self._raw(i))

    def mark(self, state: PageState) -> None:
        self._program(self._base, state.to_bytes(4, "little"))
        self.state = state

    def erase(self) -> None:
        self._flash.erase(self._base, SECTOR, actor="nvs")
        self._table[:] = b"\xff" * len(self._table)
        self.state = PageState.UNINITIALIZED
        self.items.clear()
        self.next_free = 0

    def _initialize(self) -> None:
        fields = (self.sequence, _VERSION, b"\xff" * 19)
        checked = _HEADER.pack(PageState.ACTIVE, *fields, 0)[4:28]
        self._program(self._base, _HEADER.pack(PageState.ACTIVE, *fields, crc32(checked)))
        self.state = PageState.ACTIVE

    def _append(self, raw: bytes) -> None:
        self._program(self._address(self.next_free), raw)
        self._set(self.next_free, EntryState.WRITTEN)
        self.next_free += 1

    def _append_range(self, data: bytes) -> None:
        if data:
            end = self.next_free + len(data) // ENTRY_SIZE
            self._program(self._address(self.next_free), data)
            self._set_range(self.next_free, end, EntryState.WRITTEN)
            self.next_free = end

    # --- flash -----------------------------------------------------------------------------------

    def _address(self, index: int) -> int:
        return self._base + _ENTRIES_AT + index * ENTRY_SIZE

    def _raw(self, index: int) -> bytes:
        return self._flash.read(self._address(index), ENTRY_SIZE)

    def _program(self, address: int, data: bytes) -> None:
        self._flash.program(address, data, actor="nvs")

    def _get(self, index: int) -> int:
        return self._table[index // 4] >> index % 4 * 2 & 0b11

    def _set(self, index: int, state: EntryState) -> None:
        self._set_range(index, index + 1, state)

    def _set_range(self, begin: int, end: int, state: EntryState) -> None:
        """Word by word from the last entry down, so a cut on the way leaves the item begun."""
        for i in reversed(range(begin, end)):
            shift = i % 4 * 2
            self._table[i // 4] = self._table[i // 4] & ~(0b11 << shift) | state << shift
            if i == begin or i % _PER_WORD == 0:
                at = i // _PER_WORD * 4
                self._program(self._base + _TABLE_AT + at, bytes(self._table[at : at + 4]))
