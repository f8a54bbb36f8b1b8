"""What `board` does in somebody's tests: one session on one board, whose tests (plugin_cases.py) assert for themselves."""

import re
from pathlib import Path

import pluginbench
from vboard.board import Board

CASES = Path(__file__).with_name("plugin_cases.py")


def test_what_a_board_does_for_a_test(tmp_path: Path) -> None:
    with Board(tmp_path / "board") as board:
        pluginbench.with_program(board)
        words = [f"--board={board.port}", "--board-feature=loopback:4-5", "-rs"]
        ran = pluginbench.run(tmp_path / "project", CASES.read_text(), *words)
    names = re.findall(r"^def (test_\w+)", CASES.read_text(), re.MULTILINE)
    wanted = {name: "SKIPPED" if name.endswith("_is_skipped") else "PASSED" for name in names}
    assert ran.outcomes == wanted, ran.said
    assert "lacks power, camera; it has loopback:4-5 (--board-feature, boards.toml)" in ran.said
