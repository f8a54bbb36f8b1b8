"""What lies in a flash: images, otadata, files. Read, and put there, by the host, with nothing of the agent's."""

from collections.abc import Mapping

import apps
from littlefs import LittleFS
from vboard.flash.otadata import Entry, State, active, slot_of
from vboard.flash.table import Row, Table

from powercut.program import TREES
from powercut.scenario import IMAGES, row

_OTADATA_SECTOR = 0x1000


def content(table: Table, flash: bytes | bytearray, slot: Row) -> str:
    """The version that lies in a slot, its image whole and in the slot's directory its files and no others; "" for anything
    else."""
    fitting = [version for version, image in IMAGES.items() if flash[slot.offset : slot.offset + len(image)] == image]
    if any(version in TREES for version in fitting):
        vfs = row(table, "vfs")
        there = apps.in_flash(bytes(flash[vfs.offset : vfs.end])).get(slot.label)
        fitting = [version for version in fitting if TREES.get(version) == there]
    return fitting[0] if fitting else ""


def entries(table: Table, flash: bytes | bytearray) -> tuple[Entry, Entry]:
    at = row(table, "otadata").offset
    first, second = (Entry.from_bytes(bytes(flash[n : n + 32])) for n in (at, at + _OTADATA_SECTOR))
    return first, second


def chosen(table: Table, flash: bytes | bytearray) -> tuple[Row, int] | None:
    """What otadata names, and the state of its entry. Where it names nothing that is the factory app, which needs no
    confirmation, or None on a board without one."""
    found = entries(table, flash)
    index = active(*found)
    if index < 0:
        return (table.factory, State.VALID) if table.factory else None
    slots = table.ota_slots
    return slots[slot_of(found[index].seq, len(slots))], found[index].state


def files(table: Table, flash: bytes) -> dict[str, bytes]:
    """Every file of the vfs, by its path. Raises LittleFSError where it does not mount."""
    vfs = _mounted(table, flash)
    found = {}
    for folder, _, names in vfs.walk("/"):
        for name in names:
            path = f"{folder}/{name}".lstrip("/")
            with vfs.open(path, "rb") as file:
                found[path] = file.read()
    return found


def with_files(table: Table, flash: bytes, changes: Mapping[str, bytes | None]) -> bytes:
    """The flash with these files written, or removed. No boot of the board does it, so that it is the same each time."""
    vfs, at = _mounted(table, flash), row(table, "vfs")
    for path, data in changes.items():
        if data is None:
            vfs.remove(path)
            continue
        if "/" in path:
            vfs.makedirs(path.rpartition("/")[0], exist_ok=True)
        with vfs.open(path, "wb") as file:
            file.write(data)
    return flash[: at.offset] + bytes(vfs.context.buffer) + flash[at.end :]


def _mounted(table: Table, flash: bytes) -> LittleFS:
    vfs = row(table, "vfs")
    found = LittleFS(block_size=4096, block_count=vfs.size // 4096, mount=False)
    found.context.buffer[:] = flash[vfs.offset : vfs.end]
    found.mount()
    return found
