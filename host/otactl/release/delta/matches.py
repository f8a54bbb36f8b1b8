"""Which parts of an image lie in another one, nearly: what a delta copies.

The matches are bsdiff's (Colin Percival, "Naive differences of executable code", 2003), by the package bsdiff4, whose patch
is taken apart: magic BSDIFF40, three lengths, then the steps, bzip2. Numbers are 64 bits, little-endian, the highest the sign.
"""

import bz2
import struct
from collections.abc import Iterator
from dataclasses import dataclass

_NUMBERS = struct.Struct("<QQQ")
_HEADER = 8 + _NUMBERS.size
_SIGN = 1 << 63


@dataclass(frozen=True, slots=True)
class Match:
    """`size` bytes at `at` of the image are those at `source` of the base, but for a few."""

    at: int
    size: int
    source: int

    @property
    def end(self) -> int:
        return self.at + self.size

    def within(self, start: int, end: int) -> "Match":
        """The part of it between two places of the image; its size is 0 or less where there is none."""
        at = max(self.at, start)
        return Match(at, min(self.end, end) - at, self.source + at - self.at)


def find(base: bytes, image: bytes) -> list[Match]:
    """In the order of the image; they do not overlap. Takes about a second for 1.7 MB."""
    import bsdiff4  # only who makes a delta needs it

    if not base or not image:
        return []
    patch = bsdiff4.diff(base, image)
    packed, _, _ = _NUMBERS.unpack_from(patch, 8)
    return list(_placed(bz2.decompress(patch[_HEADER : _HEADER + packed])))


def _placed(steps: bytes) -> Iterator[Match]:
    # Each step: so many bytes of both, so many of the image alone, then so far on in the base.
    at = source = 0
    for both, alone, further in _NUMBERS.iter_unpack(steps):
        if both:
            yield Match(at, both, source)
        at += both + alone
        source += both + (_SIGN - further if further & _SIGN else further)
