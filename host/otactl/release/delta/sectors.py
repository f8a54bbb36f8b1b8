"""A sector of an image as a board puts it together: copies of its base, bytes between them, corrections."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from otactl.release.delta.layout import COPY, COUNTS, GROUP, LEAST_COPY
from otactl.release.delta.matches import Match

_FARTHEST = 255  # from one correction to the next: a byte


@dataclass(frozen=True, slots=True)
class Sector:
    """`copies`: (bytes before it as they are, its size, its displacement: where in the base less where in the image);
    `rest`: bytes after the last of them; `wrong`: (place, what to add there) of what the copies have otherwise."""

    copies: list[tuple[bytes, int, int]]
    rest: bytes
    wrong: list[tuple[int, int]]

    def encoded(self, displacement: int) -> tuple[bytes, int]:
        """Its bytes, after a sector that ended with `displacement`, and with which it ends itself."""
        gaps, adds = _listed(self.wrong)
        out = [COUNTS.pack(len(self.copies), len(gaps))]
        for literal, size, own in self.copies:
            out += [COPY.pack(len(literal), size, own - displacement), literal]
            displacement = own
        out.append(self.rest)
        for at in range(0, len(gaps), GROUP):
            out += [gaps[at : at + GROUP], adds[at : at + GROUP]]
        return b"".join(out), displacement


def cut(base: bytes, image: bytes, matches: Sequence[Match], size: int) -> list[Sector]:
    """All sectors of an image, of `size` bytes but for the last. `matches` as matches.find() gives them."""
    starts = [one.at for one in matches]
    found = []
    for start in range(0, len(image), size):
        end = min(start + size, len(image))
        first = max(bisect_right(starts, start) - 1, 0)
        last = bisect_right(starts, end - 1)
        inside = [one.within(start, end) for one in matches[first:last]]
        found.append(_sector(base, image, start, end, [one for one in inside if one.size >= LEAST_COPY]))
    return found


def _sector(base: bytes, image: bytes, start: int, end: int, inside: Sequence[Match]) -> Sector:
    copies, wrong, at = [], [], start
    for one in inside:
        differs = _wrong(base, image, start, one)
        if 2 * len(differs) <= one.size:  # else it is shorter as it is
            copies.append((image[at : one.at], one.size, one.source - one.at))
            wrong += differs
            at = one.end
    return Sector(copies, image[at:end], wrong)


def _wrong(base: bytes, image: bytes, start: int, one: Match) -> list[tuple[int, int]]:
    old, new = base[one.source : one.source + one.size], image[one.at : one.end]
    if old == new:
        return []
    there = one.at - start
    return [(there + i, (b - a) % 256) for i, (a, b) in enumerate(zip(old, new, strict=True)) if a != b]


def _listed(wrong: Sequence[tuple[int, int]]) -> tuple[bytes, bytes]:
    """The corrections as gaps, each from the one before (the first: from the sector's begin), and what to add there: 0 where
    a gap alone is too long for a byte."""
    gaps, adds, before = bytearray(), bytearray(), 0
    for place, add in wrong:
        while place - before > _FARTHEST:
            gaps.append(_FARTHEST)
            adds.append(0)
            before += _FARTHEST
        gaps.append(place - before)
        adds.append(add)
        before = place
    return bytes(gaps), bytes(adds)
