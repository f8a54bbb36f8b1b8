"""device/ota/boot/slots.py and otadata.py, on CPython over the virtual board's own otadata."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from vboard.flash.otadata import Entry, State

DEVICE = Path(__file__).resolve().parents[3] / "device"


class Part:
    """esp32.Partition"""

    def __init__(self, kind: int, subtype: int, label: str, data: bytes = b"") -> None:
        self.about, self.data = (kind, subtype, 0, 8192, label, False), data

    def info(self) -> tuple[int, int, int, int, str, bool]:
        return self.about

    def readblocks(self, block: int, buf: bytearray, offset: int = 0) -> None:
        buf[:] = self.data[block * 4096 + offset :][: len(buf)]

    def get_next_update(self) -> "Part":
        return self


def otadata(*entries: Entry | None) -> Part:
    raw = b"".join((e.to_bytes() if e else b"\xff" * 32).ljust(4096, b"\xff") for e in entries)
    return Part(1, 0, "otadata", raw)


@pytest.fixture
def slots(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """slots(apps, otadata): the agent's Slots of a board with these partitions, in the table's order."""
    monkeypatch.setitem(sys.modules, "micropython", SimpleNamespace(const=lambda number: number))
    package = ModuleType("ota")
    package.__path__ = [str(DEVICE / "ota")]
    monkeypatch.setitem(sys.modules, "ota", package)

    def made(apps: list[Part], data: Part) -> Any:
        partition = SimpleNamespace(
            TYPE_APP=0, TYPE_DATA=1, RUNNING=1, BOOT=0, find=lambda kind, subtype=None: [data] if kind else apps
        )
        calls = type("Partition", (), {**vars(partition), "__new__": lambda cls, _: apps[0]})
        monkeypatch.setitem(sys.modules, "esp32", SimpleNamespace(Partition=calls))
        for name in [name for name in sys.modules if name.startswith("ota.")]:
            sys.modules.pop(name)
        return importlib.import_module("ota.boot.slots").Slots()

    yield made
    for name in [name for name in sys.modules if name.startswith("ota.")]:
        sys.modules.pop(name)


def test_slots_go_by_subtype_whatever_the_order_and_names_in_the_table(slots: Any) -> None:
    """otadata counts them so: sequence 2 of three is ota_1, wherever it stands."""
    apps = [Part(0, 0x12, "third"), Part(0, 0x11, "second"), Part(0, 0x10, "first")]
    found = slots(apps, otadata(Entry.make(1, State.VALID), Entry.make(2, State.NEW)))
    assert [p.info()[4] for p in found.all] == ["first", "second", "third"]
    assert [found.state(label) for label in ("first", "second", "third")] == ["valid", "new", "none"]


def test_slots_end_at_the_first_gap(slots: Any) -> None:
    apps = [Part(0, 0x10, "a"), Part(0, 0x11, "b"), Part(0, 0x13, "d")]
    found = slots(apps, otadata(Entry.make(3, State.VALID), None))
    assert [p.info()[4] for p in found.all] == ["a", "b"]
    assert found.state("a") == "valid"  # (3 - 1) % 2


def test_factory_app_is_no_slot_of_otadata(slots: Any) -> None:
    apps = [Part(0, 0x00, "factory"), Part(0, 0x10, "a"), Part(0, 0x11, "b")]
    found = slots(apps, otadata(None, Entry.make(2, State.ABORTED)))
    assert [found.state(p.info()[4]) for p in found.all] == ["none", "none", "aborted"]


@pytest.mark.parametrize("apps", [[], [Part(0, 0x10, "a")], [Part(0, 0, "f"), Part(0, 0x10, "a")]])
def test_board_with_less_than_two_slots_has_none(slots: Any, apps: list[Part]) -> None:
    with pytest.raises(Exception, match="no-ota-slots"):
        slots(apps or [Part(0, 0, "f")], otadata(None, None))
