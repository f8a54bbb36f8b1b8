"""A look at a release where applications are: whether its application fits, and what it does not name, which stays as it is
and is copied from the slot that runs. Loaded only where a release names an application, or a slot has one."""

import os
import sys

from esp32 import Partition
from micropython import const

from .. import steps
from ..boot import record, slots
from ..errors import require
from ..net import url
from . import tree

_SPARE = const(8)  # blocks: directories, and what littlefs itself needs to write
_SAID = {"files": ((int,), 1, 10000), "unpacked": ((int,), 0, 0x1000000), "mpy": ((int, None), 0, 255)}


def look(found: slots.Slots, kept: record.Record, targets: dict, offer: dict, address: str, view: memoryview):
    """Steps that complete an offer by what its release does not name, and by `application`: what an Application wants, and
    the archive's `url`, None where the files are copied. `targets`: kind -> target. They return whether the application that
    runs is that of the offer. Raises OtaError: bad-release, app-path, app-mpy, filesystem, no-space, too-big."""
    named, running = targets.get("application"), tree.FOLDER + found.label
    if named:
        _require_for_us(named, running, "firmware" in targets)
        wanted = {key: named[key] for key in ("size", "sha256", "files", "unpacked")}
        wanted["url"] = url.join(address, named["url"])
    now = yield from _compared(tree.read(running, view))
    if not named:
        wanted = {"size": now.size if now.files else 0, "sha256": now.sha256, "url": None,
                  "files": now.files, "unpacked": now.unpacked}  # fmt: skip
    if wanted["size"]:
        _require_room(wanted, tree.FOLDER + found.next.info()[4])
    if "firmware" not in targets:
        release = kept.release_in(found.running) or {}
        size, sha256 = release.get("size"), release.get("sha256")
        if not sha256:  # nobody knows how long the image is: all of the slot
            size = found.running.info()[3]
            sha256 = yield from _compared(_hashed(found.running, size, view))
        require(size <= found.next.info()[3], "too-big", size)
        offer.update(size=size, sha256=sha256, url=None)
    for entry in kept.state["releases"]:
        if now.files and entry[0] == found.label and not "".join(entry[7:]):
            entry[7:] = [now.sha256[:16]]  # put there by cable: for the way back to it
            kept.save("state")
    offer.update(app=wanted["sha256"], application=wanted)
    return now.sha256 == wanted["sha256"]


def _compared(reading):
    # Steps of a generator of bytes.
    while True:
        try:
            done = next(reading)
        except StopIteration as e:
            return e.value
        yield steps.progress("compare", done, done)


def _hashed(slot, size: int, view: memoryview):
    import hashlib

    digest = hashlib.sha256()
    yield from slots.read_slot(slot, size, view, digest)
    return digest.digest().hex()


def _require_for_us(named: dict, running: str, with_firmware: bool) -> None:
    from ..release import policy

    policy.check(named, _SAID)
    require(running in sys.path, "app-path", running)  # a boot.py that would start another program
    mpy = named.get("mpy")
    ours = getattr(sys.implementation, "_mpy", 0) & 0xFF
    require(with_firmware or mpy in (None, ours), "app-mpy", mpy)  # what comes with firmware is for that


def _require_room(wanted: dict, other: str) -> None:
    # P1: before the other directory is emptied. FAT has no copy of a file that power cuts while it is written.
    require(any(_is_littlefs(vfs) for vfs in Partition.find(Partition.TYPE_DATA, label="vfs")), "filesystem")
    block, _, _, free = os.statvfs("/")[:4]
    need = wanted["unpacked"] // block + wanted["files"] + _SPARE
    free += tree.blocks(other, block)
    require(need <= free, "no-space", f"{need * block} {free * block}")


def _is_littlefs(vfs) -> bool:
    # Its superblock lies in the first two sectors; power may have gone while one was written.
    head = bytearray(16)
    for block in range(2):
        vfs.readblocks(block, head, 0)
        if head[8:] == b"littlefs":
            return True
    return False
