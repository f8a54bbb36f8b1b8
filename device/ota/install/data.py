"""The target of kind `data`: a partition that the configuration names. What comes is staged behind the image in the next slot,
or in a file where that has no room, and copied once its release is confirmed: the old data stays with the old program."""

import hashlib
import os

from esp32 import Partition
from micropython import const

from .. import steps
from ..boot.slots import read_slot
from ..errors import OtaError, require
from ..net import url
from .source import HttpSource

_FILE = "/etc/ota/staged"
_SECTOR = const(4096)
_IN_BLOCK = const(4088)  # bytes of a file in a block of littlefs, or more: pointers take 8 on average
_NO_SPACE = const(28)  # ENOSPC
_DATA = const(1)  # type of partitions
_SYSTEM = const(5)  # subtypes up to here are ESP-IDF's own: otadata, phy, nvs, coredump, nvs_keys, efuse


def look(config: dict, slot, target: dict, offer: dict, holds):
    """Steps that return what bring() wants to know: address, partition, where it is staged, size and hash; or None, where the
    partition holds it already. Staged is it at a byte of `slot`, behind the image of the offer, else in a file, by its path; None:
    nowhere. P1: what speaks against it does so here. Raises OtaError partition, data-size, data-room."""
    label, size, sha256 = target.get("partition"), target["size"], target["sha256"].lower()
    if (yield from holds(size, sha256, _partition(label, config["data"], size))):
        return None
    where: "int | str | None" = -(-offer["size"] // _SECTOR) * _SECTOR
    if where + size > slot.info()[3]:  # type: ignore[operator]
        where = _FILE
        try:
            _require_file(size, offer.get("application"), slot.info()[4])
        except OtaError:
            require(target.get("unsafe"), "data-room", size)
            where = None
    return [url.join(config["url"], target["url"]), label, where, size, sha256]


def _require_file(size: int, application: "dict | None", label: str) -> None:
    # Beside what lies there now, and in the end beside the application of the release.
    from . import room, tree

    device, blocks = Partition.find(_DATA, label="vfs"), -(-size // _IN_BLOCK)  # type: ignore[call-arg]
    room.require_for(device and device[0], {"blocks": blocks})
    wanted = dict(application or {"blocks": 0})
    if wanted["blocks"] is None:
        wanted["unpacked"] += blocks * _SECTOR
    else:
        wanted["blocks"] += blocks
    room.require_for(device[0], wanted, tree.FOLDER + label)


def bring(config: dict, kept, slot, found: list, parts: list, fill, view: memoryview):
    """Steps that have in its place what look() has `found`, read back. Its job notes what place() wants to know. `fill` as
    Job._fill(); `parts` has the source and the target while it works. Raises OtaError."""
    address, label, where, size, sha256 = found
    if where is None:
        target = Data(_partition(label, config["data"], size), 0, size, sha256)
    else:
        target = _staged(slot, where, size, sha256)
        kept.job["data"] = found[1:]
        if where == _FILE:
            kept.save("job")  # wherever power goes, the next start knows of it
    parts.append((HttpSource(config, address, size), target))
    yield from fill(*parts[-1])
    for done in target.commit(view):
        yield steps.progress("verify", done, size)
    parts.pop()


def place(slot, noted: list, may: "list[str]", view: memoryview) -> None:
    """Copy what bring() had a job note, staged in `slot` or a file, into its partition, if it is still one of those that releases
    `may` write. Power may go at any byte: what is staged stays. Raises OtaError partition, data-size, hash-mismatch, flash-write."""
    label, where, size, sha256 = noted
    target, staged = Data(_partition(label, may, size), 0, size, sha256), _staged(slot, where, size, sha256)
    try:
        for _ in staged.commit(view):
            pass
        for done in staged.commit(view):  # it is whole; each block that is read lies in `view`
            target.write(view, done - target.offset)
    except OSError:
        pass  # the file is gone: power went when all was done, or somebody took it
    for _ in target.commit(view):
        pass


def _partition(label, may: "list[str]", size: int):
    allowed = label in may and label not in ("vfs", "ffat")
    partition = ((allowed and Partition.find(_DATA, label=label)) or [None])[0]  # type: ignore[call-arg]
    require(partition and partition.info()[1] > _SYSTEM, "partition", label)
    require(size <= partition.info()[3], "data-size", size)
    return partition


def _remove() -> None:
    try:
        os.remove(_FILE)
    except OSError:
        pass


def _staged(slot, where, size: int, sha256: str) -> "Data":
    return File(None, 0, size, sha256) if where == _FILE else Data(slot, where, size, sha256)


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
        self.close()
        require(digest.digest().hex() == self._sha256, "hash-mismatch")


class File(Data):
    """In a file. littlefs shows none of it until it is closed. Raises OSError where it cannot be read."""

    _file = None  # type: ignore

    def readblocks(self, _: int, part: memoryview, at: int) -> None:
        if not self._file:
            self._file = open(_FILE, "rb")  # type: ignore
        self._file.seek(at)  # type: ignore
        self._file.readinto(part)  # type: ignore

    def write(self, view: memoryview, n: int) -> None:
        """As Data.write(). Raises OtaError no-space as well."""
        try:
            if not self.offset:
                self.close()
                _remove()  # what is only overwritten takes its room until the new one is closed
                self._file = open(_FILE, "wb")  # type: ignore
            self._file.write(view[:n])  # type: ignore
            self.offset += n
            if self.offset == self.size:
                self._file.flush()  # type: ignore # what does not fit shows now
                self.close()
        except OSError as e:
            raise OtaError("no-space" if e.args[0] == _NO_SPACE else "flash-write", e.args[0])

    def close(self, *_) -> tuple:
        try:
            if self._file:
                self._file.close()
        except OSError:  # it was full before
            pass
        self._file = None
        return ()
