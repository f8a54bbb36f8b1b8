"""The target of kind `firmware`: the next OTA slot. Every kind of target has the same verbs: prepare, accept, write, rewind,
verify, commit, close; `offset` is how much of it is in place, `etag` of which file."""

import hashlib

from ..boot import record, slots
from ..errors import clean, require
from ..release import image
from . import let_go

_JOURNAL = 65536  # bytes between two notes of the offset: the most that is fetched twice
SECTOR = slots.SECTOR


class Firmware:
    """Of the record's job. `torn`: power may have gone while the slot was written; `hashes`: what comes is hashed, else what
    lies in flash is, once, when all is there: nothing else may be written before commit() then."""

    def __init__(self, found: slots.Slots, kept: record.Record, torn: bool, hashes: bool) -> None:
        self._slots, self._record, self._slot = found, kept, found.next
        self.size, self.sha256 = kept.job["size"], kept.job["sha256"]  # the signed ones
        self.offset = 0  # bytes that are in flash
        self.etag = kept.job["etag"]  # of the file that they are from
        self.hashes, self._torn = hashes, torn
        self.wear = [0, 0, 0]  # what the slot took of it, as Sectors says

    def prepare(self, view: memoryview):
        """What lies in flash already is hashed, where what comes is hashed too or all is there. A generator of the bytes done;
        the target is ready for byte `offset` then."""
        kept = self._record
        if kept.offset < self.size:
            kept.offset -= kept.offset % SECTOR
        self.offset = at = kept.offset
        # Notes are made every _JOURNAL bytes: power went before the next. Without one it may have been anywhere.
        self._torn = self._torn and (at + _JOURNAL if at else self.size)  # type: ignore
        self._sectors = None  # type: ignore
        self._hash = (self.hashes or at == self.size) and hashlib.sha256()
        if self._hash:
            yield from slots.read_slot(self._slot, at, view, self._hash)

    def rewind(self) -> None:
        """Begin again: the bytes that come are not the rest of what is in flash. Raises OtaError record."""
        self.offset = 0
        self._record.progress(0)
        self._hash = self.hashes and hashlib.sha256()

    def accept(self, head: "bytearray | memoryview", etag: "str | None") -> None:
        """P1: the first block is checked before the first erase. Raises OtaError: not-an-image, full-flash, wrong-chip,
        no-descriptor, security-version, record."""
        running = self._slots.running
        secure = image.check_head(head, image.chip(running))
        require(secure >= image.secure_version(running), "security-version", "image")  # P7
        good = etag is not None and len(etag) <= 64 and clean(etag) == etag
        self.etag = self._record.job["etag"] = etag if good else None
        self._record.save("job")
        # Not before: a server that has no image takes no rollback from a board.
        self._record.forget(self._slot.info()[4])

    def write(self, view: memoryview, n: int) -> None:
        """The next `n` bytes, the first of `view`; the rest of the sector is filled up. Allocates nothing for a whole one.
        Raises OtaError flash-write, record."""
        if self._hash:
            self._hash.update(view if n == SECTOR else view[:n])
        for i in range(n, SECTOR):
            view[i] = 0xFF
        if not self._sectors:  # not before: while a connection opens, memory is scarce
            from .sectors import Sectors

            self._sectors = Sectors(self._slot, self.size, view, self.offset, self._torn, self.wear)  # type: ignore
        self._sectors.write(self.offset)  # type: ignore
        self.offset += n
        self._record.offset = self.offset
        if self.offset % _JOURNAL == 0 or self.offset == self.size:
            self._record.progress(self.offset)

    def verify(self) -> "bool | None":
        """What came is what was signed. True: nothing was hashed yet, prepare() and verify() once more. Raises OtaError
        hash-mismatch."""
        self._sectors = None  # type: ignore # what comes needs the memory
        let_go("sectors")
        if not self._hash:
            self._torn = False  # all of that was written anew
            return True
        require(self._hash.digest().hex() == self.sha256, "hash-mismatch", self._record.job["version"])
        return None

    def commit(self, view: memoryview):
        """Switch (P3), after the read-back, where verify() was not that: a generator of the bytes read. Raises OtaError
        unconfirmed, read-back, set-boot."""
        if self.hashes:
            yield from self._slots.switch(self._slot, self.size, self.sha256, view)
        else:
            self._slots.require_confirmed()
            self._slots.set_boot(self._slot)

    def close(self) -> None:
        pass
