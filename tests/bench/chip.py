"""What a chip and its link take for what a run did: counted operations, each at a chip's time. Nothing overlaps, so the sums
are upper bounds for all updaters alike.

| time | from |
|---|---|
| erase of a sector 45 ms, of 64 KiB 150 ms, program of a page 0.5 ms | datasheets of GD25Q32 and W25Q32, typical values |
| readblocks() 0.58 ms, and 0.18 ms a KiB | stock firmware in an emulator took a third of that for 64 and 4,096 bytes |
| SHA-256 0.31 ms a KiB | set_boot() of an ESP32 takes 0.67 s for 1.6 MB, and reading 0.1 ms a KiB of that |
| set_boot() 0.41 ms a KiB | the same |
| inflate 1.76 ms a KiB, a correction of a delta 14 us | stock firmware in an emulator took 0.86 and 3.6 us; C twice, bytecode four times |
| TLS handshake 0.72 s | measured on real firmware, ESP32 v1.23.0 |
| the link: 277 KB/s, or 30 | the first measured over Wi-Fi on that firmware, the second is a weak one |
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields

from vboard.flash.nor import BLOCK, ERASE_BLOCK_US, ERASE_SECTOR_US, PAGE, PROGRAM_PAGE_US, Operation
from vboard.flash.table import Row

READ_CALL_S, READ_KIB_S = 0.58e-3, 0.18e-3
HASH_KIB_S = 0.31e-3
SET_BOOT_KIB_S = 0.41e-3
INFLATE_KIB_S = 1.76e-3
CORRECTION_S = 14.4e-6
HANDSHAKE_S = 0.72
LINKS = {"277 KB/s": 277_000, "30 KB/s": 30_000}


@dataclass(frozen=True, slots=True)
class Reads:
    """Of the slot: calls of readblocks(), and bytes."""

    calls: int = 0
    size: int = 0

    @property
    def seconds(self) -> float:
        return self.calls * READ_CALL_S + self.size / 1024 * READ_KIB_S


@dataclass(frozen=True, slots=True)
class Decoded:
    """What the decoder of deltas did: bytes that came of deflate, corrections, and what it read of its base."""

    inflated: int = 0
    corrections: int = 0
    copied: Reads = Reads()

    @property
    def seconds(self) -> float:
        return self.inflated / 1024 * INFLATE_KIB_S + self.corrections * CORRECTION_S + self.copied.seconds


@dataclass(frozen=True, slots=True)
class Flashed:
    """Operations in a partition."""

    sectors: int = 0
    blocks: int = 0
    programs: int = 0
    pages: int = 0

    @classmethod
    def of(cls, trace: Iterable[Operation], within: Iterable[Row]) -> "Flashed":
        """Those of a trace that lie in one of the rows."""
        rows = list(within)
        own = [op for op in trace if any(row.offset <= op.address < row.end for row in rows)]
        erased = [op.size for op in own if op.kind == "erase"]
        programmed = [op for op in own if op.kind == "program"]
        pages = sum((op.address + op.size - 1) // PAGE - op.address // PAGE + 1 for op in programmed)
        return cls(sum(size < BLOCK for size in erased), erased.count(BLOCK), len(programmed), pages)

    @property
    def erase_s(self) -> float:
        return (self.sectors * ERASE_SECTOR_US + self.blocks * ERASE_BLOCK_US) / 1e6

    @property
    def program_s(self) -> float:
        return self.pages * PROGRAM_PAGE_US / 1e6


@dataclass(frozen=True, slots=True)
class Phases:
    """Seconds of an update, by what they go into, in this order in table and picture."""

    receive: float
    connect: float
    erase: float
    program: float
    decode: float
    compare: float
    check: float
    notes: float

    @property
    def total(self) -> float:
        return sum(getattr(self, field.name) for field in fields(self))
