"""Releases with an application on boards of other layouts, file systems and contents (P14); judged by what lies in flash."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import apps
import pytest
import rig as rigs
import singles
from otactl.board.deploy import deploy
from otactl.release import room
from rig import NEW, OLD, Rig, boots, slot_bytes, started
from vboard.board import Board

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


# layout -> where the first release goes, where the second
TURNS = {"three": ("ota_1", "ota_2"), "factory-ota": ("ota_0", "ota_1")}


@pytest.mark.parametrize("layout", TURNS)
def test_applications_take_turns_in(rig: Rig, templates: Template, layout: str) -> None:
    """Each slot keeps the directory of its own release; a failed trial and a rollback go to where they came from."""
    board = started(rig.board(flash=templates(layout=layout)))
    rigs.configure(board, trial=QUICK)
    first, second = TURNS[layout]
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


@pytest.mark.parametrize("layout", ["ota", "factory"])
def test_fat_is_refused_before_anything_is_erased(tmp_path: Path, layout: str) -> None:
    """It has no copy of a file that power cuts while it is written, and moves no directory at once."""
    with on_fat(tmp_path, layout) as (rig, board):
        apps.publish(rig, "1.1.0", ONE)
        seen, before = len(board.text), len(board.flash.trace)
        board.reset()
        board.wait_text("ota: error filesystem", 20, since=seen)
        board.wait_text("app: own", 10, since=seen)
        assert not [op for op in board.flash.trace[before:] if op.actor in ("app", "vfs")]


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


def test_room_to_the_block_and_what_is_the_users(rig: Rig) -> None:
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
