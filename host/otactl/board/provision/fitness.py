"""Whether what is on a board is fit for updates already: its table, its places for files, and the app in a slot."""

from otactl.board.slots_image import Content
from otactl.board.slots_layout import DATA, SECTOR, Part
from otactl.release import firmware
from otactl.release.firmware import Firmware

NVS = 2
_OF_THE_SYSTEM = (0, 1, 3, 4, 5)  # subtypes of data that no person keeps files in: otadata, phy, coredump, keys …
_OWN = 0x40  # types from here on are an application's own
_NVS_LEAST = 3 * SECTOR
FILES = ("vfs", "ffat")  # what MicroPython calls the partition with its files; it takes the first that is there
_FILES_LEAST = 0x20000  # bytes that the agent and a small application need


def of_table(parts: tuple[Part, ...], wanted: Firmware, flash_size: int) -> str:
    """Why a board with these partitions takes no updates of the size of `wanted`; "" where it does."""
    app_size = len(wanted.app)
    slots = [part for part in parts if part.is_slot]
    small = next((part for part in parts if (part.is_slot or part.is_factory) and part.size < app_size), None)
    if not parts:
        return "it has no partition table"
    if len(slots) < 2 or {0, 1} - {part.number for part in slots}:
        return f"its table has {len(slots)} OTA slot{'s' * (len(slots) != 1)}, an update needs two"
    if not any(part.is_otadata for part in parts):
        return "its table has no otadata"
    if not any((part.type, part.subtype) == (DATA, NVS) and part.size >= _NVS_LEAST for part in parts):
        return "its table has no nvs"
    if small:
        return f"its {small.name} has {small.size} bytes, the firmware {app_size}"
    if max(part.offset + part.size for part in parts) > flash_size:
        return f"its table goes beyond the {flash_size >> 20} MiB of its flash"
    if not any(name in FILES and size >= _FILES_LEAST for name, _, size in places(parts, flash_size)):
        return "its table leaves no room for files"
    if not _makes_its_own(wanted.micropython) and not any(part.name in FILES for part in parts):
        return f"its table has no vfs, which MicroPython {wanted.micropython} does not make by itself"
    return ""


def of_app(content: Content, version: str, slot: str) -> str:
    """Why the agent does not run on a sound app image; "" where it does, or the image does not say what it is.

    `version`: the MicroPython in it. MicroPython leaves the project's name in the descriptor empty, others do not.
    """
    if not version:
        return f"{slot} holds {content.said}, which is no MicroPython" if content.project else ""
    return f"{slot} holds MicroPython {version}, too old for the agent" if firmware.too_old(version) else ""


def main_nvs(parts: tuple[Part, ...]) -> Part | None:
    """The NVS partition that MicroPython uses; another one is a program's own."""
    found = [part for part in parts if (part.type, part.subtype) == (DATA, NVS)]
    return next((part for part in found if part.name == "nvs"), found[0] if found else None)


def _of_a_person(part: Part) -> bool:
    return part.type >= _OWN or (part.type == DATA and part.subtype not in _OF_THE_SYSTEM)


def _makes_its_own(version: str) -> bool:
    """Whether that MicroPython takes what the table leaves for its files: since 1.26."""
    return not version or tuple(map(int, version.split(".")))[:2] >= (1, 26)


def places(parts: tuple[Part, ...], flash_size: int) -> list[tuple[str, int, int]]:
    """(name, offset, size) of what may hold a person's data: all partitions but apps and the system's own, and the
    rest that MicroPython takes by itself."""
    settings = main_nvs(parts)
    found = [
        (part.name, part.offset, min(part.size, flash_size - part.offset))
        for part in parts
        if _of_a_person(part) and part != settings and part.offset < flash_size
    ]
    end = max((part.offset + part.size for part in parts), default=0)
    takes_the_rest = not {name for name, _, _ in found} & set(FILES)
    if parts and takes_the_rest and end + 2 * SECTOR <= flash_size:
        found.append(("vfs", end, flash_size - end))
    return found
