"""A board as it leaves the bench: a flash file with what is in it, an address of its own."""

from hashlib import sha256
from pathlib import Path

from vboard import folder
from vboard.chip.firmware import Firmware
from vboard.chips import Chip
from vboard.flash import bootimage, image8266, images
from vboard.flash.appimage import Header, ImageError
from vboard.flash.nor import SECTOR, Flash
from vboard.flash.table import LAYOUTS, TABLE_OFFSET, Table, TableError

_SIZES = tuple(mib << 20 for mib in (4, 8, 16, 32))
_ANY_SIZE = 1 << 32  # a file does not say how large the chip's flash is
_FILES = 64 << 10  # bytes that a layout without a file system of its own must leave for one


def flash(
    path: Path,
    chip: Chip,
    layout: str | Table,
    size: int | None,
    app: bytes | None,
    *,
    blank: bool = False,
    full_flash: bytes | None = None,
    rollback: bool = True,
    micropython: str = "1.26.1",
) -> Flash:
    """The flash of a board: the file as it is, or a new one.

    A new one has a bootloader, the layout and `app` (a small built one if None). `blank`: it is all FF instead.
    `full_flash`: it has this file instead, from the bootloader on. `size`: bytes; None takes the file's, or the smallest
    usual one that holds what goes in and some files. `rollback`: False for a bootloader that does not roll back.
    `micropython`: the version of an app that tells none; before 1.26 a layout by name gets a row for files.
    Raises ValueError for an unknown layout or two contents at once, TableError where something does not fit.
    """
    _check(chip, layout, app, full_flash, blank=blank)
    if path.exists():
        opened = Flash(path, path.stat().st_size if size is None else size)
        if chip.port == "esp32":
            _give_bootloader(opened, chip, rollback)
        return opened
    if chip.port == "esp8266":
        return _esp8266(path, chip, size, blank=blank, micropython=micropython)
    if blank:
        return _new(path, size or _SIZES[0], chip, {}, "blank")
    if full_flash:
        return _from_file(path, chip, size, full_flash)
    rows = LAYOUTS[layout] if isinstance(layout, str) else layout
    size = size or _fitting(rows)
    rows.check(size)
    first = rows.factory or rows.ota_slots[0]
    image = app or images.build_app(chip.name)
    if isinstance(layout, str) and not Firmware.of_image(image, chip, micropython).makes_vfs:
        rows = rows.with_auto_vfs(size)
    if len(image) > first.size:
        raise TableError("bad-size", f"the app has {len(image)} bytes, {first.label} only {first.size}")
    contents = {
        chip.bootloader_offset: bootimage.build(chip.name, size, rollback=rollback),
        TABLE_OFFSET: rows.to_bytes(),
        first.offset: image,
    }
    return _new(path, size, chip, contents, sha256(image).hexdigest())


def _check(chip: Chip, layout: str | Table, app: bytes | None, full_flash: bytes | None, *, blank: bool) -> None:
    if chip.port == "esp8266" and (app or full_flash or layout != "ota"):
        raise ValueError(f"an {chip.name} has a made-up firmware and no partition table: give no app, no layout")
    if isinstance(layout, str) and layout not in LAYOUTS:
        raise ValueError(f"unknown layout {layout!r}: one of {', '.join(LAYOUTS)}, or a table of your own")
    if (blank and full_flash) or (app and (blank or full_flash)):
        raise ValueError("an app, a full-flash file or nothing at all: a new flash has one of them")


def _esp8266(path: Path, chip: Chip, size: int | None, *, blank: bool, micropython: str) -> Flash:
    size = size or image8266.SIZES[-1]
    if size not in image8266.SIZES:
        usual = ", ".join(str(one >> 20) for one in image8266.SIZES)
        raise ValueError(f"an {chip.name} has a flash of {usual} MiB here")
    if blank:
        return _new(path, size, chip, {}, "blank")
    image = image8266.build(size, micropython)
    return _new(path, size, chip, {0: image}, sha256(image).hexdigest())


def _new(path: Path, size: int, chip: Chip, contents: dict[int, bytes], made_from: str) -> Flash:
    made = Flash(path, size)
    for offset, data in contents.items():
        program(made, offset, data)
    folder.note(path.parent, chip, made_from)
    return made


def _from_file(path: Path, chip: Chip, size: int | None, data: bytes) -> Flash:
    """A flash with a full-flash file in it; its partitions and the file itself must fit, its header may say otherwise."""
    end = chip.bootloader_offset + len(data)
    if size is None:
        told = bootimage.flash_size_of(data) or _SIZES[0]
        size = next((usual for usual in _SIZES if usual >= max(told, end)), end)
    if end > size:
        raise TableError("bad-size", f"the full-flash file ends at 0x{end:x}, the flash at 0x{size:x}")
    return _new(path, size, chip, {chip.bootloader_offset: data}, sha256(data).hexdigest())


def _give_bootloader(flash: Flash, chip: Chip, rollback: bool) -> None:
    """A board of before 0.2.0 has none in its flash, and started all the same: it gets one, once."""
    if folder.noted(flash.path.parent):
        return
    place = flash.read(chip.bootloader_offset, TABLE_OFFSET - chip.bootloader_offset)
    started_without = place.count(0xFF) == len(place) and flash.read(TABLE_OFFSET, SECTOR).count(0xFF) < SECTOR
    if started_without:
        program(flash, chip.bootloader_offset, bootimage.build(chip.name, flash.size, rollback=rollback))
    folder.note(flash.path.parent, chip)


def _fitting(rows: Table) -> int:
    end = max((row.end for row in rows.rows), default=0)
    needed = end if rows.with_auto_vfs(end + _FILES) == rows else end + _FILES
    return next((size for size in _SIZES if size >= needed), _SIZES[0])


def is_full_flash(data: bytes, chip: Chip) -> bool:
    """Whether a file is what MicroPython's makeimg.py makes for the chip: bootloader and table, each at its place."""
    table = data[TABLE_OFFSET - chip.bootloader_offset :][:SECTOR]
    try:
        right = Header.from_bytes(data).chip_id == chip.chip_id
        Table.from_bytes(table.ljust(SECTOR, b"\xff"), _ANY_SIZE, require_md5=False)
    except (ImageError, TableError):
        return False
    return right


def program(flash: Flash, offset: int, data: bytes) -> None:
    """Erase what `data` needs and write it, as the serial bootloader does for esptool."""
    flash.erase(offset, -(-len(data) // SECTOR) * SECTOR, actor="host")
    flash.program(offset, data, actor="host")


def table(flash: Flash, *, makes_vfs: bool = True) -> Table:
    """The table as the app sees it. `makes_vfs`: whether its firmware adds one for files.

    An ESP8266 has none; this is then what lies where (flash/image8266.py).
    """
    if folder.is_esp8266(flash.path.parent):
        return image8266.table(flash.size)
    found = Table.from_bytes(flash.read(TABLE_OFFSET, SECTOR), flash.size, require_md5=True)
    return found.with_auto_vfs(flash.size) if makes_vfs else found


def mac(place: Path) -> bytes:
    """A locally administered address that stays the same for a folder."""
    return b"\x02" + sha256(str(place.resolve()).encode()).digest()[:5]
