"""The record after power was cut twice: its own code, on CPython, over the virtual board's NVS.

The board tests run it in MicroPython; here thousands of pairs of cuts go through the bytes in flash. A sample, seeded.
"""

import copy
import importlib
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from vboard.flash.nor import BLOCK, SECTOR, Flash, PowerLost
from vboard.flash.nvs import Nvs, NvsError
from vboard.flash.nvs_item import Status
from vboard.flash.powercut import PowerCut

DEVICE = Path(__file__).resolve().parents[3] / "device"
AT, SIZE = 0x9000, 6 * SECTOR  # as in MicroPython's partition tables
HISTORIES, PAIRS = 12, 400
SLOT = SimpleNamespace(info=lambda: (0, 17, 0, 0, "ota_1", False))
Kept = tuple[dict[str, Any], dict[str, Any], int]  # job, state, offset


class Chip:
    """A flash with an nvs partition."""

    def __init__(self, flash: Flash) -> None:
        self.flash = flash
        self.mount()

    def mount(self) -> None:
        self.store = Nvs(self.flash, AT, SIZE)


class NvsOfChip:
    """esp32.NVS"""

    def __init__(self, chip: Chip, name: str) -> None:
        self.chip = chip
        self.space = chip.store.namespace(name)

    def get_i32(self, key: str) -> int:
        with as_oserror():
            return self.chip.store.get_i32(self.space, key)

    def set_i32(self, key: str, value: int) -> None:
        with as_oserror():
            self.chip.store.set_i32(self.space, key, value)

    def get_blob(self, key: str, buf: bytearray) -> int:
        with as_oserror():
            found = self.chip.store.get_blob(self.space, key, len(buf))
        buf[: len(found)] = found
        return len(found)

    def set_blob(self, key: str, value: str) -> None:
        with as_oserror():
            self.chip.store.set_blob(self.space, key, value.encode())

    def commit(self) -> None:
        pass  # nothing waits to be written, as in IDF


@contextmanager
def as_oserror() -> Iterator[None]:
    try:
        yield
    except NvsError as error:
        raise OSError(error.code, error.name) from error


class PartitionOfChip:
    """esp32.Partition, of the nvs partition"""

    def __init__(self, chip: Chip) -> None:
        self.chip = chip

    def info(self) -> tuple[int, int, int, int, str, bool]:
        return 1, 2, AT, SIZE, "nvs", False

    def readblocks(self, block: int, buf: bytearray, offset: int = 0) -> None:
        buf[:] = self.chip.flash.read(AT + block * SECTOR + offset, len(buf))


@pytest.fixture
def chip(tmp_path: Path) -> Chip:
    return Chip(Flash(tmp_path / "flash.bin", BLOCK))


@pytest.fixture
def new_record(chip: Chip, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Any]]:
    """The agent's class Record; a new one is what a boot makes."""
    nvs_only = {(1, "nvs"): [PartitionOfChip(chip)]}
    partition = SimpleNamespace(TYPE_DATA=1, find=lambda kind, label: nvs_only[kind, label])
    monkeypatch.setitem(sys.modules, "esp32", SimpleNamespace(NVS=partial(NvsOfChip, chip), Partition=partition))
    monkeypatch.setitem(sys.modules, "micropython", SimpleNamespace(const=lambda number: number))
    package = ModuleType("ota")
    package.__path__ = [str(DEVICE / "ota")]
    monkeypatch.setitem(sys.modules, "ota", package)
    record, store = importlib.import_module("ota.boot.record"), importlib.import_module("ota.boot.store")

    def boot() -> Any:
        store._open = None
        return record.Record()

    yield boot
    for name in [name for name in sys.modules if name.startswith("ota.")]:
        sys.modules.pop(name)


@pytest.fixture
def pass_over(new_record: Callable[[], Any]) -> Callable[[], None]:
    found: Callable[[], None] = importlib.import_module("ota.boot.remains").pass_over
    return found


def kept(record: Any) -> Kept:
    return copy.deepcopy((record.job, record.state, record.offset))


def change(record: Any, rng: random.Random, tag: int) -> None:
    """One of the record's writes, with values of its own and of many sizes."""
    kind = rng.randrange(4)
    if kind == 0:
        record.progress(rng.randrange(1 << 20))
    elif kind == 1:
        record.job.update(switches=tag, detail="x" * rng.randrange(80))
        record.save("job")
    elif kind == 2:
        failed = [[tag + i, "trial-watchdog"] for i in range(rng.randrange(7))]
        record.state.update(floor_sequence=tag, failed=failed)
        record.save("state")
    else:
        sha256 = f"{rng.getrandbits(256):064x}"
        record.begin({"version": f"1.{tag}", "sequence": tag, "size": tag, "sha256": sha256}, SLOT, None)


def others_change(chip: Chip, rng: random.Random) -> None:
    """What Wi-Fi keeps has entries that are used up and read as erased, like one that power has torn."""
    if rng.random() < 0.1:
        chip.store.set_blob(chip.store.namespace("wifi"), "ssid", b"\xff" * rng.randrange(32, 200))


def one_of(found: Kept, *every: Kept) -> bool:
    """Whether each part is as it was at one of those times: a change writes them one after the other."""
    return all(part in past for part, *past in zip(found, *every, strict=True))


@pytest.mark.parametrize("history", range(HISTORIES))
def test_record_holds_after_two_torn_writes(
    history: int, chip: Chip, new_record: Callable[[], Any], pass_over: Callable[[], None]
) -> None:
    """Power goes in a change, and in the boot after it. Every boot finds what was last written, or was being written."""
    rng = random.Random(history)
    record = new_record()
    for tag in range(rng.randrange(5, 160)):
        change(record, rng, tag)
        if history % 3 == 0:
            others_change(chip, rng)
    before, flash = kept(record), chip.flash.read(0, chip.flash.size)
    for pair in range(PAIRS):
        here = f"history {history}, pair {pair}"
        rng = random.Random(here)
        chip.flash.force(0, flash)
        past = [before]
        for tag, within in (1000, 24), (1001, 8), (1002, 0), (1003, 0), (1004, 0):
            torn = PowerCut(chip.flash, rng.randrange(within), "torn", rng.getrandbits(32)) if within else None
            chip.flash.before = torn
            try:
                chip.mount()
                record = new_record()
                pass_over()
                assert one_of(kept(record), *past), f"{here}: {kept(record)} is none of {past}"
                change(record, rng, tag)
                past = []
            except PowerLost:
                pass
            past.append(kept(record))


@pytest.mark.parametrize(("others", "fillers"), [(False, 0), (True, 2)])
def test_start_with_nothing_torn_writes_nothing_or_two_fillers_at_most(
    others: bool,
    fillers: int,
    chip: Chip,
    new_record: Callable[[], Any],
    pass_over: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng, most, written = random.Random(1), 0, []
    set_i32 = NvsOfChip.set_i32
    monkeypatch.setattr(NvsOfChip, "set_i32", lambda self, *of: (written.append(of), set_i32(self, *of))[1])
    for tag in range(300):
        chip.mount()
        record = new_record()
        written.clear()
        pass_over()
        most = max(most, len(written))
        change(record, rng, tag)
        if others:
            others_change(chip, rng)
    assert most == fillers


def test_filler_that_was_torn_itself_is_passed(
    chip: Chip, new_record: Callable[[], Any], pass_over: Callable[[], None]
) -> None:
    """Its key is there, its first word is not: ESP-IDF takes the entry for free."""
    new_record().save("state")
    page = chip.flash.read(AT, SECTOR)
    free = max(at for at in range(64, SECTOR, 32) if page[at : at + 32] != b"\xff" * 32) + 32
    chip.flash.program(AT + free + 8, b"filler\0", actor="nvs")
    chip.mount()
    record = new_record()
    pass_over()
    record.progress(4096)
    chip.mount()
    assert new_record().offset == 4096


def test_start_goes_on_where_nvs_takes_no_filler(
    chip: Chip, new_record: Callable[[], Any], pass_over: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trial must be armed, whatever NVS is like: its watchdog brings the old release back."""
    new_record().save("job")
    page = chip.flash.read(AT, SECTOR)
    free = max(at for at in range(64, SECTOR, 32) if page[at : at + 32] != b"\xff" * 32) + 32
    chip.flash.program(AT + free + 4, bytes(20), actor="nvs")
    chip.mount()
    asked = []

    def full(space: int, key: str, value: int) -> None:
        asked.append(key)
        raise NvsError.of(Status.NOT_ENOUGH_SPACE)

    monkeypatch.setattr(chip.store, "set_i32", full)
    new_record()
    pass_over()
    assert asked == ["filler"]


def test_every_field_at_its_longest_fits(new_record: Callable[[], Any]) -> None:
    """What a release, a server and a trial may put there, all at once; and a document that is larger is refused."""
    record = new_record()
    longest = '"' * 32  # JSON writes two characters for one
    facts = [longest, 0x7FFFFFFF, 0x7FFFFFFF, 0x1000000, "f" * 64]
    record.state.update(
        releases=[["o" * 16, *facts, "f" * 16] for _ in range(4)],
        floor_sequence=0x7FFFFFFF,
        floor_security=0x7FFFFFFF,
        failed=[[0x7FFFFFFF, "security-version"] for _ in range(6)],
        held=[0x7FFFFFFF, 10, 1023],
        refused=["cert-not-yet-valid", '"' * 40],
        heard=[0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFFFFF, 36525],
    )
    record.save("state")
    record.job.update(phase="confirmed", version=longest, sequence=0x7FFFFFFF, security_version=0x7FFFFFFF)
    record.job.update(
        size=0x1000000, sha256="f" * 64, mark="f" * 16, etag='"' + "e" * 62 + '"', came_from="o" * 16, home="f" * 16
    )
    record.job.update(slot="o" * 16, back="o" * 16, reason="trial-watchdog", detail='"' * 80)
    record.save("job")
    kept_job = dict(record.job)
    record.job["detail"] = "x" * 1400
    with pytest.raises(Exception, match="record"):
        record.save("job")
    assert new_record().job == kept_job


def test_no_number_of_failed_releases_lowers_a_floor(new_record: Callable[[], Any]) -> None:
    record = new_record()
    record.state.update(floor_sequence=9, floor_security=3)
    for sequence in range(10, 18):
        record.begin({"version": "2", "sequence": sequence, "security_version": 5, "size": 1, "sha256": ""}, SLOT, None)
        record.fail("trial-crash")
    state = new_record().state
    assert [sequence for sequence, _ in state["failed"]] == list(range(12, 18))  # the oldest have made room
    assert (state["floor_sequence"], state["floor_security"]) == (9, 3)


def test_text_from_outside_takes_a_character_for_a_character(new_record: Callable[[], Any]) -> None:
    """A stranger's word may not steer a terminal, nor begin a line of the console that looks like the agent's."""
    new_record()
    detail = importlib.import_module("ota.errors").OtaError("unknown-key", "\x01\x1b[31m é\nota: " + "x" * 90).detail
    assert detail == "??[31m ??ota: " + "x" * 66
