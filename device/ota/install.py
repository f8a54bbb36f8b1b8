"""One pass over the release server: find the newest release, hold it against the policy, stream its image into the
next slot, read it back, switch. A pass is a generator of small steps, a block each, so that the blocking loop and the
asyncio task run the same code. A step is the bytes done, or a negative number: milliseconds to wait."""

import gc
import hashlib
import random
import sys

from . import config, http, image, network, record, release, signature, slots
from .errors import OtaError, require
from .trial import say

_JOURNAL = 65536  # bytes between two notes of the offset: the most that is fetched twice
_PLENTY = 300000  # free heap at which a 64 KiB block, which erases faster, is no burden
_SPOILED = 3  # downloads of an image in vain before its release counts as failed
_LASTING = "hash-mismatch size-mismatch flash-write read-back set-boot".split()
_PASSING = "dns connect stalled dropped tls bad-range wifi-not-found wifi-failed".split()


class Pass:
    """`progress(phase, done, total)` is called for every block; `tries` is how often to look for the release. Raises
    OtaError where the configuration is wrong or the running image is on trial (P2)."""

    def __init__(self, progress=None, tries: "int | None" = None) -> None:
        self._progress = progress or _line
        self._config = config.load()
        self._tries = tries or self._config["tries"]
        self._slots = slots.Slots()
        self._slots.require_confirmed()
        self._record = record.Record()
        self.offer: dict = {}

    def look(self):
        """Set `offer` to the newest release: a generator. Raises OtaError with why this board refuses it."""
        url, state, running = self._config["url"], self._record.state, self._slots.running
        keys = signature.load_keys(self._config["keys"])
        payload = release.open_envelope(network.fetch(self._config, url).read(release.MAX_ENVELOPE + 1), keys)
        del keys
        build = getattr(sys.implementation, "_build", None)
        target = release.choose(payload, self._config["product"], image.chip(running), build)
        size, sha256 = target["size"], target["sha256"].lower()
        if not state["floor_sequence"] and size <= running.info()[3]:
            # A board that got this very image by cable has it: say so, do not install it again.
            digest = hashlib.sha256()
            yield from slots.read_slot(running, size, memoryview(bytearray(slots.SECTOR)), digest)
            if digest.digest().hex() == sha256:
                self._record.installed(payload)
        release.apply_policy(payload, target, state, self._slots.next.info()[3])
        self.offer = {key: payload[key] for key in ("version", "sequence", "security_version")}
        self.offer.update(size=size, sha256=sha256, url=http.join(url, target["url"]))

    def steps(self):
        """Look, install, switch. Raises OtaError; why there was no update outlives a reset (P10)."""
        try:
            yield from patiently(self._tries, self.look)
            yield from self._install()
            self._record.note("refused", None)
        except OtaError as e:
            self._record.note("refused", None if e.code == "up-to-date" else [e.code, e.detail])
            raise

    def _install(self):
        kept, offer, slot = self._record, self.offer, self._slots.next.info()[4]
        same = kept.job["sha256"] == offer["sha256"] and kept.job["slot"] == slot
        # In "trial" power took its otadata entry: the slot is whole.
        if not same or kept.job["phase"] not in ("writing", "ready", "trial"):
            kept.note("previous", None)  # is about to be overwritten
            kept.begin(offer, slot)
        job = kept.job
        say("release", job["version"], job["size"], "bytes from", kept.offset)
        gc.collect()
        self._buf = bytearray(65536 if gc.mem_free() > _PLENTY else slots.SECTOR)  # once (P9)
        self._view = memoryview(self._buf)
        self._hash = hashlib.sha256()
        power_save = network.power_save(self._config, 0)
        try:
            for done in self._transfer(job, kept):
                if done >= 0:
                    self._progress("download" if job["phase"] == "writing" else "verify", done, job["size"])
                yield done
        except OtaError as e:
            if job["phase"] == "writing" and (passing(e) or (kept.offset and e.code not in _LASTING)):
                job["reason"], job["detail"] = e.code, e.detail
                kept.save("job")
                kept.progress(kept.offset)  # the next pass goes on from here
            else:
                job["spoiled"] += e.code in _LASTING  # a slot's wear each
                kept.fail(e.code, e.detail, remember=job["spoiled"] >= _SPOILED)
            raise
        finally:
            network.power_save(self._config, power_save)
        say("switch", job["version"], "to", job["slot"])

    def _transfer(self, job: dict, kept: record.Record):
        if job["phase"] == "writing":
            if kept.offset < job["size"]:
                kept.offset -= kept.offset % slots.SECTOR
            # what is in flash is hashed again: a damaged prefix cannot get through
            yield from slots.read_slot(self._slots.next, kept.offset, self._view, self._hash)
            if kept.offset < job["size"]:
                yield from patiently(self._config["tries"], self._stream)
            require(self._hash.digest().hex() == job["sha256"], "hash-mismatch", job["version"])
        job["phase"] = "ready"
        job["switches"] += 1
        kept.save("job")
        yield from self._slots.switch(job["size"], job["sha256"], self._view)

    def _stream(self):
        # One connection: from the offset to the end, or to whatever breaks it.
        kept, size, etag = self._record, self._record.job["size"], self._record.job["etag"]
        try:
            response = network.fetch(self._config, self.offer["url"], start=kept.offset, etag=etag, size=size)
        except OtaError as e:
            if e.code == "bad-range":  # another file by now, or no idea of ranges: all of it then
                kept.offset = 0
            raise
        try:
            require(response.total in (None, size), "size-mismatch", f"{response.total} not {size}")
            if response.start != kept.offset:  # no Range here, or another file: from the beginning
                kept.offset = 0
            yield from self._blocks(response, size)
        finally:
            response.close()
        kept.progress(size)

    def _blocks(self, response: http.Response, size: int):
        kept, buf, block = self._record, self._buf, len(self._buf)
        while kept.offset < size:
            # a larger block keeps to its own grid, where the chip erases 64 KiB at once
            n = min(block - kept.offset % block, size - kept.offset)
            part = buf if n == block else self._view[:n]  # a whole block: nothing is allocated
            require(response.readinto(part) == n, "dropped", "body")
            if kept.offset == 0:  # P1: the head is checked before the first erase
                self._hash = hashlib.sha256()
                image.check_head(part, image.chip(self._slots.running))
                kept.job["etag"] = response.etag if len(response.etag or "") <= 64 else None
                kept.save("job")
            self._hash.update(part)
            whole = -(-n // slots.SECTOR) * slots.SECTOR
            for i in range(n, whole):  # the last sector is filled up
                buf[i] = 0xFF
            self._slots.write(kept.offset // slots.SECTOR, buf if whole == block else self._view[:whole])
            kept.offset += n
            if kept.offset % _JOURNAL == 0:
                kept.progress(kept.offset)
            yield kept.offset


def passing(e: OtaError) -> bool:
    """Whether another try, a little later, may cure it."""
    if e.code == "http-status":
        return e.detail in ("408", "429") or e.detail[0] == "5"
    return e.code in _PASSING and e.detail != "ca"


def patiently(tries: int, attempt):
    """The steps of generator function `attempt`, until it ends well, and waits of 1 s to 60 s, jittered by half so that a
    classroom does not come back at once; no less than a server asks for, up to a minute. Progress resets the count."""
    failed = 0
    while True:
        try:
            for step in attempt():
                failed = 0
                yield step
            return
        except OtaError as e:
            failed += 1
            if not passing(e) or failed >= tries or e.wait_s > 60:
                raise
            longest = max(min(500 << failed, 60000), 2000 * e.wait_s)
        yield -(longest // 2 + random.getrandbits(16) % (longest // 2))


def _line(phase: str, done: int, total: int) -> None:  # for a console: every twentieth
    if done * 20 // total != (done - slots.SECTOR) * 20 // total:
        say(phase, f"{done}/{total}")
