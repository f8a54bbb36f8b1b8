"""App images that are near another one, as the next build of a project is: code moved, some of its bytes changed."""

import random
from collections.abc import Iterator
from hashlib import sha256

from vboard.flash.appimage import measure

_DIGEST = 32
_HEAD, _SEGMENT = 24, 8  # bytes of an image's header, of a segment's
_DESCRIPTOR = 512  # bytes at the begin of a segment that stay as they are


def near(image: bytes, seed: int, changes: int = 60) -> bytes:
    """A sound app image, which differs from `image` in `changes` places; two pieces of it have changed places."""
    length = measure(image)
    made = bytearray(image)
    rng = random.Random(seed)
    first, end = max(_segments(image), key=lambda one: one[1] - one[0])
    # pieces that change places, and two bytes changed in the same bits, leave the checksum as it is
    middle = (first + end) // 2
    size = min(3000 + 16 * seed, middle - first)
    made[first : first + size], made[middle : middle + size] = (
        image[middle : middle + size],
        image[first : first + size],
    )
    for _ in range(changes):
        at, bits = rng.randrange(first, end - 1), rng.randrange(1, 256)
        made[at] ^= bits
        made[at + 1] ^= bits
    made[length - _DIGEST : length] = sha256(made[: length - _DIGEST]).digest()
    return bytes(made)


def _segments(image: bytes) -> Iterator[tuple[int, int]]:
    at = _HEAD
    for _ in range(image[1]):
        size = int.from_bytes(image[at + 4 : at + 8], "little")
        yield at + _SEGMENT + _DESCRIPTOR, at + _SEGMENT + size
        at += _SEGMENT + size
