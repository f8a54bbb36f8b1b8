"""Each diagnostic of a trial, failing and passing; and the other ways in which the agent looks for an update."""

from typing import Any

import pytest
import rig as rigs
from rig import NEW, Rig, boots, started
from vboard.flash.otadata import State

FAILING: dict[str, tuple[dict[str, Any], str]] = {
    "gpio": ({"check": "gpio", "pin": 4, "level": 1, "hold_s": 0.2, "timeout_s": 1}, "check-gpio"),
    "heap": ({"check": "heap", "free": 1 << 24}, "check-heap"),
    "filesystem": ({"check": "filesystem", "free": 1 << 24}, "check-filesystem"),
    "import": ({"check": "import", "module": "not_there"}, "check-import"),
    "call": ({"check": "call", "function": "checks:never", "timeout_s": 1}, "check-call"),
    "call that raises": (
        {"check": "call", "function": "checks:broken", "timeout_s": 1},
        "check-call",
    ),
}
PASSING = [
    {"check": "gpio", "pin": 5, "level": 1, "hold_s": 0.2, "timeout_s": 5},
    {"check": "heap", "free": 20000},
    {"check": "filesystem", "free": 4096},
    {"check": "import", "module": "checks"},
    {"check": "call", "function": "checks:later", "timeout_s": 5},
]
MODULE = b"""
n = 0
def never():
    return False
def broken():
    raise ValueError('sensor')
def later():
    global n
    n += 1
    return n > 3
"""


@pytest.mark.parametrize(("check", "reason"), FAILING.values(), ids=FAILING)
def test_failing_check_rolls_back_and_says_which(rig: Rig, check: dict[str, Any], reason: str) -> None:
    board = started(rig.board())
    with rigs.repl(board) as link:
        link.put("/checks.py", MODULE)
    rigs.configure(board, trial={**rigs.TRIAL, "checks": [check]})
    rig.publish("1.1.0", NEW)
    board.reset()
    board.wait_text(f"ota: rolled-back 1.1.0 {reason}", 40)
    assert boots(board) == ("ota_0", State.VALID)


def test_all_checks_pass_and_confirm(rig: Rig) -> None:
    board = started(rig.board())
    board.set_pin(5, 1)
    with rigs.repl(board) as link:
        link.put("/checks.py", MODULE)
    rigs.configure(board, trial={**rigs.TRIAL, "checks": PASSING})
    rig.publish("1.1.0", NEW)
    board.reset()
    board.wait_text("ota: up-to-date 1.1.0", 40)
    assert boots(board) == ("ota_1", State.VALID)


def test_board_without_an_application_polls_by_itself(rig: Rig) -> None:
    board = started(rig.board())
    rigs.configure(board, interval_s=1, jitter_s=0)
    rigs.ask(board, "import os\nos.remove('/app.py')")
    seen = len(board.text)
    board.reset()
    board.wait_text("ota: error no-app app.py", 20, since=seen)
    rig.publish("1.1.0", NEW)
    board.wait_text("ota: confirmed 1.1.0", 40, since=seen)


def test_check_offers_without_installing(rig: Rig) -> None:
    board = started(rig.board())
    look = "from ota import agent\nr = agent.check()\nprint(r and r['version'])"
    assert rigs.ask(board, look).strip() == "None"
    rig.publish("1.1.0", NEW)
    assert rigs.ask(board, look).strip() == "1.1.0"
    assert not rigs.touched(board, "ota_1")
