"""What is updated while power goes: the situations, and how each must end."""

from dataclasses import dataclass
from types import MappingProxyType

from near import near
from otactl.workspace.workspace import Workspace
from rig import image, rebuilt
from vboard.flash.nor import Flash, Operation
from vboard.flash.partition import TYPE_DATA
from vboard.flash.table import Row, Table

SIZE = 160 << 10
IMAGES = {
    "1.0.0": image(1, size=SIZE, build="GOOD"),
    "1.1.0": image(2, size=SIZE, build="GOOD"),
    "1.2.0": image(3, size=SIZE, build="GOOD"),
    "1.3.0": image(5, size=SIZE, build="GOOD"),
    "6.6.6": image(4, size=SIZE, build="BAD"),
}
IMAGES["1.0.1"] = near(IMAGES["1.0.0"], 1, changes=3000)
IMAGES["2.0.0"] = IMAGES["2.1.0"] = image(6, size=SIZE, build="GOOD")  # with applications: program.TREES
IMAGES["2.2.0"] = image(7, size=SIZE, build="GOOD")
# 1.0.0 built anew: 25 of its sectors are as they were
IMAGES["1.0.1"] = rebuilt(IMAGES["1.0.0"], 1, 2, 3, 4, 5, 6, *range(16, 22), 33)
# A byte after what ROM and IDF check of an image: only the signed SHA-256 covers it.
WEAK_CELL = len(IMAGES["1.1.0"]) - 3

# What a release brings into the partition `model`, and what lies there before.
DATA = {"1.1.0": bytes(range(256)) * 80 + b"end"}
BEFORE = bytes(range(255, -1, -1)) * 80 + b"old"

FLASH_MIB = 2


def _table(*slots: str, size: int = 0x40000) -> Table:
    """As vboard's layout of that name, with slots so small that a run is short."""
    rows = "".join(f"{slot}, app, {slot}, , {size:#x}\n" for slot in slots)
    return Table.from_csv(f"nvs, data, nvs, 0x9000, 0x5000\notadata, data, ota, 0xe000, 0x2000\n{rows}")


TABLES = MappingProxyType(
    {
        "ota": _table("ota_0", "ota_1"),
        "factory-ota": _table("factory", "ota_0", "ota_1"),
        "three": _table("ota_0", "ota_1", "ota_2"),
        "data": Table((*_table("ota_0", "ota_1").rows, Row(TYPE_DATA, 0x40, 0x90000, 0x8000, "model"))),
        # 16 KiB behind an image: the data are staged in a file
        "data-file": Table(
            (*_table("ota_0", "ota_1", size=0x2D000).rows, Row(TYPE_DATA, 0x40, 0x70000, 0x8000, "model"))
        ),
    }
)


@dataclass(frozen=True)
class Scenario:
    """`start`: the flash when power comes on. `ends`: the version that must run, confirmed, in the end, in slot `ends_in`.

    `left`: what was there before, the one other version that may boot on the way; `passing`: one more, that the
    bootloader takes where it must. `target`: the one slot that may be
    written to, None for a rollback. `failed`: the sequences that must be remembered as failed in the end, or each list
    of them that may be. `trusts`: what keys.json must say in the end; empty: what it said. `either`: whether it may as well end on `left`, wherever that is. `weak`: flash address of a
    cell that does not hold.
    """

    name: str
    about: str
    place: Workspace
    start: bytes
    table: Table
    ends: str
    ends_in: str
    left: str
    target: str | None
    passing: str = ""
    failed: tuple[tuple[int, ...], ...] = ((),)
    either: bool = False
    weak: int | None = None
    trusts: str = ""

    def fault(self, flash: Flash, operation: Operation) -> None:
        """The weak cell loses its charge as soon as its sector is programmed."""
        if self.weak is None or operation.kind != "program":
            return
        if operation.address <= self.weak < operation.address + operation.size:
            flash.program(self.weak, b"\0", actor="host")

    def done(self, status: dict[str, object]) -> bool:
        """Whether the agent has nothing left to do by itself."""
        job = status["job"]
        assert isinstance(job, dict)
        return not status["trial"] and job["phase"] not in ("writing", "ready", "trial")


def row(table: Table, label: str) -> Row:
    found = table.find(label)
    assert found, label
    return found


def apps(table: Table) -> tuple[Row, ...]:
    """The factory app, if there is one, and the slots."""
    return ((table.factory,) if table.factory else ()) + table.ota_slots
