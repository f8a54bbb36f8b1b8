"""A sector of an image as a board puts it together: copies of its base, bytes between them, corrections."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from otactl.release.delta.layout import COPY, COUNTS, LEAST_COPY, MOST_COPIES, MOST_CORRECTIONS
from otactl.release.delta.matches import Match

_FARTHEST = 255  # from one correction to the next: a byte


@dataclass(frozen=True, slots=True)
class _Copy:
    """A match, and where in it the two differ: (place in the sector, what to add)."""

    match: Match
    wrong: list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Sector:
    """`copies`: (literal bytes before it, its size, its displacement: where in the base less where in the image)."""

    copies: list[tuple[int, int, int]]
    literals: bytes
    gaps: bytes
    adds: bytes

    def encoded(self, displacement: int) -> tuple[bytes, int]:
        """Its bytes, after a sector that ended with `displacement`, and with which it ends itself."""
        out = [COUNTS.pack(len(self.copies), len(self.gaps))]
        for literal, size, own in self.copies:
            out.append(COPY.pack(literal, size, own - displacement))
            displacement = own
        return b"".join([*out, self.literals, self.gaps, self.adds]), displacement


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
    copies = [_Copy(one, _wrong(base, image, start, one)) for one in inside]
    copies = _within_limits([one for one in copies if 2 * len(one.wrong) <= one.match.size])
    ops, literals, at = [], bytearray(), start
    for copy in copies:
        one = copy.match
        literals += image[at : one.at]
        ops.append((one.at - at, one.size, one.source - one.at))
        at = one.end
    literals += image[at:end]
    gaps, adds = _listed([place for copy in copies for place in copy.wrong])
    return Sector(ops, bytes(literals), gaps, adds)


def _wrong(base: bytes, image: bytes, start: int, one: Match) -> list[tuple[int, int]]:
    old, new = base[one.source : one.source + one.size], image[one.at : one.end]
    if old == new:
        return []
    there = one.at - start
    return [(there + i, (b - a) % 256) for i, (a, b) in enumerate(zip(old, new, strict=True)) if a != b]


def _within_limits(copies: list[_Copy]) -> list[_Copy]:
    # What a board's buffers hold: the worst copies become literals.
    while len(copies) > MOST_COPIES or len(_listed([p for one in copies for p in one.wrong])[0]) > MOST_CORRECTIONS:
        worst = min(copies, key=lambda one: one.match.size - 2 * len(one.wrong))
        copies = [one for one in copies if one is not worst]
    return copies


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
