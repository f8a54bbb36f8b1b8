"""The plugin beside labgrid and pytest-embedded, each with its own fixtures and options; `make test` installs them apart."""

from collections.abc import Iterator
from pathlib import Path

import pluginbench
import pytest
from pluginbench import run, with_program
from vboard.board import Board

BESIDE = pluginbench.ROOT / ".venv" / "beside"
ONE_TEST = "def test_it(board): assert board.eval('6 * 7') == 42\n"


def beside(name: str) -> str:
    """The folder with that plugin."""
    if not (BESIDE / name).is_dir():
        pytest.skip(f"{name} is not in {BESIDE}: `make .venv/beside/ready` puts it there")
    return str(BESIDE / name)


@pytest.fixture
def vboard(tmp_path: Path) -> Iterator[Board]:
    with Board(tmp_path / "board", network_port=0) as made:
        yield with_program(made)


def test_labgrid_places_give_the_board_and_its_power(tmp_path: Path, vboard: Board) -> None:
    """As docs/testing-your-app.md has it: the conftest is read from there."""
    project, relay = tmp_path / "project", tmp_path / "relay"
    project.mkdir()
    relay.write_text(f"#!/bin/sh\necho $1 >> {tmp_path}/switched\n")
    relay.chmod(0o755)
    (project / "conftest.py").write_text(pluginbench.block("docs/testing-your-app.md", "conftest.py"))
    (project / "env.yaml").write_text(
        pluginbench.block("docs/testing-your-app.md", "env.yaml")
        .replace("/dev/ttyUSB0", str(vboard.port))
        .replace("relay", str(relay))
    )
    tests = ONE_TEST + "def test_power(board):\n    board.reset('power')\n    assert board.eval('1') == 1\n"
    ran = run(project, tests, "--lg-env=env.yaml", beside=beside("labgrid"))
    assert "labgrid" in ran.said.partition("plugins: ")[2].splitlines()[0]
    assert (ran.code, ran.count) == (0, {"PASSED": 2}), ran.said
    assert (tmp_path / "switched").read_text() == "off\non\n"


def test_pytest_embedded_keeps_its_options_and_we_ours(tmp_path: Path, vboard: Board) -> None:
    words = [f"--board={vboard.port}", "--port=/dev/null", "--target=esp32"]
    ran = run(tmp_path / "project", ONE_TEST, *words, beside=beside("embedded"))
    assert "embedded-" in ran.said.partition("plugins: ")[2].splitlines()[0]
    assert ran.code == 0, ran.said


NO_BOARD = """
import sys

def test_it(request):
    ours = [name for name in sys.modules if name.startswith("otactl_pytest")]
    assert sorted(ours) == ["otactl_pytest", "otactl_pytest.outcome", "otactl_pytest.plugin", "otactl_pytest.settings"]
    costly = {"otactl", "vboard", "serial", "esptool", "mpremote", "aiohttp", "cryptography", "rich", "tomlkit", "filelock"}
    assert not costly & set(sys.modules)
    assert not [name for name in request.fixturenames if "board" in name]
"""


def test_a_project_without_boards_pays_nothing(tmp_path: Path) -> None:
    ran = run(tmp_path / "project", NO_BOARD, "-W", "error", "--strict-markers", "--board-backup", "test_app.py")
    assert "micropython-ota-agent" in ran.said.partition("plugins: ")[2].splitlines()[0]
    assert (ran.code, ran.outcomes) == (0, {"test_it": "PASSED"}), ran.said


def test_a_path_in_a_word_of_its_own_is_refused(tmp_path: Path) -> None:
    ran = run(tmp_path / "project", ONE_TEST, "--board", "/dev/null")
    assert ran.code == pytest.ExitCode.USAGE_ERROR
    assert "write --board=/dev/null in one word" in ran.said
