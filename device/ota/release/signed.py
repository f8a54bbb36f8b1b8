"""Verifies the signature of an app image that lies in a slot (release/sector.py has the format)."""

import hashlib

from micropython import const

from .. import steps
from ..boot import slots
from ..errors import require
from . import sector

_HEAD, _SEGMENT = const(24), const(8)  # bytes of an image's header, of a segment's
_NO_SECTOR = "no sector behind the image"


def verify(slot, size: int, sha256: str, trusted: "list[str]", view: memoryview):
    """Steps until the image in `slot`, as it lies in flash (P3), has shown the signature of a key of `trusted` (digests,
    hex). `size` and `sha256` are the release's. Raises OtaError read-back, image-signature."""
    body = size - sector.SIZE
    require(body > 0, "image-signature", _NO_SECTOR)
    whole, image = hashlib.sha256(), hashlib.sha256()
    for done in slots.read_slot(slot, body, view, _Both(whole, image)):
        yield steps.progress("signature", done, size)
    last = view[: sector.SIZE]
    slot.readblocks(0, last, body)
    whole.update(last)
    require(whole.digest().hex() == sha256, "read-back", slot.info()[4])  # flash's fault, not the signature's
    behind = -(-_end(slot, size) // sector.SIZE) * sector.SIZE  # where ESP-IDF looks for it
    require(body == behind, "image-signature", _NO_SECTOR)
    yield from sector.check(last, image.digest(), trusted)


class _Both:
    """Two hashes of the same bytes."""

    def __init__(self, one, other) -> None:
        self._one, self._other = one, other

    def update(self, part) -> None:
        self._one.update(part)
        self._other.update(part)


def _end(slot, size: int) -> int:
    # Where the image in a slot ends: behind its segments, the checksum in the last of 16 bytes, and its own SHA-256.
    head, at = bytearray(_HEAD), _HEAD
    slot.readblocks(0, head)
    for _ in range(head[1]):
        segment = bytearray(_SEGMENT)
        slot.readblocks(0, segment, at)
        at += _SEGMENT + int.from_bytes(segment[4:], "little")
        require(at < size, "image-signature", _NO_SECTOR)
    return (at + 16 & ~15) + (32 if head[23] == 1 else 0)
