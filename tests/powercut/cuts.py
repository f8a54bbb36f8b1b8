"""What a power cut leaves in flash, worked out from the record of a run instead of run again."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import reduce
from hashlib import sha256
from operator import xor

from vboard.flash.nor import SECTOR, Operation
from vboard.flash.powercut import changed

State = int  # of a whole flash: equal where the flashes are


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


def states(start: bytes, steps: list[Step], cuts: Iterable[Cut], against: bytes) -> Iterator[tuple[Cut, State]]:
    """Each cut, in the order in which they fall, with the state that it leaves, held against another flash."""
    flash, done = bytearray(start), 0
    marks = _marks(flash, range(len(flash) // SECTOR), against)
    total = _sum(marks)

    def apply(step: Step, seed: int | None) -> State:
        _apply(flash, step, seed)
        touched = _sectors(step.operation)
        new = _marks(flash, touched, against)
        moved = _sum({n: marks.get(n, 0) ^ new.get(n, 0) for n in touched})
        if seed is None:
            for n in touched:
                marks[n] = new.get(n, 0)
        return total ^ moved

    for cut in cuts:
        for step in steps[done : cut.at]:
            total = apply(step, None)
        done = cut.at
        if cut.seed is None:
            yield cut, total
            continue
        at, size = steps[done].operation.address, steps[done].operation.size
        kept = flash[at : at + size]
        yield cut, apply(steps[done], cut.seed)
        flash[at : at + size] = kept


def state(flash: bytes, against: bytes) -> State:
    """A number for a whole flash: the sum, without carry, of the hashes of the sectors that differ from another one."""
    return _sum(_marks(flash, range(len(flash) // SECTOR), against))


def _marks(flash: bytes | bytearray, sectors: Iterable[int], against: bytes) -> dict[int, int]:
    found = {}
    for n in sectors:
        sector = flash[n * SECTOR : (n + 1) * SECTOR]
        if sector != against[n * SECTOR : (n + 1) * SECTOR]:
            found[n] = int.from_bytes(sha256(n.to_bytes(4) + sector).digest())
    return found


def _sum(marks: dict[int, int]) -> State:
    return reduce(xor, marks.values(), 0)


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
