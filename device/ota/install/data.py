"""The target of kind `data`: a partition that the configuration names. What comes is staged behind the image in the next slot,
and copied once its release is confirmed: the old data stays with the old program."""

import hashlib

from esp32 import Partition
from micropython import const

from ..boot.slots import read_slot
from ..errors import OtaError, require
from ..net import url
from .source import HttpSource

_SECTOR = const(4096)
_DATA = const(1)  # type of partitions
_SYSTEM = const(5)  # subtypes up to here are ESP-IDF's own: otadata, phy, nvs, coredump, nvs_keys, efuse


def look(config: dict, slot, target: dict, image: int, holds):
    """Steps that return what part() wants to know: address, partition, where it is staged in `slot` behind `image` bytes, None
    where there is no room for that, size and hash; or None, where the partition holds it already. P1: what speaks against it
    does so here. Raises OtaError partition, data-size, data-room."""
    label, size, sha256 = target.get("partition"), target["size"], target["sha256"].lower()
    if (yield from holds(size, sha256, _partition(label, config["data"], size))):
        return None
    base: "int | None" = -(-image // _SECTOR) * _SECTOR
    if base + size > slot.info()[3]:
        require(target.get("unsafe"), "data-room", size)
        base = None
    return [url.join(config["url"], target["url"]), label, base, size, sha256]


def part(config: dict, kept, slot, found: list):
    """What brings in the data that look() has `found`: the source and the target. Its job notes what place() wants to know."""
    address, label, base, size, sha256 = found
    if base is None:
        target = Data(_partition(label, config["data"], size), 0, size, sha256)
    else:
        target = Data(slot, base, size, sha256)
        kept.job["data"] = found[1:]
    return HttpSource(config, address, size), target


def place(slot, noted: list, may: "list[str]", view: memoryview) -> None:
    """Copy what part() had a job note, staged in `slot`, into its partition, if it is still one of those that releases `may` write.
    Power may go at any byte: what is staged stays. Raises OtaError partition, data-size, hash-mismatch, flash-write."""
    label, base, size, sha256 = noted
    staged = Data(slot, base, size, sha256)
    for _ in staged.commit(view):
        pass
    target = Data(_partition(label, may, size), 0, size, sha256)
    for done in staged.commit(view):  # it is whole; each block that is read lies in `view`
        target.write(view, done - target.offset)
    for _ in target.commit(view):
        pass


def _partition(label, may: "list[str]", size: int):
    allowed = label in may and label not in ("vfs", "ffat")
    partition = ((allowed and Partition.find(_DATA, label=label)) or [None])[0]  # type: ignore[call-arg]
    require(partition and partition.info()[1] > _SYSTEM, "partition", label)
    require(size <= partition.info()[3], "data-size", size)
    return partition


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
