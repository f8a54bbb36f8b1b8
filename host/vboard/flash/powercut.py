"""Power goes at a flash operation: before it, in the middle of it, or after it.

    board.flash.before = PowerCut(board.flash, at=41, how="torn", seed=7)

A torn program leaves some of its bits done, a torn erase some of its bits gone: from the front
on, as a chip that works byte by byte would; all over, as one that drives all cells at once would;
or all of it but for one word, the last to settle. The seed says which. Nothing is promised of a torn range but that bytes outside keep.
"""

import random
from typing import Literal

from vboard.flash.nor import Flash, Operation, PowerLost, and_

How = Literal["before", "torn", "after"]


class PowerCut:
    """For `Flash.before`: power goes at the operation that is number `at` from now, once."""

    def __init__(self, flash: Flash, at: int, how: How = "before", seed: int = 0) -> None:
        self.flash, self.left, self.how, self.seed = flash, at, how, seed

    def __call__(self, operation: Operation, data: bytes | None) -> None:
        """Raises PowerLost when it is time."""
        if self.left:
            self.left -= 1
            return
        self.flash.before = None
        if self.how != "before":
            old = self.flash.read(operation.address, operation.size)
            seed = self.seed if self.how == "torn" else None
            self.flash.force(operation.address, changed(operation, data, old, seed))
        raise PowerLost


def changed(operation: Operation, data: bytes | None, old: bytes, seed: int | None) -> bytes:
    """What `operation` leaves where `old` was; with a seed, what a torn one leaves."""
    goal = and_(old, data) if data else b"\xff" * len(old)
    if seed is None:
        return goal
    rng = random.Random(f"{seed}/{operation.kind}/{operation.address}/{operation.size}")
    way = rng.randrange(3)
    if way == 0:
        at = rng.randrange(0, len(old), 4)
        return goal[:at] + _mixed(old[at : at + 4], goal[at : at + 4], rng) + goal[at + 4 :]
    if way == 1:  # from the front on; the byte where it stopped is half done
        at = rng.randrange(len(old))
        return goal[:at] + _mixed(old[at : at + 1], goal[at : at + 1], rng) + old[at + 1 :]
    return _mixed(old, goal, rng)


def _mixed(old: bytes, goal: bytes, rng: random.Random) -> bytes:
    """Of each byte, all of `goal`, nothing of it, or a random part of its bits."""
    masks = rng.choices(range(256), _WEIGHTS, k=len(old))
    return bytes((o & ~m) | (g & m) for o, g, m in zip(old, goal, masks, strict=True))


# of 256 masks the two that mean "not at all" and "all of it" stand for three bytes in four
_WEIGHTS = [95] + [0.25] * 254 + [95]
