"""The transform of a delta: a source of the image that reads another source, the delta on the server, and the image that runs.

The format is told in docs/deltas.md. A delta is records, each compressed by itself, of 1 to 16 sectors of the image, none
across 64 KiB; each holds the hash of the next, the first one's is signed. A record is looked at once its hash is right.
Resume needs nothing kept: after a reset the records of what is in flash are passed over; after a broken connection the file
goes on where the last 64 KiB began."""

import gc
import hashlib
import io
import struct

import deflate  # type: ignore[import-not-found]
from micropython import const

from ..console import say
from ..errors import OtaError, require
from .retry import passing

_SECTOR = const(4096)
_BLOCK = const(65536)
_HEADER, _HEAD = const(16), const(20)  # bytes of the file's, and of a record's
_CAP = const(4128)  # bytes of deflate in a record
_BITS = const(10)
_MOST_COPIES, _MOST_CORRECTIONS = const(512), const(2048)  # of a sector


class Delta:
    """An image out of `file`, a source of its delta; `image`: of the whole. The rest as HttpSource has it. Nothing of what is
    in flash hangs on the file's etag: each record is known by its hash."""

    etag = None

    def __init__(self, file, image, found: dict, slot) -> None:
        self._file, self._image, self._slot, self.close = file, image, slot, file.close
        self._size, self._base = image.size, found["base_size"]
        self._header = struct.pack("<4sBBHII", b"OTAd", 1, _BITS, _CAP, self._size, self._base)
        self._begin = self._mark = 0, 0, found["chain"]  # place in the file, offset, hash of the record there
        self._raw = memoryview(bytearray(_HEAD + _CAP))  # a record that comes; then copies, or corrections, of a sector
        self._packed = io.BytesIO(_CAP)  # type: ignore[arg-type]  # that much room, as MicroPython has it
        self._inflate: "deflate.DeflateIO" = None  # type: ignore[assignment]
        self.offset = 0

    @property
    def ended(self) -> bool:
        return self._file.ended

    def whole(self, e: OtaError):
        """The source of the whole image, after `e` has ended this one. Raises `e` where that would fare no better."""
        of_file = e.code in ("http-status", "bad-range")  # not of all that the server has
        if (passing(e) and not of_file) or e.code in ("flash-write", "record"):
            raise e
        self.close()
        self._raw = self._packed = self._inflate = None  # type: ignore  # their memory
        say("delta", e)
        return self._image

    def open(self, offset: int, etag: "str | None"):
        """As HttpSource.open(), but that what comes always begins at `offset`."""
        file, mark = self._file, self._mark
        if mark[1] > offset:
            mark = self._begin
        yield from file.open(mark[0], file.etag)
        if file.offset != mark[0]:  # no Range here, or another file
            mark = self._begin
        self._mark = mark
        _, self._at, self._next = mark  # bytes of the image before the next sector; hash of the next record
        self._have, self._want = 0, _HEAD if file.offset else _HEADER  # of `_raw`
        self._sectors = 0  # to come of the record at hand
        self._moved = 0  # where in the base that copies from, less where in the image
        self.offset = offset

    def fill(self, buf: memoryview, have: int, want: int) -> int:
        """As HttpSource.fill(): whole sectors. Raises OtaError bad-delta, no-memory as well."""
        try:
            while have < want and (self._sectors or self._gather()):
                n = min(_SECTOR, self._size - self._at)
                self._make(buf[have : have + n], n)
                self._sectors -= 1
                self._at += n
                if self._at > self.offset:  # else it is in flash already
                    self.offset = self._at
                    have += n
        except (OSError, EOFError):  # of deflate, or of the slot
            raise OtaError("bad-delta", "record")
        except MemoryError:
            raise OtaError("no-memory", "delta")
        return have

    def _gather(self) -> bool:
        # Whether there is a record to make sectors of.
        file, raw = self._file, self._raw
        while True:
            have = self._have = file.fill(raw, self._have, self._want)
            if have < self._want:
                require(file.offset < file.size, "bad-delta", "short")
                return False
            if have == _HEADER:
                require(raw[:have] == self._header, "bad-delta", "header")
                self._have, self._want = 0, _HEAD
            elif have == _HEAD:
                if self._at and not self._at % _BLOCK:
                    self._mark = file.offset - _HEAD, self._at, self._next
                self._want += raw[0] | raw[1] << 8
                require(_HEAD < self._want <= len(raw), "bad-delta", "record")
            elif self._opened(raw[:have], raw[2]):
                return True
            elif not file.ended:  # a step ends: other tasks want their turn
                return False

    def _opened(self, record: memoryview, sectors: int) -> bool:
        # Whether the record that has come goes beyond `offset`: it is ready then.
        require(hashlib.sha256(record).digest()[:16].hex() == self._next, "bad-delta", "chain")
        last = self._at + (sectors - 1) * _SECTOR
        good = sectors and not record[3] and last < self._size and self._at // _BLOCK == last // _BLOCK
        require(good, "bad-delta", "record")
        self._next = bytes(record[4:_HEAD]).hex()
        self._have, self._want = 0, _HEAD
        if last < self.offset:
            self._at = last + _SECTOR
            return False
        if not self._at % _BLOCK:
            gc.collect()
        self._packed.seek(0)
        self._packed.write(record[_HEAD:])
        self._packed.seek(0)
        self._inflate = deflate.DeflateIO(self._packed, deflate.RAW, _BITS)
        self._sectors, self._moved = sectors, 0
        return True

    def _read(self, view: memoryview) -> None:
        require(self._inflate.readinto(view) == len(view), "bad-delta", "record")

    def _make(self, out: memoryview, n: int) -> None:
        # The next sector, of `n` bytes. An operation allocates two views and a tuple; a correction nothing.
        raw, base, moved = self._raw, self._base, self._moved
        self._read(raw[:4])
        copies, corrections = struct.unpack_from("<HH", raw)
        require(copies <= _MOST_COPIES and corrections <= _MOST_CORRECTIONS, "bad-delta", "record")
        self._read(raw[: 8 * copies])
        at = 0
        for i in range(0, 8 * copies, 8):
            literal, size, further = struct.unpack_from("<HHi", raw, i)
            literal += at
            moved += further
            origin = self._at + literal + moved
            require(literal + size <= n and 0 <= origin <= base - size, "bad-delta", "record")
            if literal > at:
                self._read(out[at:literal])
            at = literal + size
            self._slot.readblocks(0, out[literal:at], origin)
        self._moved = moved
        if at < n:
            self._read(out[at:])
        if corrections:
            gaps, adds = raw[:corrections], raw[corrections : 2 * corrections]
            self._read(gaps)
            self._read(adds)
            require(sum(gaps) < n, "bad-delta", "record")
            at = 0
            for i in range(corrections):
                at += gaps[i]
                out[at] = out[at] + adds[i] & 255
