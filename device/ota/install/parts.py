"""A look at a release where applications are: whether its application fits, and what it does not name, which stays as it is
and is copied from the slot that runs. Loaded only where a release names an application, or a slot has one."""

import sys

from esp32 import Partition

from .. import steps
from ..boot import record, slots
from ..console import say
from ..errors import require
from ..net import url
from . import tree

_SAID = {
    "files": ((int,), 1, 10000), "unpacked": ((int,), 0, 0x1000000), "blocks": ((int, None), 0, 0x10000),
    "mpy": ((int, None), 0, 255),
}  # fmt: skip


def look(found: slots.Slots, kept: record.Record, targets: dict, offer: dict, address: str, view: memoryview):
    """Steps that complete an offer by what its release does not name, and by `application`: what an Application wants, and
    the archive's `url`, None where the files are copied. `targets`: kind -> target. They return whether the application that
    runs is that of the offer. Raises OtaError: bad-release, app-path, app-mpy, filesystem, no-space, too-big."""
    named, running = targets.get("application"), tree.FOLDER + found.label
    if named:
        _require_for_us(named, running, "firmware" in targets)
        wanted = {key: named.get(key) for key in ("size", "sha256", "files", "unpacked", "blocks")}
        wanted["url"] = url.join(address, named["url"])
    now = yield from _compared(tree.read(running, view))
    if not named:
        wanted = {"size": now.size if now.files else 0, "sha256": now.sha256, "url": None,
                  "files": now.files, "unpacked": now.unpacked, "blocks": tree.blocks(running)}  # fmt: skip
    if wanted["size"]:
        from . import room

        device = Partition.find(Partition.TYPE_DATA, label="vfs")
        room.require_for(device and device[0], wanted, tree.FOLDER + found.next.info()[4])
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


def as_they_lie(
    found: slots.Slots, kept: record.Record, sequence: int, targets: dict, installed: dict, view: memoryview
):
    """Steps that look at the files that run, where a release of this `sequence` is what is `installed`, and names the application.
    Where they are not as they came, `installed` has no sequence any more, so that policy.apply() lets them come once more, into the
    other slot, and `targets` no firmware, which stays. Once for each release: a program that writes into its own directory
    is no update loop (P6). Raises OtaError app-changed."""
    named, running = targets.get("application"), tree.FOLDER + found.label
    if not named or installed["sequence"] != sequence:
        return
    image = targets.get("firmware", installed)["sha256"]
    if image != installed["sha256"] or not named["sha256"].startswith(installed["app"]):
        return  # given out twice
    now = yield from _compared(tree.read(running, view))
    if now.sha256 == named["sha256"]:
        return
    require(len([r for r in kept.state["releases"] if r[2] == sequence]) < 2, "app-changed", running)
    say("changed", running)
    targets.pop("firmware", None)
    installed["sequence"] = 0


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
