"""The scenarios on a board with two slots, what most have."""

import tempfile
from pathlib import Path

from otactl.workspace.workspace import Workspace
from vboard.chip.kept import HARD
from vboard.flash.nor import Flash
from vboard.flash.nvs import Nvs
from vboard.flash.table import Row

from powercut.boards import Boards
from powercut.cuts import Cut, state_after
from powercut.scenario import WEAK_CELL, Scenario, row
from powercut.stage import Stage

_LAYOUT = "ota"


def first(boards: Boards) -> Scenario:
    return Scenario(
        "first",
        "the first update of a board, from ota_0 to ota_1; its self-test passes",
        boards.place("1.0.0", "1.1.0"),
        boards.rested(_LAYOUT, "1.0.0"),
        boards.table(_LAYOUT),
        ends="1.1.0",
        ends_in="ota_1",
        left="1.0.0",
        target="ota_1",
    )


def again(boards: Boards) -> Scenario:
    return Scenario(
        "again",
        "the next update, back to ota_0, with an NVS so full that a page of it is reclaimed on the way",
        boards.place("1.0.0", "1.1.0", "1.2.0"),
        _crowded(boards.rested(_LAYOUT, "1.0.0", "1.1.0"), boards),
        boards.table(_LAYOUT),
        ends="1.2.0",
        ends_in="ota_0",
        left="1.1.0",
        target="ota_0",
    )


def _crowded(flash: bytes, boards: Boards) -> bytes:
    """With values of the user's written over and over, until the pages of NVS are all in use but one."""
    nvs = row(boards.table(_LAYOUT), "nvs")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "flash.bin"
        path.write_bytes(flash)
        with Flash(path, len(flash)) as chip:
            store = Nvs(chip, nvs.offset, nvs.size)
            space = store.namespace("user")
            n = 0
            while not any(op.kind == "erase" for op in chip.trace):
                store.set_i32(space, "n", n)
                n += 1
            # from the erase on a page has room for 126 entries: leave about half an update's worth
            for _ in range(90):
                store.set_i32(space, "n", n)
                n += 1
            return chip.read(0, chip.size)


def failing(boards: Boards) -> Scenario:
    return Scenario(
        "failing",
        "a release whose self-test fails: the board goes back and does not try it again",
        boards.place("1.0.0", "6.6.6"),
        boards.rested(_LAYOUT, "1.0.0"),
        boards.table(_LAYOUT),
        ends="1.0.0",
        ends_in="ota_0",
        left="6.6.6",
        target="ota_1",
        failed=((2,),),
    )


def rollback(boards: Boards) -> Scenario:
    return Scenario(
        "rollback",
        "agent.rollback() on the program's own wish",
        boards.place("1.0.0", "1.1.0"),
        boards.wishing(_LAYOUT, "1.0.0", "1.1.0"),
        boards.table(_LAYOUT),
        ends="1.0.0",
        ends_in="ota_0",
        left="1.1.0",
        target=None,
        failed=((2,),),
    )


def damaged(boards: Boards) -> Scenario:
    place = boards.place("1.0.0", "1.1.0")
    return Scenario(
        "damaged",
        "the new image loses a bit after the switch: the bootloader passes over it",
        place,
        spoilt(boards.rested(_LAYOUT, "1.0.0"), place, row(boards.table(_LAYOUT), "ota_1")),
        boards.table(_LAYOUT),
        ends="1.0.0",
        ends_in="ota_0",
        left="1.1.0",
        target="ota_1",
        failed=((2,), ()),
        either=True,  # what was remembered depends on the cut; the release itself is sound
    )


def spoilt(start: bytes, place: Workspace, slot: Row) -> bytes:
    """The flash after the update of `slot` and the reset, when the bootloader begins; the image has lost a bit."""
    with Stage(place) as stage:
        run = stage.run(start, done=lambda _: True)
    switched = next(boot.step for boot in run.boots if boot.cause == HARD)
    flash = bytearray(state_after(start, run.steps, Cut(switched - 2)))
    flash[slot.offset + 5000] ^= 0x10
    return bytes(flash)


def weak(boards: Boards) -> Scenario:
    return Scenario(
        "weak",
        "a flash cell of the slot does not hold: what is read back is not what was signed",
        boards.place("1.0.0", "1.1.0"),
        boards.rested(_LAYOUT, "1.0.0"),
        boards.table(_LAYOUT),
        ends="1.0.0",
        ends_in="ota_0",
        left="1.0.0",
        target="ota_1",
        failed=((2,), ()),  # three downloads in vain, and it is
        weak=row(boards.table(_LAYOUT), "ota_1").offset + WEAK_CELL,
    )


MAKERS = (first, again, failing, rollback, damaged, weak)
