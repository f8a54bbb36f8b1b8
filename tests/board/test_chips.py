"""An update, a failed trial and a rollback on each chip, with the firmware versions that have other timers (P14)."""

from collections.abc import Callable
from pathlib import Path

import pytest
import rig as rigs
from rig import Rig, boots, image, slot_bytes, started
from vboard.flash.otadata import State

# chip, MicroPython version -> what is special about its timers (docs/virtual-board.md)
BOARDS = {
    ("esp32", "1.23.0"): "-1 is a name of timer 3",
    ("esp32", "1.27.0"): "-1 is refused",
    ("esp32s2", "1.24.1"): "",
    ("esp32s3", "1.26.1"): "",
    ("esp32c3", "1.23.0"): "-1, 1 and 3 panic",
    ("esp32c3", "1.27.0"): "2 and 3 are refused",
    ("esp32c6", "1.24.1"): "-1, 1 and 3 never fire",
    ("esp32c6", "1.29.0"): "-1 is virtual",
}
PROGRAM = b"""
from esp32 import Partition
from ota import agent
print('app: runs')
with open('/bad') as f:
    if Partition(Partition.RUNNING).info()[4] != f.read():
        agent.healthy()
"""


@pytest.mark.parametrize(("chip", "version"), BOARDS, ids=lambda v: v)
def test_update_failed_trial_and_rollback(rig: Rig, templates: Callable[..., Path], chip: str, version: str) -> None:
    first, second, third = (image(n, chip) for n in (1, 2, 3))
    (rig.root / "first.bin").write_bytes(first)
    rig.publish("1.0.1", first)
    board = rig.board(flash=templates(chip=chip, micropython=version), chip=chip, micropython=version)
    started(board).wait_text("app: runs")
    with rigs.repl(board) as link:
        link.put("/app.py", PROGRAM)
        link.put("/bad", b"none")
    rigs.configure(board, trial={**rigs.TRIAL, "deadline_s": 12, "checks": [{"check": "healthy", "timeout_s": 3}]})

    rig.publish("1.1.0", second)
    seen = len(board.text)
    board.reset()
    board.wait_text("ota: up-to-date 1.1.0", 40, since=seen)
    assert boots(board) == ("ota_1", State.VALID)
    assert slot_bytes(board, "ota_1", len(second)) == second
    assert board.text.count("Guru Meditation") == 0

    with rigs.repl(board) as link:
        link.put("/bad", b"ota_0")
    rig.publish("1.2.0", third)
    seen = len(board.text)
    board.reset()
    board.wait_text("ota: rolled-back 1.2.0 deadline", 40, since=seen)  # a timer fired, and saw that time was over
    assert boots(board) == ("ota_1", State.VALID)

    with rigs.repl(board) as link:
        link.put("/bad", b"none")
    fourth = image(4, chip)
    rig.publish("1.3.0", fourth)
    seen = len(board.text)
    board.reset()
    board.wait_text("ota: up-to-date 1.3.0", 40, since=seen)
    with rigs.repl(board) as link:
        link.start("from ota import agent\nagent.rollback()")
        board.wait_text("ota: confirmed 1.1.0", 40, since=seen)
    assert boots(board) == ("ota_1", State.VALID)
    assert slot_bytes(board, "ota_1", len(second)) == second
