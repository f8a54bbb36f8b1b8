"""What a board has before it is provisioned, read from its flash: bootloader, table, apps, and what may be a person's."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from otactl.board import slots_image, slots_picture
from otactl.board.provision import fitness, nvs
from otactl.board.slots_image import Content
from otactl.board.slots_layout import SECTOR, TABLE_AT, TABLE_SIZE, Part
from otactl.board.slots_picture import Picture, next_boot
from otactl.board.slots_source import Source
from otactl.errors import BoardError
from otactl.release import firmware, fullflash
from otactl.release.fullflash import FullFlash

_HEAD = 2 * SECTOR  # of a filesystem: littlefs has its superblock in the first two blocks
_FIRST_APP = 0x10000  # where a stock build has its app, and a table made to fit its first slot

Progress = Callable[[int, int], None]  # bytes done, bytes in all


class Flash(Source, Protocol):
    """A flash that can be compared with what it ought to hold."""

    def same(self, offset: int, data: bytes) -> bool: ...


@dataclass(frozen=True, slots=True)
class Store:
    """A place for files. `kind`: blank, littlefs, fat or other, by its first sectors."""

    name: str
    offset: int
    size: int
    kind: str

    @property
    def blank(self) -> bool:
        return self.kind == "blank"

    @property
    def end(self) -> int:
        return self.offset + self.size


@dataclass(frozen=True, slots=True)
class Settings:
    """The NVS partition. `used`: bytes from its start up to the last page in use; `full`: none of the pages up to there
    is blank; `of`: whose programs' values it has."""

    part: Part
    used: int
    full: bool
    of: frozenset[str]


@dataclass(frozen=True, slots=True)
class Facts:
    """`bootloader`: the image in flash, None where there is none. `picture`: None without a readable table.

    `empty`: nothing but FF and this very app, as a module comes from its factory, or an earlier run left it. `unfit`: why the
    table is none for updates, `fault`: why what boots next is none for the agent; "" where they are. `same`: the
    slots that hold the file's app already.
    """

    chip: str
    mac: str
    flash_size: int
    bootloader: bytes | None
    picture: Picture | None
    empty: bool
    stores: tuple[Store, ...]
    settings: Settings | None
    unfit: str
    fault: str
    same: frozenset[str]

    @property
    def parts(self) -> tuple[Part, ...]:
        return self.picture.parts if self.picture else ()

    @property
    def mounted(self) -> Store | None:
        """The place for files that MicroPython mounts, and its REPL tells of."""
        found = {store.name: store for store in reversed(self.stores)}
        return next((found[name] for name in fitness.FILES if name in found), None)


def gather(source: Flash, full: FullFlash, mac: str, progress: Progress = lambda *_: None) -> Facts:
    """Read what a plan needs. Raises BoardError, RigError."""
    picture, no_table = _picture(source)
    boot_area = source.read(full.boot_at, TABLE_AT - full.boot_at)
    parts = picture.parts if picture else ()
    same = frozenset(part.name for part in parts if part.is_app and _holds(source, part, full.firmware.app))
    if picture:
        known = {name: named(picture.contents[name], full) for name in same}
        picture = replace(picture, contents=picture.contents | known)
    unfit = fitness.of_table(parts, full.firmware, source.flash_size)
    return Facts(
        source.chip,
        mac,
        source.flash_size,
        fullflash.image(boot_area),
        picture,
        no_table and not boot_area.strip(b"\xff") and _blank_beyond(source, full.firmware.app),
        tuple(_store(source, *place) for place in fitness.places(parts, source.flash_size)),
        _settings(source, parts),
        unfit,
        "" if unfit or not picture else _fault(source, picture, same, progress),
        same,
    )


def as_it_was(source: Flash, found: Facts) -> bool:
    """Whether the table is still the same, and each place for files of the same kind: what was blank stays so."""
    picture, _ = _picture(source)
    if (picture.parts if picture else ()) != found.parts:
        return False
    return all(_store(source, store.name, store.offset, store.size) == store for store in found.stores)


def named(content: Content, full: FullFlash) -> Content:
    """The content of a slot that holds the file's app. MicroPython's descriptor has no name and no version."""
    return replace(content, project="MicroPython", version=full.firmware.micropython)


def _picture(source: Flash) -> tuple[Picture | None, bool]:
    """And whether the table's sector is blank."""
    sector = source.read(TABLE_AT, TABLE_SIZE)
    blank = not sector.strip(b"\xff")
    try:
        return slots_picture.draw_from(source), blank
    except BoardError:  # no table, or a damaged one: it gets a new one
        return None, blank


def _blank_beyond(source: Flash, app: bytes) -> bool:
    """Whether the flash is blank behind the table, but for where an earlier run writes `app`."""
    before, end = TABLE_AT + SECTOR, -(-(_FIRST_APP + len(app)) // SECTOR) * SECTOR
    blank = ((before, _FIRST_APP - before), (end, source.flash_size - end))
    return all(source.same(offset, b"\xff" * size) for offset, size in blank)


def _store(source: Flash, name: str, offset: int, size: int) -> Store:
    """MicroPython formats its own place where the head is blank; another's data may begin behind blank sectors."""
    kind = _kind(source.read(offset, min(size, _HEAD)))
    if kind == "blank" and name not in fitness.FILES and not source.same(offset, b"\xff" * size):
        kind = "other"
    return Store(name, offset, size, kind)


def _holds(source: Flash, part: Part, app: bytes) -> bool:
    return len(app) <= part.size and source.same(part.offset, app)


def _kind(head: bytes) -> str:
    """By the marks that MicroPython goes by as well: littlefs' name behind eight bytes, a boot sector's last two."""
    if not head.strip(b"\xff"):
        return "blank"
    if b"littlefs" in (head[8:16], head[SECTOR + 8 : SECTOR + 16]):
        return "littlefs"
    return "fat" if head[510:512] == b"\x55\xaa" else "other"


def _settings(source: Flash, parts: tuple[Part, ...]) -> Settings | None:
    part = fitness.main_nvs(parts)
    if part is None or part.offset + part.size > source.flash_size:
        return None
    data = source.read(part.offset, part.size)
    return Settings(part, nvs.used(data), nvs.full(data), nvs.owners(data))


def _fault(source: Flash, picture: Picture, same: frozenset[str], progress: Progress) -> str:
    """Why the board would not come up with a MicroPython that the agent runs on; "" where it would."""
    part = next_boot(picture).part
    if part is None:
        return "nothing in it starts"
    if part.name in same:
        return ""
    read = Reading(source, part, progress)
    if why := slots_image.fault(read, part.size, source.chip):
        return f"{part.name} holds {why}"
    return fitness.of_app(picture.contents[part.name], firmware.micropython(read.whole), part.name)


class Reading:
    """Reads of one slot, in pieces that tell how far they are; the longest is kept."""

    _PIECE = 0x10000

    def __init__(self, source: Flash, part: Part, progress: Progress) -> None:
        self._source, self._part, self._progress = source, part, progress
        self.whole = b""

    def __call__(self, offset: int, size: int) -> bytes:
        if size <= self._PIECE:
            return self._source.read(self._part.offset + offset, size)
        pieces = bytearray()
        while len(pieces) < size:
            at = self._part.offset + offset + len(pieces)
            pieces += self._source.read(at, min(self._PIECE, size - len(pieces)))
            self._progress(len(pieces), size)
        self.whole = bytes(pieces)
        return self.whole
