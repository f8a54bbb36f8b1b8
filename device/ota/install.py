"""Stream a target into the next slot: resume, check the head, hash, read back, switch.

A generator drives it, one block a step, so that the blocking loop and the asyncio task run the
same code. It yields the bytes that are in flash, or a negative number: milliseconds to wait.
"""

import gc
import hashlib
import random

from micropython import const

from . import http, image, record, slots
from .diagnostics import read_ca
from .errors import OtaError

_JOURNAL = const(65536)  # bytes between two notes of the offset: the most that is fetched twice
_PLENTY = const(300000)  # free heap at which a 64 KiB block is no burden
# what another try, a little later, may cure
_PASSING = ("dns", "connect", "stalled", "dropped", "tls", "wifi-timeout", "wifi-not-found")


def passing(e: OtaError) -> bool:
    if e.code == "http-status":
        return e.detail in ("408", "429") or e.detail[0] == "5"
    return e.code in _PASSING


def pause_ms(attempt: int) -> int:
    """How long to wait before try number `attempt` + 1: 1 s doubling to 60 s, jittered by half."""
    longest = min(1000 << attempt, 60000)
    return longest // 2 + random.getrandbits(16) % (longest // 2)


class Install:
    """One job, from the first byte to set_boot(). Buffers are made here, once (P9)."""

    def __init__(self, config: dict, found: slots.Slots, kept: record.Record, url: str, chip: str) -> None:
        self._config = config
        self._slots = found
        self._record = kept
        self._url = url
        self._chip = chip
        gc.collect()
        self._buf = bytearray(65536 if gc.mem_free() > _PLENTY else slots.SECTOR)
        self._view = memoryview(self._buf)
        self._hash = hashlib.sha256()
        self._slot = found.by_label(kept.job.slot)
        self._fetched = 0  # bytes taken from the network, for `status` and tests

    def steps(self):
        """Download what is missing, then read back and switch. Raises OtaError."""
        job = self._record.job
        if job.phase == record.WRITING:
            yield from self._resume()
            yield from self._download()
            if self._hash.digest() != job.sha256:
                raise OtaError("hash-mismatch", job.version)
            self._record.phase(record.READY)
        self._hash = None
        job.attempts += 1
        self._record.save_job()
        yield from self._slots.switch(self._slot, job.size, job.sha256, self._view)

    def _resume(self):
        # Take up what is in flash: it is hashed again, so a damaged prefix cannot get through.
        job = self._record.job
        size = len(self._buf)
        job.offset -= job.offset % slots.SECTOR
        done = 0
        while done < job.offset:
            n = min(size, job.offset - done)
            part = self._view if n == size else self._view[:n]
            self._slot.readblocks(done // slots.SECTOR, part)
            self._hash.update(part)
            done += n
            yield done

    def _download(self):
        job = self._record.job
        tries = 0
        while job.offset < job.size:
            before = job.offset
            try:
                yield from self._stream()
            except OtaError as e:
                tries = 0 if job.offset > before else tries + 1
                if not passing(e) or tries >= self._config["tries"]:
                    raise
                yield -pause_ms(tries)

    def _stream(self):
        """One connection: from the job's offset to the end, or to whatever breaks it."""
        job = self._record.job
        response = http.get(
            self._url,
            ca=read_ca(self._config),
            allow_http=self._config["allow_http"],
            connect_timeout_s=self._config["connect_timeout_s"],
            read_timeout_s=self._config["read_timeout_s"],
            start=job.offset,
            etag=job.etag or None,
            size=job.size,
        )
        try:
            if response.start != job.offset:  # no Range here, or another file: from the beginning
                self._restart()
            if response.total is not None and response.total != job.size:
                raise OtaError("size-mismatch", "%d not %d" % (response.total, job.size))
            job.etag = (response.etag or "") if len(response.etag or "") <= 48 else ""
            yield from self._write(response)
        finally:
            response.close()

    def _restart(self) -> None:
        job = self._record.job
        job.offset = 0
        self._hash = hashlib.sha256()

    def _write(self, response):
        job = self._record.job
        kept = self._record
        buf, view, size = self._buf, self._view, len(self._buf)
        noted = job.offset
        if job.offset == 0:
            # P1: the head is checked before the first erase.
            n = self._fill(response, view[: min(slots.SECTOR, job.size)])
            image.check_head(view[:n], self._chip, None)
            kept.save_job()
            self._put(view, n)
            yield job.offset
            noted = 0
        while job.offset < job.size:
            want = job.size - job.offset
            if size > slots.SECTOR and job.offset % size:
                want = min(want, size - job.offset % size)  # come back to the larger block's grid
            if want >= size:
                self._fill(response, buf)
                self._hash.update(buf)
                self._slots.write(self._slot, job.offset // slots.SECTOR, buf)
                job.offset += size
            else:
                self._put(view, self._fill(response, view[:want]))
            if job.offset - noted >= _JOURNAL:
                kept.progress(job.offset)
                noted = job.offset
            yield job.offset
        kept.progress(job.size)

    def _fill(self, response, part) -> int:
        n = response.readinto(part)
        if n != len(part):
            raise OtaError("dropped", "body")
        self._fetched += n
        return n

    def _put(self, view: memoryview, n: int) -> None:
        """Write `n` bytes at the job's offset, the last sector filled up with FF."""
        job = self._record.job
        self._hash.update(view[:n])
        room = -(-n // slots.SECTOR) * slots.SECTOR
        for i in range(n, room):
            view[i] = 0xFF
        self._slots.write(self._slot, job.offset // slots.SECTOR, view[:room])
        job.offset += n
