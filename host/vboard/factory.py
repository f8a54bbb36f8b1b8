"""A board as it leaves the bench: a flash file with a partition table and an app, an address of its own."""

from hashlib import sha256
from pathlib import Path

from vboard import folder
from vboard.chips import Chip
from vboard.flash import images
from vboard.flash.nor import SECTOR, Flash
from vboard.flash.table import LAYOUTS, TABLE_OFFSET, Table, TableError

_SIZES = tuple(mib << 20 for mib in (4, 8, 16, 32))
_FILES = 64 << 10  # bytes that a layout without a file system of its own must leave for one


def flash(path: Path, chip: Chip, layout: str | Table, size: int | None, app: bytes | None) -> Flash:
    """The flash of a board: the file as it is, or a new one with the layout and `app` (a small built one if None).

    `size`: bytes; None takes the file's, or the smallest usual one that holds the layout and some files.
    Raises ValueError for an unknown layout, TableError where the table or the app does not fit.
    """
    if isinstance(layout, str) and layout not in LAYOUTS:
        raise ValueError(f"unknown layout {layout!r}: one of {', '.join(LAYOUTS)}, or a table of your own")
    new = not path.exists()
    rows = LAYOUTS[layout] if isinstance(layout, str) else layout
    if size is None:
        size = _fitting(rows) if new else path.stat().st_size
    made = Flash(path, size)
    if new:
        rows.check(size)
        first = rows.factory or rows.ota_slots[0]
        image = app or images.build_app(chip.name)
        if len(image) > first.size:
            raise TableError("bad-size", f"the app has {len(image)} bytes, {first.label} only {first.size}")
        program(made, TABLE_OFFSET, rows.to_bytes())
        program(made, first.offset, image)
        path.with_name(folder.APP).write_text(sha256(image).hexdigest())
    return made


def _fitting(rows: Table) -> int:
    end = max((row.end for row in rows.rows), default=0)
    needed = end if rows.with_auto_vfs(end + _FILES) == rows else end + _FILES
    return next((size for size in _SIZES if size >= needed), _SIZES[0])


def program(flash: Flash, offset: int, data: bytes) -> None:
    """Erase what `data` needs and write it, as the serial bootloader does for esptool."""
    flash.erase(offset, -(-len(data) // SECTOR) * SECTOR, actor="host")
    flash.program(offset, data, actor="host")


def table(flash: Flash) -> Table:
    """The table as the running app sees it, with the vfs that MicroPython adds."""
    raw = flash.read(TABLE_OFFSET, SECTOR)
    return Table.from_bytes(raw, flash.size, require_md5=True).with_auto_vfs(flash.size)


def mac(place: Path) -> bytes:
    """A locally administered address that stays the same for a folder."""
    return b"\x02" + sha256(str(place.resolve()).encode()).digest()[:5]
