"""The fleet's story through a real gooseBit, as `make demo-engine` tells it; judged after its end by what lies on disk alone."""

import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from otactl.cli.main import main
from rig import boots, slot_bytes
from vboard.board import Board
from vboard.flash.otadata import State

NAMES = [f"desk-{number}" for number in range(1, 9)]


def rows(folder: Path, query: str) -> list[tuple[Any, ...]]:
    """What gooseBit has left in its database."""
    with closing(sqlite3.connect(folder / "goosebit" / "db.sqlite3")) as opened:
        return opened.execute(query).fetchall()


def running(folder: Path) -> list[str]:
    """Processes whose command names a file in there, or that work there."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(folder) in command or str((process / "cwd").resolve()).startswith(str(folder)):
                found.append(command)
        except OSError:
            continue
    return found


@pytest.mark.timeout(400)
def test_release_is_stopped_at_two_of_eight_and_its_successor_goes_through(
    python: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "demo"
    assert main(["demo", "--engine", str(python), "--folder", str(folder)]) == 0
    assert not running(folder)
    out = capsys.readouterr().out

    for name in NAMES:
        board = Board(folder / name)
        try:
            image = (folder / "firmware-1.1.1.bin").read_bytes()
            assert boots(board) == ("ota_1", State.VALID), name
            assert slot_bytes(board, "ota_1", len(image)) == image, name
        finally:
            board.close()
    said = {name: (folder / name / "console.log").read_text(errors="replace") for name in NAMES}
    assert [name for name in NAMES if "ota: rolled-back 1.1.0 trial-crash" in said[name]] == NAMES[:2]
    assert [name for name in NAMES if "ota: switch 1.1.0" in said[name]] == NAMES[:2]
    assert [name for name in NAMES if "ota: confirmed 1.1.1" in said[name]] == NAMES

    offered = rows(folder, "SELECT name, feed, paused FROM rollout ORDER BY id")
    assert offered == [
        ("1.0.0", "canary", 1),
        ("1.0.0", "class", 0),
        ("1.1.0", "canary", 1),
        ("1.1.1", "canary", 0),
        ("1.1.1", "class", 0),
    ]
    finished = 5
    known = rows(folder, "SELECT id, last_state, sw_version, progress, force_update FROM device ORDER BY id")
    assert known == [(name, finished, "1.1.1", 100, 0) for name in NAMES]

    assert "offered again, as their last release had failed: desk-1, desk-2" in out
    assert "not offered to class" in out
    tokens = [(folder / "workspace" / "engine" / f"{name}.token").read_text() for name in NAMES]
    assert len(set(tokens)) == len(NAMES)
    assert not [token for token in tokens if token in out or any(token in text for text in said.values())]


@pytest.mark.usefixtures("python")
@pytest.mark.parametrize(
    ("named", "words"),
    [("none", "a Python that has gooseBit is needed"), (sys.executable, "No module named 'tortoise'")],
    ids=["no Python", "one without gooseBit"],
)
def test_what_has_no_goosebit_is_told_of(
    named: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "demo"
    assert main(["demo", "--engine", named, "--folder", str(folder)]) == 3
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1
    assert not running(folder)
