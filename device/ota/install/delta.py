"""The transform of a delta: a source of the image that reads another source, the delta on the server, and the image that runs.

The format is told in docs/deltas.md. A delta is records, each compressed by itself, of 1 to 16 sectors of the image, none
across 64 KiB; each holds the hash of the next, the first one's is signed. A record is looked at once its hash is right.
Resume needs nothing kept: after a reset the records of what is in flash are passed over; after a broken connection the file
goes on where the last 64 KiB began."""

import gc
import hashlib
import io
import struct

import deflate
from micropython import const

from .. import steps
from ..console import say
from ..errors import OtaError, require
from . import let_go

_SECTOR = const(4096)
_BLOCK = const(65536)
_HEADER, _HEAD = const(16), const(20)  # bytes of the file's, and of a record's
_BITS = const(10)
_GROUP = const(256)  # corrections at a time
# Bytes of Python's heap that are free beside a delta before its connection opens, where there is no SPIRAM. TLS's objects and the
# first record take 10 KB of them; with less than the 28 KB that are left the heap may have to grow, out of the memory by which data come.
_FREE = const(38000)
# What the whole image would meet as well.
_LASTING = ("flash-write", "record", "cable", "connect", "dns", "wifi-not-found", "wifi-failed", "ethernet-failed")


def by_delta(found: dict, slot):
    """What makes a source of an image, as HttpSource is one, by the delta that base.nearest() has found. `slot` holds its
    base."""

    def made(config: dict, image: str, size: int):
        from .source import HttpSource

        whole = HttpSource(config, image, size)
        try:
            delta = Delta(HttpSource(config, found["url"], found["size"]), whole, found, slot)
            if "keep" not in config or _fits():  # by cable there is no connection
                return delta
        except MemoryError:  # it takes 6 KB more than the whole image does
            pass
        delta = None  # type: ignore[assignment]
        let_go("delta")
        gc.collect()
        say("delta", "no-memory")
        return whole

    return made


def _fits() -> bool:
    # Whether Python's heap need not grow; gc.mem_free() counts by how much it could, the largest piece of the system's heap.
    import esp32

    from ..net import connection

    gc.collect()
    may_grow = max(heap[2] for heap in esp32.idf_heap_info(esp32.HEAP_DATA))
    return connection.may_keep() or gc.mem_free() - may_grow >= _FREE


class Delta:
    """An image out of `file`, a source of its delta; `image`: of the whole. The rest as HttpSource has it. Nothing of what is
    in flash hangs on the file's etag: each record is known by its hash."""

    etag = None
    tries = 2  # in a row that may get no further, before the whole image is tried

    def __init__(self, file, image, found: dict, slot) -> None:
        self._file, self._image, self._slot, self.close = file, image, slot, file.close
        self._size, self._base, self._base_hash = image.size, found["base_size"], found.get("base")
        self._begin = self._mark = 0, 0, found["chain"]  # place in the file, offset, hash of the record there
        self._room = found["room"]  # bytes of deflate in a record
        self._packed = io.BytesIO(self._room)  # type: ignore[arg-type]  # one; that much room, as MicroPython has it
        self._raw = memoryview(bytearray(2 * _GROUP))  # what is read at a time
        self._inflate: "deflate.DeflateIO" = None  # type: ignore[assignment]
        self.offset = self._at = 0  # bytes that it has given; before the next sector that a record makes
        self._have = self._want = 0  # bytes of a head; none wanted: nothing has come of this connection
        self._left = 0  # bytes of the record that are to come
        self._hash: "hashlib.sha256" = None  # type: ignore[assignment]
        self._sectors = self._moved = 0  # to come of the record at hand; where it copies from, less where to

    @property
    def ended(self) -> bool:
        return self._file.ended

    def instead(self, e: OtaError, job: dict):
        """Steps that return the source of the whole image, after `e` has ended this one, which the job tells of. Raises `e`
        where that would fare no better."""
        if e.code in _LASTING:
            raise e
        self.close()
        if e.code == "hash-mismatch" and self._base_hash:
            from ..boot import slots

            digest = hashlib.sha256()
            for done in slots.read_slot(self._slot, self._base, self._raw, digest):
                yield steps.progress("compare", done, self._base)
            if digest.digest().hex() != self._base_hash:  # what was installed is not what is there now
                e = OtaError("wrong-base", self._base_hash[:16])
        self._raw = self._packed = self._inflate = None  # type: ignore  # their memory
        let_go("delta")
        say("delta", e)
        job.update(reason=e.code, detail=e.detail)
        return self._image

    def open(self, offset: int, etag: "str | None"):
        """As HttpSource.open(), but that what comes always begins at `offset`."""
        if self._mark[1] > offset:
            self._mark = self._begin
        self.offset = offset
        self._want = self._left = self._sectors = 0
        self._hash = self._inflate = None  # type: ignore[assignment]  # the handshake needs their memory
        return self._file.open(self._mark[0], self._file.etag)

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

    # --- records --------------------------------------------------------------------------------------------------

    def _gather(self) -> bool:
        # Whether there is a record to make sectors of: takes what has come of the next one.
        file = self._file
        if not self._want:
            if file.offset != self._mark[0]:  # no Range here, or another file
                self._mark = self._begin
            _, self._at, self._next = self._mark
            self._have, self._want = 0, _HEAD if self._at else _HEADER
        while self._take():
            if self._hash and not self._left:
                if self._opened():
                    return True
                if not file.ended:  # a step ends: other tasks want their turn
                    return False
        require(file.offset < file.size, "bad-delta", "short")
        return False

    def _take(self) -> bool:
        # Whether something whole has come: a piece of a record, its head, or the file's.
        file, raw = self._file, self._raw
        if self._left:
            n = file.fill(raw, 0, min(len(raw), self._left))
            self._hash.update(raw[:n])
            self._packed.write(raw[:n])
            self._left -= n
            return n > 0
        self._have = file.fill(raw, self._have, self._want)
        if self._have < self._want:
            return False
        self._have = 0
        if self._want == _HEAD:
            self._head(raw[:_HEAD])
        else:
            header = struct.pack("<4sBBHII", b"OTAd", 1, _BITS, self._room, self._size, self._base)
            require(raw[:_HEADER] == header, "bad-delta", "header")
            self._want = _HEAD
        return True

    def _head(self, head: memoryview) -> None:
        if self._at and not self._at % _BLOCK:
            self._mark = self._file.offset - _HEAD, self._at, self._next
            gc.collect()
        self._left, self._count, self._flags = head[0] | head[1] << 8, head[2], head[3]
        require(0 < self._left <= self._room, "bad-delta", "record")
        self._follows = bytes(head[4:]).hex()
        self._hash = hashlib.sha256(head)
        self._packed.seek(0)

    def _opened(self) -> bool:
        # Whether the record that has come goes beyond `offset`: it is ready then.
        require(self._hash.digest()[:16].hex() == self._next, "bad-delta", "chain")
        self._hash, self._next = None, self._follows  # type: ignore[assignment]
        last = self._at + (self._count - 1) * _SECTOR
        fits = self._count and last < self._size and self._at // _BLOCK == last // _BLOCK
        require(fits and not self._flags, "bad-delta", "record")
        if last < self.offset:
            self._at = last + _SECTOR
            return False
        self._packed.seek(0)
        self._inflate = deflate.DeflateIO(self._packed, deflate.RAW, _BITS)
        self._sectors, self._moved = self._count, 0
        return True

    # --- sectors --------------------------------------------------------------------------------------------------

    def _read(self, view: memoryview) -> None:
        require(self._inflate.readinto(view) == len(view), "bad-delta", "record")

    def _make(self, out: memoryview, n: int) -> None:
        # The next sector, of `n` bytes. A copy allocates two views and a tuple; a correction nothing.
        raw, head, base = self._raw, self._raw[:8], self._base
        self._read(head[:4])
        copies, corrections = struct.unpack_from("<HH", head)
        at = 0
        for _ in range(copies):
            self._read(head)
            literal, size, further = struct.unpack_from("<HHi", head)
            self._moved += further
            literal += at
            origin = self._at + literal + self._moved
            require(literal + size <= n and 0 <= origin <= base - size, "bad-delta", "record")
            if literal > at:
                self._read(out[at:literal])
            at = literal + size
            self._slot.readblocks(0, out[literal:at], origin)
        if at < n:
            self._read(out[at:])
        at = 0
        while corrections:
            group = min(corrections, _GROUP)
            gaps, adds = raw[:group], raw[group : 2 * group]
            self._read(gaps)
            self._read(adds)
            require(at + sum(gaps) < n, "bad-delta", "record")
            for i in range(group):
                at += gaps[i]
                out[at] = out[at] + adds[i] & 255
            corrections -= group
