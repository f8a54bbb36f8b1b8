"""The target of kind `data`: a partition that the configuration names. What comes is staged behind the image in the next slot,
and copied once its release is confirmed: the old data stays with the old program."""

import hashlib

import machine
from esp32 import Partition
from micropython import const

from ..boot.slots import read_slot
from ..console import say
from ..errors import OtaError, require
from ..net import url

_SECTOR = const(4096)
_DATA = const(1)  # type of partitions
_SYSTEM = const(5)  # subtypes up to here are ESP-IDF's own: otadata, phy, nvs, coredump, nvs_keys, efuse


def look(config: dict, slot, target: dict, image: int, holds):
    """Steps that return where it goes, and what the job has to note for place(), None where there is no room to stage it in
    `slot` behind `image` bytes; or None, where the partition holds it already. P1: what speaks against it does so here. Raises
    OtaError partition, data-size, data-room."""
    label, size, sha256 = target.get("partition"), target["size"], target["sha256"].lower()
    may = label in config["data"] and label not in ("vfs", "ffat")
    partition = ((may and Partition.find(_DATA, label=label)) or [None])[0]  # type: ignore[call-arg]
    require(partition and partition.info()[1] > _SYSTEM, "partition", label)
    require(size <= partition.info()[3], "data-size", size)
    if (yield from holds(size, sha256, partition)):
        return None
    address = url.join(config["url"], target["url"])
    base = -(-image // _SECTOR) * _SECTOR
    if base + size <= slot.info()[3]:
        return address, Data(slot, base, size, sha256), [label, base, size, sha256]
    require(target.get("unsafe"), "data-room", size)
    return address, Data(partition, 0, size, sha256), None


def place(found, kept, view: memoryview) -> None:
    """Copy what a job that is confirmed has staged into the partition, and reset: whatever has read it before reads it anew. Power
    may go at any byte: what is staged stays. Raises OtaError record."""
    job = kept.job
    if job["phase"] != "confirmed":
        return
    label, base, size, sha256 = job["data"]
    try:
        staged = Data(found.running, base, size, sha256)
        for _ in staged.commit(view):
            pass
        target = Data(Partition.find(_DATA, label=label)[0], 0, size, sha256)  # type: ignore[call-arg]
        for done in staged.commit(view):  # it is whole; each block that is read lies in `view`
            target.write(view, done - target.offset)
        for _ in target.commit(view):
            pass
    except OtaError as e:  # of flash: it would not do better the next time
        say("error", e)
        job["reason"] = e.code
    job["data"] = None
    kept.save("job")
    machine.reset()


class Data:
    """In a slot or partition from byte `base` on. `size` (bytes) and `sha256` (hex) are the signed ones."""

    etag = None
    offset = 0

    def __init__(self, slot, base: int, size: int, sha256: str) -> None:
        self._slot, self._base, self.size, self._sha256 = slot, base, size, sha256

    def rewind(self) -> None:
        """Begin again."""
        self.offset = 0

    def accept(self, *_) -> tuple:
        return ()

    prepare = verify = close = accept

    def readblocks(self, _: int, part: memoryview, at: int) -> None:
        self._slot.readblocks(0, part, self._base + at)

    def write(self, view: memoryview, n: int) -> None:
        """The next `n` bytes, the first of `view`, whose last sector is written whole. Raises OtaError flash-write."""
        try:
            self._slot.writeblocks((self._base + self.offset) // _SECTOR, view[: -(-n // _SECTOR) * _SECTOR])
        except OSError as e:
            raise OtaError("flash-write", e.args[0])
        self.offset += n

    def commit(self, view: memoryview):
        """Read back: a generator of its bytes. Raises OtaError hash-mismatch."""
        digest = hashlib.sha256()
        yield from read_slot(self, self.size, view, digest)
        require(digest.digest().hex() == self._sha256, "hash-mismatch")
