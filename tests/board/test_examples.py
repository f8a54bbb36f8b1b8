"""The examples that docs/api.md shows, run through an update; and the package that `mpremote mip` installs."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import rig as rigs
from otactl.board import agent
from otactl.board import deploy as deploying
from rig import NEW, Rig, boots, started
from vboard.board import Board
from vboard.flash.otadata import State

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
OWN_CHECKS = [
    {"check": "wifi", "timeout_s": 6},
    {"check": "server", "timeout_s": 6},
    {"check": "call", "function": "__main__:sensor_works", "timeout_s": 5},
    {"check": "healthy", "timeout_s": 10},
]


def mpremote(board: Board, *words: str) -> str:
    """Stock mpremote on the board's port; its output, and an error if it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "mpremote", "connect", str(board.port), *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_updates_its_board(rig: Rig, example: Path) -> None:
    board = started(rig.board())
    with rigs.repl(board) as link:
        link.put("/main.py", example.read_bytes())
    checks = OWN_CHECKS if example.stem == "own_trial" else rigs.TRIAL["checks"]
    rigs.configure(board, trial={**rigs.TRIAL, "checks": checks})
    rig.publish("1.1.0", NEW)
    seen = len(board.text)
    board.reset()
    board.wait_text("ota: confirmed 1.1.0", 40, since=seen)
    board.wait_text("ota: up-to-date 1.1.0", 20, since=seen)
    assert boots(board) == ("ota_1", State.VALID)


def test_examples_stand_in_the_docs_as_they_are() -> None:
    text = (ROOT / "docs" / "api.md").read_text()
    assert [e.stem for e in EXAMPLES if e.read_text().strip() not in text] == []


def test_mip_installs_the_whole_agent(rig: Rig, tmp_path: Path) -> None:
    board = rig.board(deployed=False)
    board.power_on()
    board.wait_repl()
    shutil.copy(ROOT / "package.json", tmp_path)
    shutil.copytree(ROOT / "device", tmp_path / "device")
    mpremote(board, "mip", "install", str(tmp_path / "package.json"))
    with rigs.repl(board) as link:
        have = link.value("_walk('/lib/ota')", deploying._ASK)
    assert sorted(have) == sorted(agent.sources())
    assert "esp32" in rigs.ask(board, "from ota import agent\nprint(agent.status()['chip'])")
