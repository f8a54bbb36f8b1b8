"""Writes the sectors of a slot, and wears no more of it than it must: what holds its bytes already is left as it is, and where
most of the flash has to change, 64 KiB are erased at once, which a chip does in the time of three sectors.

The erase of a block needs no buffer of that size. `writeblocks(n, buf)` erases as many bytes as `buf` has, then programs them,
and ESP-IDF refuses to program from address 0. Sources: MicroPython ports/esp32/esp32_partition.c (since 1.12); ESP-IDF 4.4 to
6.1 spi_flash/esp_flash_api.c, esp_flash_write() and esp_flash_erase_region()."""

from micropython import const
from uctypes import bytearray_at

from ..boot.slots import SECTOR
from ..errors import OtaError

_BLOCK = const(65536)
_PIECE = const(512)  # bytes that are compared at a time
# Where an app image has the version of its ESP-IDF, 32 bytes (esp_app_desc.h): MicroPython leaves its own empty.
_IDF = const(144)
_TO = const(176)
# Sectors of one block that had to change, from which on the next is erased as a whole: 150 ms and 16 programs of 8 ms
# against 53 ms for each sector that changes.
_MANY = const(6)


class Sectors:
    """`slot`: where they go; `size`: of the image, in bytes; `view`: a sector's worth, what is to be written. What lies between
    bytes `torn` and `mended` may be half erased or half written, as power went there: it is written anew whatever it reads
    as. `wear` counts: sectors left as they were; sectors, and blocks, that were erased."""

    def __init__(self, slot, size: int, view: memoryview, torn: int, mended: int, wear: list) -> None:
        self._slot, self._size, self._view = slot, size, view
        self._torn, self._mended, self.wear = torn, mended, wear
        self._parts = [view[i : i + _PIECE] for i in range(0, SECTOR, _PIECE)]  # made once: a block allocates nothing
        self._piece = bytearray(_PIECE)
        self._erased = 0  # the end of the block that has been erased as a whole
        self._changed = _MANY if mended else 0  # sectors that had to change in this block

    def write(self, at: int) -> None:
        """Have the view in the sector at byte `at`. Sectors come one after the other. Raises OtaError flash-write."""
        slot, before = self._slot, 0
        if at % _BLOCK == 0:
            before = self._changed
            self._changed = self._erased = 0
        try:
            if at >= self._erased:
                if not self._torn <= at < self._mended and self._holds(at):
                    self.wear[0] += 1
                    return
                if not at and self._piece[_IDF:_TO] != self._view[_IDF:_TO]:
                    before = _MANY  # no build of nearly the same source: all of it moves
                if before >= _MANY and self._size - at >= _MANY * SECTOR:
                    self._erase(at)
            self._changed += 1
            if at < self._erased:
                slot.writeblocks(at // SECTOR, self._view, 0)
            else:
                self.wear[1] += 1
                slot.writeblocks(at // SECTOR, self._view)
        except OSError as e:
            raise OtaError("flash-write", e.args[0])

    def _holds(self, at: int) -> bool:
        for part in self._parts:
            self._slot.readblocks(0, self._piece, at)
            if self._piece != part:
                return False
            at += _PIECE
        return True

    def _erase(self, at: int) -> None:
        # The block at `at`. Where that does not take, as a slot ends within it, its sectors are erased one by one.
        try:
            self._slot.writeblocks(at // SECTOR, bytearray_at(0, _BLOCK))
        except OSError:  # what comes after the erase: ESP_ERR_INVALID_ARG
            pass
        self._slot.readblocks(0, self._piece, at)
        if min(self._piece) == 0xFF:
            self._erased = at + _BLOCK
            self.wear[2] += 1
