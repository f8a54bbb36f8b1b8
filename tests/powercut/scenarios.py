"""The scenarios as a table, and the boards that they start from."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from otactl.workspace import trust
from vboard.chip.kept import HARD
from vboard.flash.nor import Flash
from vboard.flash.nvs import Nvs

from powercut.boards import Boards
from powercut.cuts import Cut, state_after
from powercut.scenario import BEFORE, WEAK_CELL, Scenario, row
from powercut.stage import Stage


@dataclass(frozen=True)
class Case:
    """A row of the table: what a Scenario is made of, when somebody asks for it.

    `start`: makes the flash to start from. `tried`: the releases that the board has been through by then, `new`: the
    one published after them, None for a rollback. `rotated`: the key that signs has been exchanged with it. `encrypted`: boards
    take encrypted images alone. `deltas`: they take deltas. `weak`: a cell of `target` does not hold. The others are Scenario's.
    """

    name: str
    layout: str
    start: "Callable[[Boards, Case], bytes]"
    tried: str
    new: str | None
    target: str | None
    left: str
    ends: str
    ends_in: str
    about: str
    passing: str = ""
    failed: tuple[tuple[int, ...], ...] = ((),)
    either: bool = False
    weak: bool = False
    rotated: bool = False
    encrypted: bool = False
    deltas: bool = False

    @property
    def releases(self) -> tuple[str, ...]:
        return (*self.tried.split(), *([self.new] if self.new else []))

    def scenario(self, boards: Boards) -> Scenario:
        """Takes a few boots of a board."""
        table = boards.table(self.layout)
        place = boards.rotated(*self.releases) if self.rotated else boards.place(*self.releases)
        return Scenario(
            self.name,
            self.about,
            place,
            self.start(boards, self),
            table,
            ends=self.ends,
            ends_in=self.ends_in,
            left=self.left,
            target=self.target,
            passing=self.passing,
            failed=self.failed,
            either=self.either,
            trusts=trust.for_board(trust.current(place)) if self.rotated else "",
            weak=row(table, self.target).offset + WEAK_CELL if self.weak and self.target else None,
        )


def rested(boards: Boards, case: Case) -> bytes:
    """It has nothing to do."""
    return boards.rested(case.layout, *case.tried.split())


def modelled(boards: Boards, case: Case) -> bytes:
    """There is data in its partition."""
    flash, at = bytearray(rested(boards, case)), row(boards.table(case.layout), "model").offset
    flash[at : at + len(BEFORE)] = BEFORE
    return bytes(flash)


def wishing(boards: Boards, case: Case) -> bytes:
    """Its program is going to want a rollback."""
    return boards.wishing(case.layout, *case.tried.split())


def crowded(boards: Boards, case: Case) -> bytes:
    """With values of the user's written over and over, until the pages of NVS are all in use but one."""
    flash, nvs = rested(boards, case), row(boards.table(case.layout), "nvs")
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


def spoilt(boards: Boards, case: Case) -> bytes:
    """After the update of `target` and the reset, when the bootloader begins; the image has lost a bit."""
    assert case.target
    start = rested(boards, case)
    with Stage(boards.place(*case.releases)) as stage:
        run = stage.run(start, done=lambda _: True)
    switched = next(boot.step for boot in run.boots if boot.cause == HARD)
    flash = bytearray(state_after(start, run.steps, Cut(switched - 2)))
    flash[row(boards.table(case.layout), case.target).offset + 5000] ^= 0x10
    return bytes(flash)


OTA, FACTORY, THREE, DATA, FILE = "ota", "factory-ota", "three", "data", "data-file"

CASES = (
    #    name                   layout   start    tried                new      target   left     ends     ends_in
    Case("first",               OTA,     rested,  "1.0.0",             "1.1.0", "ota_1", "1.0.0", "1.1.0", "ota_1",
         "the first update of a board, from ota_0 to ota_1; its self-test passes"),
    Case("again",               OTA,     crowded, "1.0.0 1.1.0",       "1.2.0", "ota_0", "1.1.0", "1.2.0", "ota_0",
         "the next update, back to ota_0, with an NVS so full that a page of it is reclaimed on the way"),
    Case("rebuild",             OTA,     rested,  "1.0.0 1.1.0",       "1.0.1", "ota_0", "1.1.0", "1.0.1", "ota_0",
         "the next update, which changes a third of what its slot holds: of one block sectors, one block as a whole"),
    Case("failing",             OTA,     rested,  "1.0.0",             "6.6.6", "ota_1", "6.6.6", "1.0.0", "ota_0",
         "a release whose self-test fails: the board goes back and does not try it again",
         failed=((2,),)),
    Case("rollback",            OTA,     wishing, "1.0.0 1.1.0",       None,    None,    "1.1.0", "1.0.0", "ota_0",
         "agent.rollback() on the program's own wish",
         failed=((2,),)),
    Case("rotation",            OTA,     rested,  "1.0.0",             "1.1.0", "ota_1", "1.0.0", "1.1.0", "ota_1",
         "the key that signs is exchanged by a trust document, which brings CA certificates too; then an update",
         rotated=True),
    Case("encrypted",           OTA,     rested,  "1.0.0",             "1.1.0", "ota_1", "1.0.0", "1.1.0", "ota_1",
         "as `first`, and the image is encrypted; what lies in flash is plain",
         encrypted=True),
    Case("delta",               OTA,     rested,  "1.0.0",             "1.0.1", "ota_1", "1.0.0", "1.0.1", "ota_1",
         "as `first`, and the image comes as a delta from the one that runs",
         deltas=True),
    Case("data",                DATA,    modelled, "1.0.0",            "1.1.0", "ota_1", "1.0.0", "1.1.0", "ota_1",
         "as `first`, and the release brings a data partition: it is copied once the release is confirmed"),
    Case("data-file",           FILE,    modelled, "1.0.0",            "1.1.0", "ota_1", "1.0.0", "1.1.0", "ota_1",
         "as `data`, with no room behind the image: the data are staged in a file"),
    Case("both",                OTA,     rested,  "1.0.0 2.0.0",       "2.2.0", "ota_0", "2.0.0", "2.2.0", "ota_0",
         "a release of firmware and application, from one that has both"),
    Case("application",         OTA,     rested,  "1.0.0 2.0.0",       "2.1.0", "ota_0", "2.0.0", "2.1.0", "ota_0",
         "a release of an application alone: the firmware is copied from ota_1 to ota_0"),
    # What was remembered depends on the cut; the release itself is sound.
    Case("damaged",             OTA,     spoilt,  "1.0.0",             "1.1.0", "ota_1", "1.1.0", "1.0.0", "ota_0",
         "the new image loses a bit after the switch: the bootloader passes over it",
         failed=((2,), ()), either=True),
    # Three downloads in vain, and it is remembered as failed.
    Case("weak",                OTA,     rested,  "1.0.0",             "1.1.0", "ota_1", "1.0.0", "1.0.0", "ota_0",
         "a flash cell of the slot does not hold: what is read back is not what was signed",
         failed=((2,), ()), weak=True),

    Case("factory-first",       FACTORY, rested,  "1.0.0",             "1.1.0", "ota_0", "1.0.0", "1.1.0", "ota_0",
         "the first update of a board that runs its factory app, to ota_0; its self-test passes"),
    Case("factory-failing",     FACTORY, rested,  "1.0.0",             "6.6.6", "ota_0", "6.6.6", "1.0.0", "factory",
         "a release whose self-test fails, from the factory app: the board goes back to that",
         failed=((2,),)),
    # Both sectors of otadata are in use, and what one of them names has failed: going back erases both.
    Case("factory-rollback",    FACTORY, wishing, "1.0.0 1.1.0 6.6.6", None,    None,    "1.1.0", "1.0.0", "factory",
         "agent.rollback() from ota_0 to the factory app; a release that failed lies in ota_1",
         failed=((3, 2),)),

    Case("three-third",         THREE,   rested,  "1.0.0 1.1.0",       "1.2.0", "ota_2", "1.1.0", "1.2.0", "ota_2",
         "the third release of a board, from ota_1 to ota_2; the first one stays in ota_0"),
    Case("three-failing",       THREE,   rested,  "1.0.0 1.1.0",       "6.6.6", "ota_2", "6.6.6", "1.1.0", "ota_1",
         "a release whose self-test fails in ota_2: the board goes back to ota_1",
         failed=((3,),)),
    Case("three-rollback",      THREE,   wishing, "1.0.0 1.1.0",       None,    None,    "1.1.0", "1.0.0", "ota_0",
         "agent.rollback() from ota_1 to ota_0; ota_2, which is next, is empty",
         failed=((2,),)),
    Case("three-rollback-past", THREE,   wishing, "1.0.0 1.1.0 6.6.6", None,    None,    "1.1.0", "1.0.0", "ota_0",
         "agent.rollback() from ota_1 to ota_0; a release that failed lies in ota_2, which is next",
         failed=((3, 2),)),
    # From slot 0 the bootloader goes up: to ota_1, which is older than what ran.
    Case("three-damaged",       THREE,   spoilt,  "1.0.0 1.1.0 1.2.0", "1.3.0", "ota_0", "1.3.0", "1.2.0", "ota_2",
         "the new image in ota_0 loses a bit after the switch: the bootloader starts ota_1, the board goes back to ota_2",
         passing="1.1.0", failed=((4,), ()), either=True),
)  # fmt: skip
