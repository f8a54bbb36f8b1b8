"""A class gets a new lesson in one release; the boards whose check of it fails stay on the old one. `make matrices` has thirty."""

import os
import re
import shutil
import threading
from pathlib import Path

import apps
import pytest
import rig as rigs
from otactl.cli.main import main
from otactl.release import archive
from rig import Rig, boots, started
from vboard.board import Board
from vboard.flash.otadata import State

BOARDS, WITHOUT = (30, (7, 19)) if os.environ.get("MATRICES") == "all" else (4, (2,))
SENSOR = 5
LESSONS = {  # the second one wants a sensor, and asks for it while it is on trial
    "lesson 1": "def check():\n    return True\nprint('lesson 1')\n",
    "lesson 2": f"import machine\ndef check():\n    return machine.Pin({SENSOR}, machine.Pin.IN).value() == 1\nprint('lesson 2')\n",
}
TRIAL = {
    **rigs.TRIAL,
    "deadline_s": 120,
    "watchdog_s": 120,
    "checks": [{"check": "call", "function": "app:check", "timeout_s": 2}],
}


def lesson(rig: Rig, name: str, version: str) -> dict[str, bytes]:
    """Published; its files as they come to lie on a board."""
    folder = rig.root / name.replace(" ", "-")
    folder.mkdir()
    (folder / "app.py").write_text(LESSONS[name])
    assert main(["publish", "-w", str(rig.workspace.root), "--app", str(folder), "--version", version]) == 0
    return archive.unpack((rig.workspace.releases / version / "app.cpio").read_bytes())


@pytest.mark.timeout(900)
def test_class_gets_a_lesson(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    first = lesson(rig, "lesson 1", "1.1.0")
    boards = classroom(rig)
    assert apps.trees(boards[0]) == {"ota_1": first}
    second = lesson(rig, "lesson 2", "1.2.0")
    roster = [
        f'[[board]]\nname = "desk-{n:02}"\nport = "{board.port}"\nslow = 10\ntags = ["class"]\n'
        for n, board in enumerate(boards, 1)
    ]
    (rig.workspace.root / "boards.toml").write_text("\n".join(roster))
    capsys.readouterr()
    assert main(["update", "-w", str(rig.workspace.root), "--tag", "class"]) == 1
    said = capsys.readouterr().out
    for n, board in enumerate(boards, 1):
        slot, files = ("ota_1", first) if n in WITHOUT else ("ota_0", second)
        assert boots(board) == (slot, State.VALID)
        assert apps.trees(board)[slot] == files
        board.wait_text("lesson 1" if n in WITHOUT else "lesson 2", 60, since=board.text.rindex("rst:"))
        ends = re.findall(rf"^desk-{n:02}  (\S+) +1\.2\.0", said, re.MULTILINE)
        assert ends[-1:] == ["rolled-back" if n in WITHOUT else "confirmed"]
    assert len(re.findall(r"^desk-\d\d  failed 1\.2\.0 check-call", said, re.MULTILINE)) == len(WITHOUT)
    Path(os.environ.get("CLASSROOM", os.devnull)).write_text(said)


def classroom(rig: Rig) -> list[Board]:
    """Boards that run the first lesson, those of WITHOUT without the sensor."""
    board = started(rig.board())
    rigs.configure(board, trial=TRIAL)
    seen = len(board.text)
    board.reset()
    board.wait_text("ota: up-to-date 1.1.0", 60, since=seen)
    board.power_off()
    made = rig.root / "made.bin"
    shutil.copy(rig.root / "board-0" / "flash.bin", made)
    boards = [rig.board(flash=made) for _ in range(BOARDS)]
    for n, one in enumerate(boards, 1):
        one.set_pin(SENSOR, int(n not in WITHOUT))
    starts = [threading.Thread(target=one.power_on) for one in boards]
    for start in starts:
        start.start()
    for start in starts:
        start.join()
    for one in boards:
        one.wait_text("lesson 1", 120)
    return boards
