"""A flash made up for a test: a table, app images in slots, otadata as wanted."""

from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from vboard.chips import CHIPS
from vboard.flash.appimage import verify
from vboard.flash.images import build_app
from vboard.flash.nor import Flash, Operation, PowerLost
from vboard.flash.otadata import Entry, State, crc_of, read_entries
from vboard.flash.table import LAYOUTS, TABLE_OFFSET, Row, Table

MIB = 1 << 20
NEW, PENDING, VALID = State.NEW, State.PENDING_VERIFY, State.VALID
INVALID, ABORTED = State.INVALID, State.ABORTED
BLANK = None
Wanted = tuple[int, int] | None  # (seq, state), or BLANK


@lru_cache
def app(chip: str = "esp32", seed: int = 0) -> bytes:
    return build_app(chip, seed=seed)


@lru_cache
def damaged_app(chip: str = "esp32") -> bytes:
    image = bytearray(app(chip))
    image[1000] ^= 1
    return bytes(image)


@lru_cache
def unloadable_app(chip: str = "esp32") -> bytes:
    """A whole image, but its second segment is meant for an address where the chip has no RAM."""
    image = bytearray(app(chip))
    info = verify(bytes(image), 0x10000, MIB, CHIPS[chip], app_side=True)
    at = info.segments[1].offset - 8
    image[at : at + 4] = (0x20000000).to_bytes(4, "little")
    body = info.length - 32
    return bytes(image[:body]) + sha256(image[:body]).digest()


def spoiled(seq: int, state: State) -> Entry:
    """An entry with a CRC that does not fit."""
    return Entry(seq, state, crc_of(seq) ^ 1)


def entry(wanted: Wanted | Entry) -> bytes:
    if wanted is None:
        return b"\xff" * 32
    return (wanted if isinstance(wanted, Entry) else Entry.make(*wanted)).to_bytes()


def flashed(
    folder: Path,
    layout: str | Table = "ota",
    *,
    good: str = "",
    damaged: str = "",
    otadata: tuple[Wanted | Entry, Wanted | Entry] = (BLANK, BLANK),
    size: int = 0,
    chip: str = "esp32",
) -> Flash:
    """A flash with apps in the partitions that `good` and `damaged` name, and an empty trace."""
    table = LAYOUTS[layout] if isinstance(layout, str) else layout
    flash = Flash(folder / "flash.bin", size or (8 if table.factory and table.otadata else 4) * MIB)
    flash.program(TABLE_OFFSET, table.to_bytes(), actor="host")
    for labels, image in ((good, app(chip)), (damaged, damaged_app(chip))):
        for label in labels.split():
            flash.program(row(table, label).offset, image, actor="host")
    if table.otadata:
        for index, wanted in enumerate(otadata):
            address = table.otadata.offset + index * 0x1000
            flash.program(address, entry(wanted), actor="host")
    flash.trace.clear()
    return flash


def row(table: Table, label: str) -> Row:
    found = table.find(label)
    assert found, f"no partition {label}"
    return found


def otadata_of(flash: Flash, table: Table) -> tuple[Wanted, Wanted]:
    """Both entries as (seq, state), BLANK for one that is all FF."""
    assert table.otadata
    first, second = (
        BLANK if found.to_bytes() == b"\xff" * 32 else (found.seq, found.state)
        for found in read_entries(flash, table.otadata)
    )
    return first, second


class Cut:
    """Power goes at operation number `at` from now; `torn` bytes of a program still get there."""

    def __init__(self, flash: Flash, at: int, torn: int = 0) -> None:
        self.flash, self.left, self.torn = flash, at, torn
        flash.before = self

    def __call__(self, operation: Operation, data: bytes | None) -> None:
        if self.left:
            self.left -= 1
            return
        self.flash.before = None
        if data and self.torn:
            self.flash.program(operation.address, data[: self.torn], actor=operation.actor)
        raise PowerLost
