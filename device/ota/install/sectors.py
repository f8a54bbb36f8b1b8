"""Writes the sectors of a slot, and wears no more of it than it must: what holds its bytes already is left as it is, and where
most of the flash has to change, 64 KiB are erased at once, which a chip does in the time of three sectors.

The erase by blocks needs no buffer of that size. `writeblocks(n, buf)` erases as many bytes as `buf` has, then programs them,
and ESP-IDF refuses to program from address 0. Sources: MicroPython ports/esp32/esp32_partition.c (since 1.12); ESP-IDF 4.4 to
6.1 spi_flash/esp_flash_api.c, esp_flash_write() and esp_flash_erase_region()."""

from micropython import const
from uctypes import bytearray_at

from ..boot.slots import SECTOR
from ..errors import OtaError

BLOCK = const(65536)
_PIECE = const(512)  # bytes that are compared at a time
_REFUSED = const(-258)  # ESP_ERR_INVALID_ARG
# Sectors of one block that had to change, from which on the next is erased as a whole: 150 ms and 16 programs of 8 ms
# against 53 ms for each sector that changes.
_MANY = const(6)


class Sectors:
    """`slot`: where they go; `size`: of the image, in bytes. What lies between bytes `torn` and `mended` may be half erased
    or half written, as power went there: it is written anew whatever it reads as."""

    def __init__(self, slot, size: int, torn: int, mended: int) -> None:
        self._slot, self._size = slot, size
        self._torn, self._mended = torn, mended
        self._piece = bytearray(_PIECE)
        self._all = bytearray_at(0, BLOCK)
        self._view = self._parts = None  # type: ignore
        self._erased = 0  # the end of the block that has been erased as a whole
        self._changed = _MANY if mended else 0  # sectors that had to change in this block
        self._before = 0  # and in the one before
        self.wear = [0, 0, 0]  # sectors left as they were; erased one by one; blocks erased as a whole

    def write(self, at: int, view: memoryview) -> None:
        """Have the one sector of `view` at byte `at` of the slot. Allocates nothing for a view that it knows. Raises OtaError
        flash-write."""
        if at % BLOCK == 0:
            self._before = self._changed
            self._changed = self._erased = 0
        try:
            if at >= self._erased:
                if not self._torn <= at < self._mended and self._holds(at, view):
                    self.wear[0] += 1
                    return
                if at % BLOCK == 0 and self._before >= _MANY and at + BLOCK <= self._size:
                    self._erase(at)
            self._changed += 1
            if at < self._erased:
                self._slot.writeblocks(at // SECTOR, view, 0)
            else:
                self.wear[1] += 1
                self._slot.writeblocks(at // SECTOR, view)
        except OSError as e:
            raise OtaError("flash-write", e.args[0])

    def _holds(self, at: int, view: memoryview) -> bool:
        # Whether the sector at `at` holds `view`.
        if view is not self._view:
            self._view = view
            self._parts = [view[i : i + _PIECE] for i in range(0, SECTOR, _PIECE)]  # type: ignore
        for part in self._parts:  # type: ignore
            self._slot.readblocks(0, self._piece, at)
            if self._piece != part:
                return False
            at += _PIECE
        return True

    def _erase(self, at: int) -> None:
        # The block at `at`; where that did not take, its sectors are erased one by one.
        try:
            self._slot.writeblocks(at // SECTOR, self._all)
        except OSError as e:
            if e.args[0] != _REFUSED:
                raise
        self._slot.readblocks(0, self._piece, at)
        if min(self._piece) == 0xFF:
            self._erased = at + BLOCK
            self.wear[2] += 1
