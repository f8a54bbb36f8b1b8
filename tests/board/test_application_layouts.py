"""Releases with an application on boards of other layouts, file systems and contents (P14); judged by what lies in flash."""

from collections.abc import Callable
from pathlib import Path

import apps
import pytest
import rig as rigs
from rig import NEW, OLD, Rig, boots, slot_bytes, started
from vboard.board import Board

QUICK = {**rigs.TRIAL, "settle_s": 1, "checks": []}
Template = Callable[..., Path]
ONE = {"app.py": b"print('app: one')\n", "lib/deep/er/x.bin": bytes(range(256)) * 20, "empty.py": b""}
TWO = {"app.py": b"print('app: two')\n"}
THREE = {"app.py": b"print('app: three')\n", "empty.py": b""}


def takes(rig: Rig, board: Board, version: str, files: dict[str, bytes] | None, firmware: bytes | None = None) -> None:
    apps.publish(rig, version, files, firmware)
    seen = len(board.text)
    board.reset()
    board.wait_text(f"ota: up-to-date {version}", 40, since=seen)


@pytest.mark.parametrize("layout", ["three", "factory-ota"])
def test_applications_take_turns_in(rig: Rig, templates: Template, layout: str) -> None:
    board = started(rig.board(flash=templates(layout=layout)))
    rigs.configure(board, trial=QUICK)
    home = board.slot
    first, second = ("ota_1", "ota_2") if layout == "three" else ("ota_0", "ota_1")
    takes(rig, board, "1.1.0", ONE)
    assert apps.trees(board) == {first: ONE}
    assert slot_bytes(board, first, len(OLD)) == OLD
    takes(rig, board, "1.2.0", TWO, NEW)
    assert apps.trees(board) == {first: ONE, second: TWO}
    apps.publish(rig, "1.3.0", {"app.py": b"1 / 0\n"})
    seen = len(board.text)
    board.reset()
    board.wait_text("ota: rolled-back 1.3.0 app-crashed", 40, since=seen)
    board.wait_text("app: two", 10, since=seen)
    assert boots(board)[0] == second
    trees = apps.trees(board)
    assert trees[second] == TWO
    seen = len(board.text)
    with rigs.repl(board) as link:
        link.start("from ota import agent\nagent.rollback()")
        board.wait_text("ota: confirmed", 40, since=seen)
    print(home, board.text[seen:], boots(board))
    takes(rig, board, "1.4.0", THREE)
    print(apps.trees(board).keys(), boots(board))
