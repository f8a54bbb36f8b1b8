"""Whether a board's filesystem is still the one that a copy was taken of: MD5s of all of it that no step writes to."""

from collections.abc import Sequence
from typing import Protocol

from otactl.board.provision.plan import Step

Range = tuple[int, int]  # offset and size, in bytes
Print = tuple[int, int, str]  # and the MD5, in hex


class Digests(Protocol):
    def digest(self, offset: int, size: int) -> str:
        """The MD5 of a region of flash, in hex. Raises RigError."""


def beside(place: Range, steps: Sequence[Step]) -> list[Range]:
    """What the steps leave of a place."""
    left, at, end = [], place[0], place[0] + place[1]
    for step in sorted(steps, key=lambda step: step.offset):
        if at < min(step.offset, end):
            left.append((at, min(step.offset, end) - at))
        at = max(at, step.offset + len(step.data))
    return [*left, (at, end - at)] if at < end else left


def printed(flash: Digests, ranges: Sequence[Range]) -> tuple[Print, ...]:
    """Raises RigError."""
    return tuple((offset, size, flash.digest(offset, size)) for offset, size in ranges)


def same(flash: Digests, prints: Sequence[Print]) -> bool:
    """False without prints: nothing is known then. Raises RigError."""
    return bool(prints) and all(flash.digest(offset, size) == md5 for offset, size, md5 in prints)
