"""A board's folder: one board at a time, and the one that is in it stays what it was made as."""

from hashlib import sha256
from pathlib import Path

from filelock import FileLock, Timeout

from vboard.chips import CHIPS
from vboard.flash.appimage import HEAD_SIZE, ImageError, describe
from vboard.flash.partition import SECTOR
from vboard.flash.table import TABLE_OFFSET, Table, TableError
from vboard.refused import Refused

FLASH, APP = "flash.bin", "app.sha256"  # APP: of the firmware that the board was made with


def claim(folder: Path) -> FileLock:
    """A lock that the caller releases, and the system when the process ends. Raises Refused where it is held."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock", timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        raise Refused(f"{folder}: another virtual board runs in it: end that one, or give another folder") from None
    return lock


def chip_for(folder: Path, *, chip: str | None, layout: Table | None, flash_mib: int | None, app: bytes | None) -> str:
    """The chip of the board in the folder, or of a new one. None: whatever is there.

    Raises Refused where a board is there that was made otherwise: it would stay as it is.
    """
    flash = folder / FLASH
    if not flash.exists():
        return chip or "esp32"
    size = flash.stat().st_size
    table = _table(flash, size)
    own = _chip(flash, table)
    made_with = folder / APP
    other = {
        "--chip": chip and own and chip != own,
        "--layout": layout and layout != table,
        "--flash-mib": flash_mib and flash_mib << 20 != size,
        "--app": app and not (made_with.exists() and made_with.read_text() == sha256(app).hexdigest()),
    }
    wrong = [option for option, differs in other.items() if differs]
    if wrong:
        rows = " ".join(row.label for row in table.rows) if table else "no partition table"
        raise Refused(
            f"{folder} has a board already ({own or 'no app in it'}, {size >> 20} MiB, {rows}), "
            f"and {' and '.join(wrong)} would change it: remove {flash} to start afresh, or give another folder"
        )
    return own or chip or "esp32"


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
