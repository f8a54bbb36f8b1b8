"""The way back by hand: where no bootloader goes back by itself (one from before MicroPython 1.21, a torn state, the
factory app), and for a rollback that power interrupted."""

import hashlib

from ..console import say
from ..errors import OtaError
from . import record, slots

_PIECE = 512  # bytes: a piece that a heap full of holes has


def go(found: slots.Slots, kept: record.Record) -> bool:
    """Switch to the slot that the job came from, or to any other that starts. Whether one does."""
    job = kept.job
    labels = [job["came_from"]] + [r[0] for r in reversed(kept.state["releases"])] + [p.info()[4] for p in found.all]
    tried = [found.label]
    for label in labels:
        if label not in tried:
            tried.append(label)
            if to(found, kept, label):
                return True
    return False


def to(found: slots.Slots, kept: record.Record, label: "str | None") -> bool:
    """Switch to the slot of that name, if there is one and it starts. Whether it does."""
    slot = found.find(label)
    if slot is None:
        return False
    _note(kept, label)  # before the switch: the next boot knows why it runs
    if starts(found, slot, kept.release_in(slot) or {}):
        return True
    _note(kept, None)
    return False


def _note(kept: record.Record, label: "str | None") -> None:
    kept.job["back"] = label
    try:
        kept.save("job")
    except OtaError as e:  # NVS is full: to go back counts more than to know why
        say("error", e)


def starts(found: slots.Slots, slot, release: dict) -> bool:
    """Switch to `slot` if it holds `release` whole, where that is known (P3), and the chip takes it."""
    if release.get("sha256") and not _holds(slot, release["size"], release["sha256"]):
        return False
    try:
        found.set_boot(slot)
    except OtaError:
        return False
    return True


def with_application(slot, release: dict) -> bool:
    """Whether the directory of `slot` holds the application of `release` whole (P3); it may have none."""
    from .. import install

    if not install.applications():
        return not release.get("app")
    from ..install import tree

    return tree.holds(slot.info()[4], release.get("app", ""))


def _holds(slot, size: int, sha256: str) -> bool:
    # About two seconds for 1 MiB, at once.
    digest = hashlib.sha256()
    if size > slot.info()[3]:
        return False
    for _ in slots.read_slot(slot, size, memoryview(bytearray(_PIECE)), digest):
        pass
    return digest.digest().hex() == sha256
