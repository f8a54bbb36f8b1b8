"""What a power cut leaves in flash, worked out from the record of a run instead of run again."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256

from vboard.flash import SECTOR, Operation
from vboard.powercut import changed


@dataclass(frozen=True, slots=True)
class Step:
    """One operation as it was about to happen: with its data, and the number of the boot it fell in."""

    operation: Operation
    data: bytes | None
    boot: int


@dataclass(frozen=True, slots=True)
class Cut:
    """Power goes at operation number `at` of a run: before it, or, with a seed, in the middle of it.

    After an operation is before the next; `at` may be the number of operations, then it is after the last.
    """

    at: int
    seed: int | None = None

    def __str__(self) -> str:
        return f"{self.at}" if self.seed is None else f"{self.at}~{self.seed}"

    @classmethod
    def parse(cls, text: str) -> "Cut":
        at, _, seed = text.partition("~")
        return cls(int(at), int(seed) if seed else None)


def state_after(start: bytes, steps: list[Step], cut: Cut) -> bytes:
    """The whole flash as `cut` leaves it in a run that began with `start`."""
    flash = bytearray(start)
    for step in steps[: cut.at]:
        _apply(flash, step, None)
    if cut.seed is not None:
        _apply(flash, steps[cut.at], cut.seed)
    return bytes(flash)


def states(start: bytes, steps: list[Step], cuts: Iterable[Cut]) -> Iterator[tuple[Cut, bytes]]:
    """Each cut, in the order in which they fall, with a digest of the state that it leaves.

    Only sectors that the run touches are digested: the others are the same in all states.
    """
    flash, done = bytearray(start), 0
    touched = sorted({n for step in steps for n in _sectors(step.operation)})

    def digest() -> bytes:
        return sha256(b"".join(flash[n * SECTOR : (n + 1) * SECTOR] for n in touched)).digest()

    for cut in cuts:
        for step in steps[done : cut.at]:
            _apply(flash, step, None)
        done = cut.at
        if cut.seed is None:
            yield cut, digest()
            continue
        at, size = steps[done].operation.address, steps[done].operation.size
        kept = flash[at : at + size]
        _apply(flash, steps[done], cut.seed)
        yield cut, digest()
        flash[at : at + size] = kept


def views(start: bytes, steps: list[Step]) -> Iterator[tuple[Step, bytearray]]:
    """Each step with the flash as it was before it. The array is one and the same."""
    flash = bytearray(start)
    for step in steps:
        yield step, flash
        _apply(flash, step, None)


def _sectors(operation: Operation) -> range:
    return range(operation.address // SECTOR, -(-(operation.address + operation.size) // SECTOR))


def _apply(flash: bytearray, step: Step, seed: int | None) -> None:
    at, size = step.operation.address, step.operation.size
    flash[at : at + size] = changed(step.operation, step.data, bytes(flash[at : at + size]), seed)
