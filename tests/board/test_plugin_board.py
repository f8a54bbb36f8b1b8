"""What `board` does in somebody's tests: one session on one board, whose tests assert for themselves."""

import re
from pathlib import Path

import pluginbench
import pytest
from pluginbench import Ran
from vboard.board import Board

CASES = Path(__file__).with_name("plugin_cases.py")
NAMES = re.findall(r"^def (test_\w+)", CASES.read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("cases")
    with Board(folder / "board") as board:
        pluginbench.with_program(board)
        words = [f"--board={board.port}", "--board-feature", "loopback:4-5"]
        return pluginbench.run(folder / "project", CASES.read_text(), *words, "-rs")


@pytest.mark.parametrize("name", NAMES)
def test_case(ran: Ran, name: str) -> None:
    wanted = "SKIPPED" if name.endswith("_is_skipped") else "PASSED"
    assert ran.outcomes.get(name) == wanted, ran.said


def test_a_skip_says_what_the_board_lacks_and_has(ran: Ran) -> None:
    assert "lacks power, camera; it has loopback:4-5 (--board-feature, boards.toml)" in ran.said
