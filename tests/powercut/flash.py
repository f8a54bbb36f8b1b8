"""What lies in a flash: images, otadata, files. Read by the host, with nothing of the agent's."""

from littlefs import LittleFS
from vboard.flash.otadata import Entry, State, active, slot_of
from vboard.flash.table import Row, Table

from powercut.scenario import IMAGES, mounted, row

_OTADATA_SECTOR = 0x1000


def content(flash: bytes | bytearray, slot: Row) -> str:
    """The version whose image, whole, lies in a slot; "" for anything else."""
    for version, image in IMAGES.items():
        if flash[slot.offset : slot.offset + len(image)] == image:
            return version
    return ""


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
    vfs: LittleFS = mounted(flash, table)
    found = {}
    for folder, _, names in vfs.walk("/"):
        for name in names:
            path = f"{folder}/{name}".lstrip("/")
            with vfs.open(path, "rb") as file:
                found[path] = file.read()
    return found
