"""Makes the scenarios: each needs a board that has been through something."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from otactl import publish
from otactl.deploy import deploy
from otactl.workspace import Workspace
from rig import CONFIG, make_workspace, repl
from vboard.board import Board
from vboard.chip.kept import HARD
from vboard.flash.nor import Flash
from vboard.flash.nvs import Nvs
from vboard.flash.table import Table

from powercut.cuts import Cut, state_after
from powercut.scenario import IMAGES, WEAK_CELL, Scenario, mounted, row
from powercut.stage import Stage

TRIAL = {
    "deadline_s": 20,
    "watchdog_s": 5,
    "settle_s": 0,
    "checks": [
        {"check": "filesystem"},
        {"check": "call", "function": "selftest:passes", "timeout_s": 5},
        {"check": "server", "timeout_s": 10},
    ],
}
SELFTEST = b"""
import sys
def passes():
    if sys.implementation._build == "BAD":
        raise RuntimeError("bad")
    return True
"""
APP = b"""
import json, os
from ota import agent
def main():
    try:
        with open("/data/count.txt") as f:
            n = int(f.read())
    except OSError:
        n = 0
    with open("/data/count.txt", "w") as f:
        f.write("%600d" % (n + 1))
    status = agent.status()
    if "back" in os.listdir("/") and status["installed"]["version"] == "1.1.0":
        agent.rollback()
    print("STATUS", json.dumps(status))
"""


class Scenarios:
    """Makes the situations in `folder`; each needs a few boots of a board. `patch`: lines for a faulty agent."""

    def __init__(self, folder: Path, patch: str = "") -> None:
        self._folder = folder
        self._base = make_workspace(folder / "base")
        self._deployed, self.table = self._deploy()
        self._patch = patch
        self._rested: dict[str, bytes] = {}

    def make(self, name: str) -> Scenario:
        """The scenario of that name, one of NAMES. Raises KeyError."""
        made: Scenario = _MAKERS[name](self)
        return replace(made, start=_patched(made, self._patch)) if self._patch else made

    def place(self, name: str, *versions: str) -> Workspace:
        """A workspace with these versions published, the last one newest; made once for each name."""
        folder = self._folder / name
        if folder.exists():
            return Workspace.find(folder)
        shutil.copytree(self._base.root, folder)
        place = Workspace.find(folder)
        for version in versions:
            file = folder / f"{version}.bin"
            file.write_bytes(IMAGES[version])
            publish.publish(place, [file], version)
        return place

    def rested(self, *versions: str) -> bytes:
        """The flash of a board that has installed these one after the other and has nothing to do."""
        name = "-".join(versions)
        if name not in self._rested:
            before = self.rested(*versions[:-1]) if len(versions) > 1 else self._deployed
            place = self.place(f"rested-{name}", *versions)
            with Stage(place) as stage:
                run = stage.run(before, done=lambda s: s["installed"]["version"] == versions[-1])  # type: ignore[index]
            assert not run.trouble, run.trouble
            self._rested[name] = run.end
        return self._rested[name]

    def _deploy(self) -> tuple[bytes, Table]:
        with Board(self._folder / "deploy", app=IMAGES["1.0.0"]) as board:
            board.power_on()
            board.wait_repl()
            with repl(board) as link:
                deploy(link, self._base)
                config = json.loads(link.run("print(open('/etc/ota/config.json').read())"))
                config.update(CONFIG, trial=TRIAL, read_timeout_s=5)
                link.put("/etc/ota/config.json", json.dumps(config).encode())
                link.run("import os; os.mkdir('/data')")
                link.put("/app.py", APP)
                link.put("/selftest.py", SELFTEST)
                link.put("/notes.txt", bytes(range(256)) * 20)
            board.power_off()
            return board.flash.read(0, board.flash.size), board.table


def _first(made: Scenarios) -> Scenario:
    return Scenario(
        "first",
        "the first update of a board, from ota_0 to ota_1; its self-test passes",
        made.place("first", "1.0.0", "1.1.0"),
        made.rested("1.0.0"),
        made.table,
        ends="1.1.0",
        left="1.0.0",
    )


def _again(made: Scenarios) -> Scenario:
    return Scenario(
        "again",
        "the next update, back to ota_0, with an NVS so full that a page of it is reclaimed on the way",
        made.place("again", "1.0.0", "1.1.0", "1.2.0"),
        _crowded(made.rested("1.0.0", "1.1.0"), made),
        made.table,
        ends="1.2.0",
        left="1.1.0",
    )


def _crowded(flash: bytes, made: Scenarios) -> bytes:
    """With values of the user's written over and over, until the pages of NVS are all in use but one."""
    nvs = row(made.table, "nvs")
    path = made._folder / "crowded.bin"
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


def _failing(made: Scenarios) -> Scenario:
    return Scenario(
        "failing",
        "a release whose self-test fails: the board goes back and does not try it again",
        made.place("failing", "1.0.0", "6.6.6"),
        made.rested("1.0.0"),
        made.table,
        ends="1.0.0",
        left="6.6.6",
        failed=True,
    )


def _rollback(made: Scenarios) -> Scenario:
    place = made.place("rollback", "1.0.0", "1.1.0")
    folder = made._folder / "wish"
    folder.mkdir()
    (folder / "flash.bin").write_bytes(made.rested("1.0.0", "1.1.0"))
    with Board(folder) as board:
        board.power_on()
        with repl(board) as link:
            link.put("/back", b"")
        board.power_off()
        start = board.flash.read(0, board.flash.size)
    return Scenario(
        "rollback",
        "agent.rollback() on the program's own wish",
        place,
        start,
        made.table,
        ends="1.0.0",
        left="1.1.0",
        failed=True,
    )


def _damaged(made: Scenarios) -> Scenario:
    place = made.place("first", "1.0.0", "1.1.0")
    start = made.rested("1.0.0")
    with Stage(place) as stage:
        run = stage.run(start, done=lambda _: True)
    switched = next(boot.step for boot in run.boots if boot.cause == HARD)
    flash = bytearray(state_after(start, run.steps, Cut(switched - 2)))
    flash[row(made.table, "ota_1").offset + 5000] ^= 0x10
    return Scenario(
        "damaged",
        "the new image loses a bit after the switch: the bootloader passes over it",
        place,
        bytes(flash),
        made.table,
        ends="1.0.0",
        left="1.1.0",
        failed=None,
        either=True,  # what was remembered depends on the cut; the release itself is sound
    )


def _weak(made: Scenarios) -> Scenario:
    return Scenario(
        "weak",
        "a flash cell of the slot does not hold: what is read back is not what was signed",
        made.place("weak", "1.0.0", "1.1.0"),
        made.rested("1.0.0"),
        made.table,
        ends="1.0.0",
        left="1.0.0",
        failed=None,  # three downloads in vain, and it is
        weak=row(made.table, "ota_1").offset + WEAK_CELL,
    )


_MAKERS: dict[str, Callable[[Scenarios], Scenario]] = {
    "first": _first,
    "again": _again,
    "failing": _failing,
    "rollback": _rollback,
    "damaged": _damaged,
    "weak": _weak,
}
NAMES = tuple(_MAKERS)


def _patched(scenario: Scenario, patch: str) -> bytes:
    """Written from outside, so that no boot changes what the scenario starts from."""
    vfs = mounted(scenario.start, scenario.table)
    with vfs.open("boot.py", "rb") as file:
        boot = file.read()
    for name, text in (("patch.py", patch.encode()), ("boot.py", b"import patch\n" + boot)):
        with vfs.open(name, "wb") as file:
            file.write(text)
    at = row(scenario.table, "vfs")
    return scenario.start[: at.offset] + bytes(vfs.context.buffer) + scenario.start[at.offset + at.size :]
