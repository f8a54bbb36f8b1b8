"""Stream a target into the next slot: resume, check the head, hash, read back, switch.

A generator drives it, one block a step, so that the blocking loop and the asyncio task run the
same code. It yields the bytes done, or a negative number: milliseconds to wait.
"""

import binascii
import gc
import hashlib
import random

from micropython import const

from . import image, network, record, slots
from .errors import OtaError

_JOURNAL = const(65536)  # bytes between two notes of the offset: the most that is fetched twice
_PLENTY = const(300000)  # free heap at which a 64 KiB block, which erases faster, is no burden
_PASSING = (
    "dns", "connect", "stalled", "dropped", "tls", "bad-range", "wifi-not-found", "wifi-failed",
)  # fmt: skip


def passing(e: OtaError) -> bool:
    """Whether another try, a little later, may cure it."""
    if e.code == "http-status":
        return e.detail in ("408", "429") or e.detail[0] == "5"
    return e.code in _PASSING and e.detail != "ca"


def patiently(tries: int, attempt):
    """Drive generator function `attempt` until it ends well: its steps, and the waits in between.

    Waits grow from 1 s to 60 s, jittered by half, so that a classroom does not come back at once.
    An attempt that got anywhere starts the count anew. Raises what the last attempt raised.
    """
    failed = 0
    while True:
        try:
            for step in attempt():
                failed = 0
                yield step
            return
        except OtaError as e:
            failed += 1
            if not passing(e) or failed >= tries:
                raise
        longest = min(500 << failed, 60000)
        yield -(longest // 2 + random.getrandbits(16) % (longest // 2))


class Install:
    """One job, from the first byte to set_boot(). The buffer is made here, once (P9)."""

    def __init__(self, config: dict, found: slots.Slots, kept: record.Record, url: str) -> None:
        self._config, self._slots, self._record, self._url = config, found, kept, url
        self._slot = found.by_label(kept.job["slot"])
        self._size = kept.job["size"]
        gc.collect()
        self._buf = bytearray(65536 if gc.mem_free() > _PLENTY else slots.SECTOR)
        self._view = memoryview(self._buf)
        self._hash = hashlib.sha256()

    def steps(self):
        """Download what is missing, then read back and switch. Raises OtaError."""
        job, kept = self._record.job, self._record
        sha256 = binascii.unhexlify(job["sha256"])
        if job["phase"] == "writing":
            kept.offset -= kept.offset % slots.SECTOR
            # what is in flash is hashed again: a damaged prefix cannot get through
            yield from slots.read_slot(self._slot, kept.offset, self._view, self._hash)
            if kept.offset < self._size:
                yield from patiently(self._config["tries"], self._stream)
            if self._hash.digest() != sha256:
                raise OtaError("hash-mismatch", job["version"])
        job["phase"] = "ready"
        job["switches"] += 1
        kept.save("job")
        yield from self._slots.switch(self._slot, self._size, sha256, self._view)

    def _stream(self):
        """One connection: from the offset to the end, or to whatever breaks it."""
        job, kept, size = self._record.job, self._record, self._size
        start = kept.offset
        try:
            response = network.fetch(self._config, self._url, start=start, etag=job["etag"], size=size)
        except OtaError as e:
            if e.code == "bad-range":  # another file by now, or no idea of ranges: all of it then
                self._restart()
            raise
        try:
            if response.total is not None and response.total != size:
                raise OtaError("size-mismatch", "%d not %d" % (response.total, size))
            if response.start != start:  # no Range here, or another file: from the beginning
                self._restart()
            if kept.offset == 0:
                yield from self._first(response)
            yield from self._rest(response)
        finally:
            response.close()
        kept.progress(size)

    def _restart(self) -> None:
        self._record.offset = 0
        self._hash = hashlib.sha256()

    def _first(self, response):
        # P1: the head is checked before the first erase.
        job, kept = self._record.job, self._record
        n = min(slots.SECTOR, self._size)
        self._fill(response, self._view[:n])
        image.check_head(self._view[:n], image.chip(self._slots.running))
        etag = response.etag or ""
        job["etag"] = etag if 0 < len(etag) <= 64 else None
        kept.save("job")
        self._put(n)
        yield kept.offset

    def _rest(self, response):
        kept, buf, block = self._record, self._buf, len(self._buf)
        noted = kept.offset
        while kept.offset < self._size:
            # a larger block keeps to its own grid, where the chip erases 64 KiB at once
            n = min(block - kept.offset % block, self._size - kept.offset)
            if n == block:  # the hot path: nothing is allocated
                self._fill(response, buf)
                self._hash.update(buf)
                self._slots.write(self._slot, kept.offset // slots.SECTOR, buf)
                kept.offset += n
            else:
                self._fill(response, self._view[:n])
                self._put(n)
            if kept.offset - noted >= _JOURNAL:
                noted = kept.offset
                kept.progress(noted)
            yield kept.offset

    @staticmethod
    def _fill(response, part) -> None:
        if response.readinto(part) != len(part):
            raise OtaError("dropped", "body")

    def _put(self, n: int) -> None:
        # Less than a block: the last sector is filled up with FF.
        self._hash.update(self._view[:n])
        whole = -(-n // slots.SECTOR) * slots.SECTOR
        for i in range(n, whole):
            self._buf[i] = 0xFF
        self._slots.write(self._slot, self._record.offset // slots.SECTOR, self._view[:whole])
        self._record.offset += n
