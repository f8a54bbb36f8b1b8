"""A board's flash in a picture: table, otadata, what lies in each slot, what boots next and why."""

from dataclasses import dataclass, field, replace
from typing import Any

from rich.table import Table

from otactl.board.slots_image import HEAD_SIZE, Content, look
from otactl.board.slots_layout import (
    ABORTED,
    ENTRY_SIZE,
    PENDING,
    SECTOR,
    STATES,
    Entries,
    Entry,
    Part,
    active,
    named,
)
from otactl.board.slots_source import Source
from otactl.errors import UsageError


@dataclass(frozen=True, slots=True)
class Picture:
    """`contents` by slot name, from the heads of the images; `otadata` is None where the table has none.

    `running`: a slot's name, where the board runs. `releases`: by slot name, where the board's agent knows them.
    """

    chip: str
    flash_size: int
    parts: tuple[Part, ...]
    otadata: Entries | None
    contents: dict[str, Content]
    running: str = ""
    releases: dict[str, str] = field(default_factory=dict)

    @property
    def apps(self) -> list[Part]:
        return [part for part in self.parts if part.is_app]

    @property
    def slots(self) -> list[Part]:
        """The OTA slots by their numbers."""
        return sorted((part for part in self.parts if part.is_slot), key=lambda part: part.subtype)

    def slot(self, word: str) -> Part:
        """By name, or an OTA slot by number. Raises UsageError."""
        for part in self.apps:
            if word in (part.name, part.kind) or (part.is_slot and word == str(part.number)):
                return part
        names = ", ".join(part.name for part in self.apps) or "none"
        raise UsageError(f"there is no slot {word!r} on the board; it has {names}")

    def fits(self, part: Part) -> bool:
        return self.contents[part.name].fits(self.chip)


@dataclass(frozen=True, slots=True)
class Choice:
    """What the bootloader takes at the next reset; `part` is None where it finds nothing and resets for ever."""

    part: Part | None
    why: str


def draw_from(source: Source) -> Picture:
    """Read what the picture needs: the table, otadata, and the head of each app. Raises BoardError, RigError."""
    parts = source.parts()
    row = next((part for part in parts if part.is_otadata), None)
    entries = None
    if row:
        first, second = (Entry.parse(source.read(row.offset + at, ENTRY_SIZE)) for at in (0, SECTOR))
        entries = (first, second)
    contents = {part.name: look(source.read(part.offset, HEAD_SIZE)) for part in parts if part.is_app}
    return Picture(source.chip, source.flash_size, parts, entries, contents, source.running, source.releases)


def next_boot(picture: Picture) -> Choice:
    """After ESP-IDF's bootloader, with rollback. It goes by the images' heads: damage behind them is not seen."""
    order, why = _wanted(picture)
    passed: list[str] = []
    for part in order:
        if picture.fits(part):
            return Choice(part, "; ".join([why, *passed]))
        passed.append(f"{part.name} holds {_not(picture, part)}")
    return Choice(None, "; ".join([why, *passed, "so nothing starts: the chip resets for ever"]))


def _not(picture: Picture, part: Part) -> str:
    content = picture.contents[part.name]
    return f"an image for {content.chip}" if content.kind == "image" else f"nothing to start ({content.said})"


def _wanted(picture: Picture) -> tuple[list[Part], str]:
    """The order in which the bootloader tries, and why it begins where it does."""
    slots = picture.slots
    factory = next((part for part in picture.apps if part.is_factory), None)
    test = [part for part in picture.apps if not part.is_slot and not part.is_factory]
    index, why = _index(picture, slots, factory)
    down = [*([factory] if factory else []), *slots[: index + 1]][::-1]
    return [*down, *slots[index + 1 :], *test], why


def _index(picture: Picture, slots: list[Part], factory: Part | None) -> tuple[int, str]:
    """Where it begins: the place of a slot, -1 for factory."""
    first = "factory" if factory else slots[0].name if slots else "nothing"
    if picture.otadata is None or not slots:
        return -1, "there is no otadata: the factory app" if factory else "there is no otadata and no factory app"
    after = [replace(entry, state=ABORTED) if entry.state == PENDING else entry for entry in picture.otadata]
    pending = any(entry.state == PENDING for entry in picture.otadata)
    begin = "the trial is not confirmed, so a reset ends it; " if pending else ""
    entries = (after[0], after[1])
    if all(entry.given_up for entry in entries):
        what = (
            "otadata is blank"
            if all(entry.blank for entry in entries)
            else "otadata names no slot that is not given up"
        )
        return (-1 if factory else 0), f"{begin}{what}, so the bootloader begins with {first}"
    now = active(entries)
    if now is None:
        return -1, f"{begin}otadata is damaged, so the bootloader begins with {first}"
    entry = entries[now]
    place = named(entry, len(slots))
    state = {0: " for a trial"}.get(entry.state, "")
    return (
        place,
        f"{begin}otadata entry {now} (seq {entry.seq}, {STATES.get(entry.state, '?')}) names {slots[place].name}{state}",
    )


def table(picture: Picture) -> Table:
    """For 80 columns."""
    drawn = Table(box=None, pad_edge=False, show_edge=False)
    drawn.add_column("partition", overflow="fold")
    drawn.add_column("offset", justify="right", no_wrap=True)
    drawn.add_column("size", justify="right", no_wrap=True)
    drawn.add_column("holds", overflow="fold")
    drawn.add_column("", no_wrap=True)
    chosen = next_boot(picture).part
    for part in sorted(picture.parts, key=lambda part: part.offset):
        name = part.name if part.kind in (part.name, "data") else f"{part.name} ({part.kind})"
        marks = ["runs"] if part.is_app and part.name == picture.running else []
        marks += ["boots next"] if part == chosen else []
        drawn.add_row(name, f"{part.offset:#x}", f"{part.size:#x}", _holds(picture, part), ", ".join(marks))
    return drawn


def _holds(picture: Picture, part: Part) -> str:
    if part.is_otadata and picture.otadata:
        return " | ".join(entry.said for entry in picture.otadata)
    if not part.is_app:
        return ""
    content = picture.contents[part.name]
    release = _release(picture, part)
    words = [f"release {release}" if release else "", content.said]
    if content.kind == "image":
        other = "" if content.chip == picture.chip else f"for {content.chip}"
        words += [other, content.built[:11], f"IDF {content.idf}" if content.idf else ""]
    return ", ".join(word for word in words if word)


def _release(picture: Picture, part: Part) -> str | None:
    """What the agent knows of a slot, where there still is an image that it can be about."""
    return picture.releases.get(part.name) if picture.contents[part.name].kind == "image" else None


def heading(picture: Picture) -> str:
    return f"{picture.chip or 'unknown chip'}, flash {picture.flash_size >> 20} MiB"


def verdict(picture: Picture) -> str:
    choice = next_boot(picture)
    return f"boots next: {choice.part.name if choice.part else 'nothing'}: {choice.why}"


def as_json(picture: Picture) -> dict[str, Any]:
    """For scripts; sizes and offsets in bytes."""
    choice = next_boot(picture)
    return {
        "chip": picture.chip,
        "flash_size": picture.flash_size,
        "partitions": [_part_json(picture, part) for part in picture.parts],
        "otadata": None
        if picture.otadata is None
        else [
            {"seq": None if e.blank else e.seq, "state": None if e.blank else STATES.get(e.state), "crc_ok": e.crc_ok}
            for e in picture.otadata
        ],
        "running": picture.running or None,
        "next": choice.part.name if choice.part else None,
        "why": choice.why,
    }


def _part_json(picture: Picture, part: Part) -> dict[str, Any]:
    told: dict[str, Any] = {"name": part.name, "kind": part.kind, "offset": part.offset, "size": part.size}
    if part.is_app:
        content = picture.contents[part.name]
        told |= {
            "holds": content.kind,
            "chip": content.chip or None,
            "version": content.version or None,
            "project": content.project or None,
            "built": content.built or None,
            "idf": content.idf or None,
            "release": _release(picture, part),
        }
    return told
