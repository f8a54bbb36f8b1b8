"""Releases that carry the application (P12), on virtual boards; judged by what lies in flash, file by file."""

import apps
import rig as rigs
from rig import NEW, OLD, Rig, boots, slot_bytes, started
from vboard.board import Board
from vboard.flash.otadata import State

ONE = {
    "app.py": b"import lib.tool, plain\nprint('app: one', lib.tool.NAME, plain.NAME)\n",
    "lib/__init__.py": b"",
    "lib/tool.py": b"NAME = 'tool 1'\n",
    "plain.py": b"NAME = 'plain 1'\n",
    "pictures/a/logo.bin": bytes(range(256)) * 40,
}
TWO = {"app.py": b"print('app: two')\n", "new.bin": b"\x01\x02\x03"}


def goes_on(board: Board, version: str) -> None:
    """A look brings that release, its trial passes."""
    seen = len(board.text)
    board.reset()
    board.wait_text(f"ota: up-to-date {version}", 60, since=seen)


def test_firmware_and_application_are_one_release(rig: Rig) -> None:
    board = started(rig.board())
    apps.publish(rig, "1.1.0", ONE, NEW)
    goes_on(board, "1.1.0")
    board.wait_text("app: one tool 1 plain 1", 10)
    assert boots(board) == ("ota_1", State.VALID)
    assert slot_bytes(board, "ota_1", len(NEW)) == NEW
    assert apps.trees(board) == {"ota_1": ONE}


def test_application_alone_takes_the_firmware_along_and_the_second_time_copies_nothing(rig: Rig) -> None:
    board = started(rig.board())
    apps.publish(rig, "1.1.0", ONE)
    goes_on(board, "1.1.0")
    assert boots(board) == ("ota_1", State.VALID)
    assert slot_bytes(board, "ota_1", len(OLD)) == OLD
    before = len(board.flash.trace)
    apps.publish(rig, "1.2.0", TWO)
    goes_on(board, "1.2.0")
    board.wait_text("app: two", 10)
    assert boots(board) == ("ota_0", State.VALID)
    assert not rigs.touched(board, "ota_0", before) and not rigs.touched(board, "ota_1", before)
    assert apps.trees(board) == {"ota_0": TWO, "ota_1": ONE}
    assert not [t for t in rig.transfers if t.path.endswith(".bin")]
