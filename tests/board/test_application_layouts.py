"""Releases with an application on boards of other layouts, file systems and contents (P14); judged by what lies in flash."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import apps
import pytest
import rig as rigs
import singles
from otactl.board.deploy import deploy
from otactl.release import room
from rig import NEW, OLD, Rig, boots, slot_bytes, started
from vboard.board import Board
from vboard.flash.table import Table

SPARE = 8  # blocks
QUICK = {**rigs.TRIAL, "settle_s": 1, "checks": []}
Template = Callable[..., Path]
ONE = {"app.py": b"print('app: one')\n", "lib/deep/x.bin": bytes(range(256)) * 20, "empty.py": b""}
TWO = {"app.py": b"print('app: two')\n"}


def takes(rig: Rig, board: Board, version: str, files: dict[str, bytes] | None, firmware: bytes | None = None) -> None:
    apps.publish(rig, version, files, firmware)
    seen = len(board.text)
    board.reset()
    board.wait_text(f"ota: up-to-date {version}", 40, since=seen)


def applications_take_turns(layout: str, first: str, second: str, rig: Rig, templates: Template) -> None:
    """Each slot keeps the directory of its own release; a failed trial and a rollback go to where they came from."""
    board = started(rig.board(flash=templates(layout=layout)))
    rigs.configure(board, trial=QUICK)
    takes(rig, board, "1.1.0", ONE)
    takes(rig, board, "1.2.0", TWO, NEW)
    assert apps.trees(board) == {first: ONE, second: TWO}
    assert slot_bytes(board, first, len(OLD)) == OLD
    apps.publish(rig, "1.3.0", {"app.py": b"1 / 0\n"})
    seen = len(board.text)
    board.reset()
    board.wait_text("ota: rolled-back 1.3.0 app-crashed", 40, since=seen)
    board.wait_text("app: two", 10, since=board.text.rindex("ota: rolled-back"))
    assert boots(board)[0] == second
    assert apps.trees(board)[second] == TWO


FAT = """
import os, vfs
from esp32 import Partition
part = Partition.find(Partition.TYPE_DATA, label="vfs")[0]
vfs.umount("/")
vfs.VfsFat.mkfs(part)
vfs.mount(vfs.VfsFat(part), "/")
"""


@contextmanager
def on_fat(tmp_path: Path, layout: str) -> Iterator[tuple[Rig, Board]]:
    """A board whose files lie on FAT, with the agent."""
    with ExitStack() as opened:
        rig = opened.enter_context(singles.served(tmp_path / "place"))
        settings = singles.KINDS["esp32"] | {"layout": layout, "network": rig.network}
        board = opened.enter_context(Board(tmp_path / "board", **settings))
        board.power_on()
        board.wait_repl()
        with rigs.repl(board) as link:
            link.run(FAT)
            deploy(link, rig.workspace)
            link.put("/app.py", b"print('app: own')\n")
        yield rig, board


def fat_is_refused(layout: str, tmp_path: Path) -> None:
    """Before anything is erased: FAT has no copy of a file that power cuts, and moves no directory at once."""
    with on_fat(tmp_path, layout) as (rig, board):
        apps.publish(rig, "1.1.0", ONE)
        seen, before = len(board.text), len(board.flash.trace)
        board.reset()
        board.wait_text("ota: error filesystem", 20, since=seen)
        board.wait_text("app: own", 10, since=seen)
        assert not [op for op in board.flash.trace[before:] if op.actor in ("app", "vfs")]


FACTORY_AND_ONE = """
    nvs,      data, nvs,     0x9000, 0x4000
    otadata,  data, ota,     0xd000, 0x2000
    phy_init, data, phy,     0xf000, 0x1000
    factory,  app,  factory, ,       0x100000
    ota_0,    app,  ota_0,   ,       0x100000
"""


def factory_and_one_slot_take_applications_alone(tmp_path: Path) -> None:
    with singles.served(tmp_path / "place") as rig:
        settings = singles.KINDS["esp32"] | {"layout": Table.from_csv(FACTORY_AND_ONE), "network": rig.network}
        with Board(tmp_path / "board", **settings) as board:
            board.power_on()
            board.wait_repl()
            with rigs.repl(board) as link:
                assert "no two OTA slots" in deploy(link, rig.workspace).advice[0]
            before = len(board.flash.trace)
            takes(rig, board, "1.1.0", ONE)
            takes(rig, board, "1.2.0", TWO)
            assert apps.trees(board) == {"a": ONE, "b": TWO}
            assert board.slot == "factory"
            assert not rigs.touched(board, "ota_0", before) and not rigs.touched(board, "otadata", before)


HELPERS = """
import os
def keep(path, data=b"mine"):
    parts = path.split("/")
    for n in range(2, len(parts)):
        try:
            os.mkdir("/".join(parts[:n]))
        except OSError:
            pass
    with open(path, "wb") as f:
        f.write(data)
def fill(left):
    with open("/filler", "wb") as f:
        while os.statvfs("/")[3] > left:
            f.write(bytes(4096))
            f.flush()
"""
USERS = """
keep("/app-ota_0x/app.py")
keep("/app-notes")
keep("/data/app.py")
keep("/app-ota_1", b"a file where the directory goes")
"""


def room_to_the_block_and_what_is_the_users(rig: Rig) -> None:
    """A file system with as little room as the release takes, and one block less; with files of the user's by such names."""
    board = started(rig.board())
    rigs.configure(board, trial=QUICK)
    apps.publish(rig, "1.1.0", ONE)
    need = room.blocks({name: len(data) for name, data in ONE.items()}) + SPARE
    with rigs.repl(board) as link:
        link.run(HELPERS + USERS + f"fill({need - 1})", timeout_s=60)
    before = len(board.flash.trace)
    assert rigs.update_code(board) == "no-space"
    assert not rigs.touched(board, "ota_1", before) and not rigs.touched(board, "vfs", before)
    with rigs.repl(board) as link:
        link.run(HELPERS + f"os.remove('/filler')\nfill({need})", timeout_s=60)
    takes(rig, board, "1.1.0", ONE)
    assert apps.trees(board)["ota_1"] == ONE
    with rigs.repl(board) as link:
        link.run(HELPERS + "os.remove('/filler')\nkeep('/app-ota_0/' + 'd/' * 13 + 'f')")
    takes(rig, board, "1.2.0", TWO)
    assert apps.trees(board) == {"ota_0": TWO, "ota_1": ONE, "ota_0x": {"app.py": b"mine"}}
    assert rigs.ask(board, "print(open('/app-notes').read(), open('/data/app.py').read())").split() == ["mine", "mine"]


SITUATIONS: dict[str, Callable[..., None]] = {
    "three slots": partial(applications_take_turns, "three", "ota_1", "ota_2"),
    "factory and two slots": partial(applications_take_turns, "factory-ota", "ota_0", "ota_1"),
    "factory and one slot": factory_and_one_slot_take_applications_alone,
    "FAT and two slots": partial(fat_is_refused, "ota"),
    "FAT and one slot": partial(fat_is_refused, "factory"),
    "hardly any room, files of the user's": room_to_the_block_and_what_is_the_users,
}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_applications_with(situation: str, request: pytest.FixtureRequest) -> None:
    """A seeded slice; `make matrices` runs all of them."""
    run = SITUATIONS[situation]
    asked = [name for name in inspect.signature(run).parameters if name in ("rig", "templates", "tmp_path")]
    run(**{name: request.getfixturevalue(name) for name in asked})
