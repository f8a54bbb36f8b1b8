"""Flash as the loader writes it: a range is begun, blocks come, each is written as it comes."""

import zlib

from vboard.flash.nor import SECTOR, Flash


class TooMuch(Exception):
    """More data than the range that was begun has room for."""


class Writing:
    """One range. The ROM erases all of it at first, the stub each sector before the first write to it."""

    def __init__(self, flash: Flash, start: int, size: int, *, at_once: bool, packed: bool) -> None:
        """`start`, `size`: bytes. `packed`: blocks are pieces of one zlib stream."""
        self._flash = flash
        self._at = start
        self._end = start + size
        self._erased = start - start % SECTOR  # up to here
        self._unpack = zlib.decompressobj() if packed else None
        if at_once:
            self._erase(self._end)

    def _erase(self, end: int) -> None:
        end = min(-(-end // SECTOR) * SECTOR, self._flash.size)
        if end > self._erased:
            self._flash.erase(self._erased, end - self._erased, actor="host")
            self._erased = end

    def block(self, data: bytes) -> None:
        """Write one block. Raises TooMuch, zlib.error."""
        if self._unpack:
            data = self._unpack.decompress(data)
            if self._at + len(data) > self._end:
                raise TooMuch
        else:
            data = data[: max(0, self._end - self._at)]  # the last one is filled up with FF
        self._erase(self._at + len(data))
        self._flash.program(self._at, data, actor="host")
        self._at += len(data)
