"""The flash before and after, drawn: what lies where, what stays, what will be gone."""

from dataclasses import dataclass
from typing import Any

from rich.table import Table

from otactl.board.provision.facts import Store
from otactl.board.provision.plan import Plan
from otactl.board.slots_layout import SECTOR, TABLE_AT, Part
from otactl.board.slots_picture import Picture, next_boot
from otactl.release import fullflash

_KINDS = {"littlefs": "littlefs", "fat": "FAT filesystem", "blank": "room for files", "other": "data of some kind"}
_BOOTLOADER, _TABLE = "bootloader", "partition table"


@dataclass(frozen=True, slots=True)
class Area:
    """`size` bytes of flash from `offset` on, and in words what is there."""

    name: str
    offset: int
    size: int
    holds: str


def before(plan: Plan) -> list[Area]:
    """As a look has found it."""
    facts = plan.facts
    size = fullflash.flash_size(facts.bootloader, facts.chip) if facts.bootloader else 0
    found = f"for {size >> 20} MiB of flash" if facts.bootloader else "none"
    table = "" if facts.picture else "none"
    return _areas(facts.picture, facts.stores, plan.full.boot_at, (found, table))


def after(plan: Plan) -> list[Area]:
    """As the steps leave it."""
    facts, layout = plan.facts, plan.layout
    stores = facts.stores
    if layout:
        files = layout.files
        old = [store for store in facts.stores if (store.offset, store.size) == (files.offset, files.size)]
        made = Store(files.label, files.offset, files.size, "blank")
        stores = (made if any(step.offset == files.offset for step in plan.steps) or not old else old[0],)
    bootloader = f"for {facts.flash_size >> 20} MiB of flash"
    return _areas(plan.after, stores, plan.full.boot_at, (bootloader, ""))


def _areas(picture: Picture | None, stores: tuple[Store, ...], boot_at: int, words: tuple[str, str]) -> list[Area]:
    """`words`: of bootloader and table."""
    places = {store.offset: store for store in stores}
    parts = picture.parts if picture else ()
    areas = [
        Area(_BOOTLOADER, boot_at, TABLE_AT - boot_at, words[0]),
        Area(_TABLE, TABLE_AT, SECTOR, words[1]),
        *(
            Area(part.name, part.offset, part.size, _holds(picture, part))
            for part in parts
            if part.offset not in places
        ),
        *(Area(store.name, store.offset, store.size, _KINDS[store.kind]) for store in stores),
    ]
    return sorted(areas, key=lambda area: area.offset)


def _holds(picture: Picture | None, part: Part) -> str:
    if not picture or not part.is_app:
        return ""
    content = picture.contents[part.name]
    words = [content.said]
    if content.kind == "image":
        other = "" if content.chip == picture.chip else f"for {content.chip}"
        words += [other, content.built[:11]]
        words += ["boots next"] if next_boot(picture).part == part else []
    return ", ".join(word for word in words if word)


def drawn(areas: list[Area]) -> Table:
    """For 80 columns."""
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="dim")
    table.add_column("  area", no_wrap=True)
    table.add_column("offset", justify="right", no_wrap=True)
    table.add_column("KiB", justify="right", no_wrap=True)
    table.add_column("holds", overflow="fold")
    for area in areas:
        table.add_row(f"  {area.name}", f"{area.offset:#x}", str(area.size >> 10), area.holds)
    return table


def as_json(plan: Plan) -> dict[str, Any]:
    """For scripts; sizes and offsets in bytes."""
    facts = plan.facts
    return {
        "chip": facts.chip,
        "mac": facts.mac,
        "flash_size": facts.flash_size,
        "firmware": plan.full.name,
        "ready": plan.ready,
        "why": list(plan.why),
        "before": [_told(area) for area in before(plan)],
        "after": [_told(area) for area in after(plan)],
        "steps": [{"what": step.what, "offset": step.offset, "size": len(step.data)} for step in plan.steps],
        "lost": [{"what": loss.what, "asks": loss.asks} for loss in plan.lost],
    }


def _told(area: Area) -> dict[str, Any]:
    return {"name": area.name, "offset": area.offset, "size": area.size, "holds": area.holds}
