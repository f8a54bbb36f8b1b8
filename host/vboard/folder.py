"""A board's folder: one board at a time, and the one that is in it stays what it was made as."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from filelock import FileLock, Timeout

from vboard.chips import BOARDS, CHIPS, ESP8266, Chip
from vboard.flash.appimage import HEAD_SIZE, ImageError, describe
from vboard.flash.partition import SECTOR
from vboard.flash.table import TABLE_OFFSET, Table, TableError
from vboard.refused import Refused

FLASH = "flash.bin"
_CHIP = "chip"  # its name; boards of before 0.2.0 have no such file
_MADE_FROM = "app.sha256"  # of the app or full-flash file that the board was made with, or the word "blank"


def claim(folder: Path) -> FileLock:
    """A lock that the caller releases, and the system when the process ends. Raises Refused where it is held."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock", timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        raise Refused(f"{folder}: another virtual board runs in it: end that one, or give another folder") from None
    return lock


def note(folder: Path, chip: Chip, made_from: str | None = None) -> None:
    """Keep what the board in the folder is; None for `made_from`: as noted before."""
    (folder / _CHIP).write_text(chip.name)
    if made_from is not None:
        (folder / _MADE_FROM).write_text(made_from)


def is_esp8266(folder: Path) -> bool:
    return _read(folder / _CHIP) == ESP8266.name


def noted(folder: Path) -> bool:
    return (folder / _CHIP).exists()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person asks of the board in a folder; None or False: whatever is there."""

    chip: str | None = None
    layout: Table | None = None
    flash_mib: int | None = None
    app: bytes | None = None
    full_flash: bytes | None = None
    blank: bool = False

    @property
    def made_from(self) -> str | None:
        if self.blank:
            return "blank"
        content = self.full_flash or self.app
        return sha256(content).hexdigest() if content else None


def chip_for(folder: Path, wanted: Wanted) -> str:
    """The chip of the board in the folder, or of a new one.

    Raises Refused where a board is there that was made otherwise: it would stay as it is.
    """
    flash = folder / FLASH
    if not flash.exists():
        return wanted.chip or "esp32"
    size = flash.stat().st_size
    table = _table(flash, size)
    own = _own_chip(folder, table)
    made_from = _read(folder / _MADE_FROM)
    other = {
        "--chip": wanted.chip and own and wanted.chip != own,
        "--layout": wanted.layout and wanted.layout != table,
        "--flash-mib": wanted.flash_mib and wanted.flash_mib << 20 != size,
        "--app": wanted.app and wanted.made_from != made_from,
        "--full-flash": wanted.full_flash and wanted.made_from != made_from,
        "--blank": wanted.blank and wanted.made_from != made_from,
    }
    wrong = [option for option, differs in other.items() if differs]
    if wrong:
        rows = " ".join(row.label for row in table.rows) if table else "no partition table"
        raise Refused(
            f"{folder} has a board already ({own or 'no app in it'}, {size >> 20} MiB, {rows}), "
            f"and {' and '.join(wrong)} would change it: remove {flash} to start afresh, or give another folder"
        )
    return own or wanted.chip or "esp32"


def _read(path: Path) -> str | None:
    return path.read_text().strip() if path.exists() else None


def _own_chip(folder: Path, table: Table | None) -> str | None:
    name = _read(folder / _CHIP)
    return name if name in BOARDS else _chip(folder / FLASH, table)


def _table(flash: Path, size: int) -> Table | None:
    with flash.open("rb") as file:
        file.seek(TABLE_OFFSET)
        try:
            return Table.from_bytes(file.read(SECTOR), size, require_md5=False)
        except TableError:
            return None


def _chip(flash: Path, table: Table | None) -> str | None:
    """That of the first app image; None where there is none, or none of a chip that a board can be."""
    names = {chip.chip_id: chip.name for chip in CHIPS.values()}
    with flash.open("rb") as file:
        for row in table.rows if table else ():
            file.seek(row.offset)
            try:
                header = describe(file.read(HEAD_SIZE))[0] if row.is_app else None
            except ImageError:
                continue
            if header and header.chip_id in names:
                return names[header.chip_id]
    return None
