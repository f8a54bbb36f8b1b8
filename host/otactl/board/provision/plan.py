"""What is to be done to a board, and what that costs: facts, a firmware file and wishes in, steps and losses out. Pure.

The order of the steps is what makes a run safe to break off. Until the new table is there, another run finds a board
that still needs all of this, and does what is missing. With the table all is in flash but the bootloader, which is
looked at by itself. So a board that had nothing has nothing until then, and nobody is asked whether it may be lost.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from otactl.board.provision import layouts
from otactl.board.provision.facts import Facts, Store, named
from otactl.board.provision.layouts import Layout
from otactl.board.slots_image import HEAD_SIZE, Content, look
from otactl.board.slots_layout import SECTOR, TABLE_AT, Entry, Part, parse_table
from otactl.board.slots_picture import Picture, next_boot
from otactl.errors import BoardError
from otactl.release.firmware import Firmware
from otactl.release.fullflash import FullFlash

_BLANK_ENTRY = Entry.parse(b"\xff" * 32)
CHIPS = ("esp32", "esp32s2", "esp32s3", "esp32c3", "esp32c6")  # that the agent is tested on
_FILES_HEAD = 0x10000  # where this much is blank, MicroPython makes a new filesystem


@dataclass(frozen=True, slots=True)
class Step:
    """One region of flash and what it is to hold. It is done when it holds that."""

    what: str
    offset: int
    data: bytes

    @property
    def erases(self) -> bool:
        return not self.data.strip(b"\xff")


@dataclass(frozen=True, slots=True)
class Loss:
    """Something on the board that will be gone. `asks`: it may be a person's, so a person has to say yes.

    `store`: the place for files that it is about, if it is one.
    """

    what: str
    asks: bool
    store: Store | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """`layout`: None where the board's table stays. `why`: what makes each part of the work necessary, for a person."""

    facts: Facts
    full: FullFlash
    layout: Layout | None
    steps: tuple[Step, ...]
    lost: tuple[Loss, ...]
    why: tuple[str, ...]
    after: Picture

    @property
    def ready(self) -> bool:
        """Whether the board takes updates as it is."""
        return not self.steps

    @property
    def asks(self) -> tuple[Loss, ...]:
        return tuple(loss for loss in self.lost if loss.asks)

    @property
    def moved(self) -> Loss | None:
        """The filesystem that MicroPython mounts, where it goes; its files can be carried over."""
        return next((loss for loss in self.asks if loss.store and loss.store == self.facts.mounted), None)

    def listed(self, what: str) -> "Plan":
        """With what a look into the filesystem that MicroPython mounts has found; "" where nothing in it is a person's."""
        known = [replace(loss, what=what, asks=bool(what)) if loss == self.moved else loss for loss in self.lost]
        return replace(self, lost=tuple(loss for loss in known if loss.what))


def check(chip: str, full: FullFlash, locked: str) -> None:
    """Raises BoardError where this file, or any, must not be written to the board."""
    if chip not in CHIPS:
        raise BoardError(f"an {chip} takes no updates: boards with {', '.join(CHIPS)} do")
    if locked:
        raise BoardError(f"this board is not to be provisioned: {locked}, so it would not start a stock build")
    if full.chip != chip:
        raise BoardError(f"{full.name} is for {full.chip}, the board is an {chip}")


def make(facts: Facts, full: FullFlash, words: str = "") -> Plan:
    """`words`: a layout by name or file, "" for one made to fit. Raises BoardError, UsageError."""
    layout = _new_layout(facts, full.firmware, words)
    steps = _with_table(facts, full, layout) if layout else _with_table_as_it_is(facts, full)
    parts = parse_table(layout.table.to_bytes(), "the new layout") if layout else facts.parts
    return Plan(
        facts,
        full,
        layout,
        steps,
        _losses(facts, steps, layout),
        tuple(_why(facts, full, layout, steps)),
        _after(facts, parts, steps, full),
    )


def _why(facts: Facts, full: FullFlash, layout: Layout | None, steps: tuple[Step, ...]) -> Iterator[str]:
    if facts.empty:
        yield "nothing starts on it yet"
        return
    if layout:
        yield facts.unfit or "it is to have another table"
    if facts.fault:
        yield facts.fault
    if any(step.offset == full.boot_at for step in steps):
        yield "its bootloader is not the file's" if facts.bootloader else "it has no bootloader"


def _new_layout(facts: Facts, firmware: Firmware, words: str) -> Layout | None:
    """None where the table that is there will do."""
    if not words:
        return layouts.for_firmware(len(firmware.app), facts.flash_size) if facts.unfit else None
    wanted = layouts.named(words, len(firmware.app), facts.flash_size)
    return None if parse_table(wanted.table.to_bytes(), words) == facts.parts else wanted


def _bootloader(facts: Facts, full: FullFlash) -> list[Step]:
    wanted = full.bootloader_for(facts.flash_size)
    return [] if facts.bootloader == wanted else [Step("bootloader", full.boot_at, wanted)]


def _with_table(facts: Facts, full: FullFlash, layout: Layout) -> tuple[Step, ...]:
    table, first, files = layout.table, layout.first, layout.files
    others = [row for row in (table.factory, *table.ota_slots) if row and row != first]
    same_place = any((store.offset, store.size) == (files.offset, files.size) for store in facts.stores)
    steps = [Step(f"the app, into {first.label}", first.offset, full.firmware.app)]
    steps += [_erase(row.label, row.offset, SECTOR) for row in others]
    if not (same_place and _stays(facts, files.offset)):
        steps.append(_erase("room for files", files.offset, min(_FILES_HEAD, files.size)))
    otadata, nvs = table.otadata, _nvs(layout)
    assert otadata
    kept = _kept_settings(facts, nvs)
    steps.append(_erase("nvs", nvs.offset + kept, nvs.size - kept))
    steps.append(_erase("otadata", otadata.offset, otadata.size))
    steps.append(Step("the partition table", TABLE_AT, table.to_bytes()))
    steps += _bootloader(facts, full)
    return tuple(step for step in steps if step.data)


def _with_table_as_it_is(facts: Facts, full: FullFlash) -> tuple[Step, ...]:
    steps: list[Step] = []
    if facts.fault:
        apps = [part for part in facts.parts if part.is_app]
        first = next((part for part in apps if part.is_factory), None) or next(p for p in apps if p.number == 0)
        steps.append(Step(f"the app, into {first.name}", first.offset, full.firmware.app))
        steps += [_erase("otadata", part.offset, part.size) for part in facts.parts if part.is_otadata]
    steps += [
        _erase("room for files", store.offset, min(_FILES_HEAD, store.size))
        for store in facts.stores
        if store.name in ("vfs", "ffat") and store.kind == "other"
    ]
    return (*steps, *_bootloader(facts, full))


def _erase(what: str, offset: int, size: int) -> Step:
    return Step(what, offset, b"\xff" * size)


def _stays(facts: Facts, offset: int) -> bool:
    """Whether MicroPython can mount what lies in a place for files, or makes a new filesystem there."""
    return any(store.offset == offset and store.kind != "other" for store in facts.stores)


def _nvs(layout: Layout) -> Part:
    rows = parse_table(layout.table.to_bytes(), "the new layout")
    return next(part for part in rows if part.kind == "nvs")


def _kept_settings(facts: Facts, nvs: Part) -> int:
    """Bytes of the NVS partition that stay: all pages in use, where they lie in the new one as they did in the old.

    Without a blank page NVS does not start, and MicroPython then erases it (ESP_ERR_NVS_NO_FREE_PAGES in its main.c).
    """
    old = facts.settings
    if old is None or old.part.offset != nvs.offset or old.used > nvs.size or (old.used == nvs.size and old.full):
        return 0
    return min(old.part.size, nvs.size)


def _losses(facts: Facts, steps: tuple[Step, ...], layout: Layout | None) -> tuple[Loss, ...]:
    touched = [(step.offset, step.offset + len(step.data)) for step in steps]
    lost = [_store_loss(store) for store in facts.stores if not store.blank and not _left(store, touched, layout)]
    settings = facts.settings
    if layout and settings and settings.of and not _kept_settings(facts, _nvs(layout)):
        lost.append(Loss(f"nvs: what programs keep there ({', '.join(sorted(settings.of))})", True))
    if facts.picture is None and not facts.empty:
        lost.append(Loss("whatever lies in its flash: it has no partition table that can be read", True))
    return (*lost, *(_app_losses(facts.picture, facts.same, touched, layout) if facts.picture else ()))


def _app_losses(
    picture: Picture, same: frozenset[str], touched: list[tuple[int, int]], layout: Layout | None
) -> Iterator[Loss]:
    """The images that go, but for the one that the file brings again. A MicroPython can be downloaded again and asks for
    no yes; another program may be a person's own."""
    for part in picture.apps:
        content = picture.contents[part.name]
        overwritten = any(start < part.offset + part.size and part.offset < end for start, end in touched)
        if content.kind == "blank" or part.name in same or not (overwritten or layout):
            continue
        built = f", built {content.built[:11]}" if content.built else ""
        own = _may_be_own(content)
        yield Loss(f"{part.name}: {content.said}{built}{', not MicroPython' * own}", own)


def _may_be_own(content: Content) -> bool:
    """MicroPython leaves the texts of its descriptor empty, or has its name in them."""
    return content.kind == "other" or bool(content.project and "micropython" not in content.said.lower())


def _left(store: Store, touched: list[tuple[int, int]], layout: Layout | None) -> bool:
    """Whether a place for files stays what it is."""
    if any(start < store.end and store.offset < end for start, end in touched):
        return False
    files = layout.files if layout else None
    return files is None or (files.offset, files.size) == (store.offset, store.size)


def _store_loss(store: Store) -> Loss:
    kind = {"littlefs": "a littlefs", "fat": "a FAT filesystem"}.get(store.kind, "data of an unknown kind")
    what = f"{store.name}: {kind} of {store.size >> 10} KiB, not readable from here: taken to hold files of yours"
    return Loss(what, True, store)


def _after(facts: Facts, parts: tuple[Part, ...], steps: tuple[Step, ...], full: FullFlash) -> Picture:
    """What will lie in flash, as far as the steps say."""
    before = facts.picture.contents if facts.picture and facts.parts == parts else {}
    contents = {part.name: before.get(part.name, look(b"\xff" * HEAD_SIZE)) for part in parts if part.is_app}
    for step in steps:
        content = look(step.data[:HEAD_SIZE].ljust(HEAD_SIZE, b"\xff"))
        content = content if step.erases else named(content, full)
        contents |= {part.name: content for part in parts if part.is_app and part.offset == step.offset}
    blank = any(step.what == "otadata" for step in steps) or facts.picture is None
    entries = (_BLANK_ENTRY, _BLANK_ENTRY) if blank or not facts.picture else facts.picture.otadata
    after = Picture(facts.chip, facts.flash_size, parts, entries, contents)
    if next_boot(after).part is None:
        raise BoardError("this plan would leave nothing that starts: please report it, with the output of --dry-run")
    return after
