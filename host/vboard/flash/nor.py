"""NOR flash on a file: erase makes whole sectors FF, program only clears bits, all is on record.

The file is mapped shared: another process that reads it sees each operation as soon as it is done.
Reads leave no trace: only what changes the flash can be cut by a power loss.
Source: ESP-IDF spi_flash/esp_flash_api.c (how a range is split into block and sector erases);
times are the typical values of the datasheets of the common 4 MiB parts (GD25Q32, W25Q32).
"""

import mmap
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

SECTOR = 0x1000  # smallest erase
BLOCK = 0x10000  # largest erase that IDF uses short of the whole chip
PAGE = 0x100  # one program command writes within one page
ERASE_SECTOR_US = 45_000
ERASE_BLOCK_US = 150_000
PROGRAM_PAGE_US = 500
READ_KIB_US = 100  # by 40 MHz DIO; facts 10.4 saw 900, most of it the emulator's

Actor = Literal["app", "bootloader", "nvs", "vfs", "host"]


class PowerLost(Exception):
    """Power went before the operation named here was applied."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One change to the flash: `size` bytes at `address`. `index` counts from 0 at the opening."""

    index: int
    actor: Actor
    kind: Literal["erase", "program"]
    address: int
    size: int


class Flash:
    """A flash chip of `size` bytes, kept in the file `path`; an absent file is made, all FF.

    trace: every operation, oldest first; may be cleared, the numbering goes on.
    wear: erases per sector number.
    busy_us: how long a real chip would have been at work.
    takes: called with the seconds that a real chip needs before each operation of the board is applied; it may wait
        that long, or raise, and the flash is then as if the operation had not begun.
    before: called with each operation, and the data of a program, before it is applied; it may
        raise PowerLost, and the flash is then as if the operation had not begun.
    """

    def __init__(self, path: Path, size: int) -> None:
        """Raises ValueError for a size not of whole blocks, or a file of another size."""
        if size <= 0 or size % BLOCK:
            raise ValueError(f"flash size {size} is not a multiple of {BLOCK} bytes")
        if not path.exists():
            _create_erased(path, size)
        if path.stat().st_size != size:
            raise ValueError(
                f"{path} holds {path.stat().st_size} bytes, the flash has {size}: "
                "give the size it was made with, or remove the file"
            )
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), size)
        self.path = path
        self.size = size
        self.trace: list[Operation] = []
        self.wear: Counter[int] = Counter()
        self.erases = 0
        self.programs = 0
        self.busy_us = 0
        self.takes: Callable[[float], None] | None = None
        self.before: Callable[[Operation, bytes | None], None] | None = None

    def read(self, address: int, size: int) -> bytes:
        """Raises ValueError for a range that is not all within the flash."""
        self._check(address, size)
        return self._map[address : address + size]

    def reader(self, base: int) -> Callable[[int, int], bytes]:
        """`read`, with addresses counted from `base`."""
        return lambda offset, size: self.read(base + offset, size)

    def erase(self, address: int, size: int, *, actor: Actor) -> None:
        """Make whole sectors FF, by 64 KiB blocks where they fit and by sectors elsewhere.

        Each block or sector is one operation.

        Raises ValueError for a range outside the flash or not of whole sectors.
        """
        self._check(address, size)
        if address % SECTOR or size % SECTOR:
            raise ValueError(f"erase of 0x{size:x} bytes at 0x{address:x} is not of whole sectors")
        end = address + size
        while address < end:
            step = BLOCK if address % BLOCK == 0 and end - address >= BLOCK else SECTOR
            took_us = ERASE_BLOCK_US if step == BLOCK else ERASE_SECTOR_US
            self._begin(actor, "erase", address, step, None, took_us)
            self._map[address : address + step] = b"\xff" * step
            self.erases += 1
            self.wear.update(range(address // SECTOR, (address + step) // SECTOR))
            self.busy_us += took_us
            address += step

    def program(self, address: int, data: bytes | bytearray | memoryview, *, actor: Actor) -> None:
        """Clear the bits that are 0 in `data`, in one operation. A bit that is 0 stays 0.

        Raises ValueError for a range outside the flash. No data is no operation.
        """
        data = bytes(data)
        self._check(address, len(data))
        if not data:
            return
        end = address + len(data)
        took_us = ((end - 1) // PAGE - address // PAGE + 1) * PROGRAM_PAGE_US
        self._begin(actor, "program", address, len(data), data, took_us)
        self._map[address:end] = and_(self._map[address:end], data)
        self.programs += 1
        self.busy_us += took_us

    def force(self, address: int, data: bytes) -> None:
        """Make a range read as `data`, whatever it was: what a fault leaves. It leaves no trace."""
        self._check(address, len(data))
        self._map[address : address + len(data)] = data

    def spend(self, microseconds: float) -> None:
        """Let time go by as a real chip would need it; none where nobody asked for it (`takes`)."""
        if self.takes:
            self.takes(microseconds / 1e6)

    def flush(self) -> None:
        """Hand what changed to the disk. Other processes see every change without it."""
        self._map.flush()

    def close(self) -> None:
        self._map.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check(self, address: int, size: int) -> None:
        if address < 0 or size < 0 or address + size > self.size:
            raise ValueError(f"0x{size:x} bytes at 0x{address:x} are outside the flash of 0x{self.size:x}")

    def _begin(
        self,
        actor: Actor,
        kind: Literal["erase", "program"],
        address: int,
        size: int,
        data: bytes | None,
        takes_us: int,
    ) -> None:
        if actor != "host":
            self.spend(takes_us)
        operation = Operation(self.erases + self.programs, actor, kind, address, size)
        if self.before:
            self.before(operation, data)
        self.trace.append(operation)


def and_(old: bytes, new: bytes) -> bytes:
    """The bits that are 1 in both."""
    # on long integers: a loop over the bytes of a 1.7 MB image would take a second
    return (int.from_bytes(old, "little") & int.from_bytes(new, "little")).to_bytes(len(old), "little")


def _create_erased(path: Path, size: int) -> None:
    # made under another name first: a board that is started twice never maps a file half written
    part = path.with_name(f"{path.name}.{os.getpid()}.new")
    with part.open("wb") as file:
        for _ in range(size // BLOCK):
            file.write(b"\xff" * BLOCK)
    part.replace(path)
