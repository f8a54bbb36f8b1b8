"""A real gooseBit that is set up wrong, or has broken its database: what `otactl engine` says, and that its advice helps."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import rig as rigs
from otactl.cli.demo_goosebit import Goosebit
from otactl.cli.main import main
from otactl.workspace.workspace import Workspace
from rig import OLD

from engine.conftest import goosebit
from engine.fleet import Fleet

DOCS = Path(__file__).resolve().parents[2] / "docs" / "fleet-engines.md"


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, place: Workspace, python: Path) -> Iterator[Goosebit]:
    """One that asks boards for no token, as gooseBit does unless it is told to."""
    with goosebit(python, tmp_path_factory.mktemp("goosebit"), place, device_auth="{}") as made:
        yield made


@pytest.fixture
def theirs(alone: Goosebit, rig: rigs.Rig, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    return Fleet(rig, alone.port, monkeypatch)


def said(fleet: Fleet, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """How a command ends, and what it says."""
    capsys.readouterr()
    code = main([*words, "-w", str(fleet.place.root)])
    found = capsys.readouterr()
    return code, found.out + found.err


def test_board_is_let_in_without_a_token(theirs: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(theirs, capsys, "engine", "add", "kitchen")
    assert code == 0
    assert "lets in whoever says a board's name: start it with GOOSEBIT_DEVICE_AUTH" in text
    assert "kitchen: not in boards.toml" in text
    assert [board.name for board in theirs.engine.boards()] == ["kitchen"]  # and no board that was asked with


def test_release_that_the_engine_cannot_get(theirs: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    theirs.rig.publish("7.0.0", OLD)
    server = theirs.place.url
    path = theirs.place.root / "otactl.toml"
    path.write_text(path.read_text().replace(server, f"https://{rigs.HOST}:1"))
    code, text = said(theirs, capsys, "engine", "push", "7.0.0")
    assert (code, text.count("\n")) == (3, 1)
    assert f"gooseBit does not get https://{rigs.HOST}:1/demo-7.0.0.swu: does the server run" in text
    assert "--upload" in text
    assert said(theirs, capsys, "engine", "push", "7.0.0", "--upload")[0] == 0


def test_kind_of_board_that_is_there_twice(theirs: Fleet, alone: Goosebit, capsys: pytest.CaptureFixture[str]) -> None:
    """As boards make it that are the first of their kind in the same moment."""
    assert said(theirs, capsys, "engine", "add", "hall")[0] == 0
    theirs.rig.publish("8.0.0", OLD)
    with closing(sqlite3.connect(alone.database)) as opened, opened:
        opened.execute("DELETE FROM hardware WHERE model = 'esp32'")
        opened.executemany("INSERT INTO hardware (model, revision) VALUES (?, ?)", [("esp32", "demo")] * 2)
        opened.execute("UPDATE device SET hardware_id = (SELECT max(id) FROM hardware) WHERE id = 'hall'")
    code, text = said(theirs, capsys, "engine", "push", "8.0.0", "--upload")
    assert (code, text.count("\n")) == (3, 1)
    assert "this kind of board twice, perhaps; docs/fleet-engines.md tells how to mend that" in text

    mend = re.search(r"```sql\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert mend
    with closing(sqlite3.connect(alone.database)) as opened, opened:
        opened.executescript(mend[1])
        kinds = opened.execute("SELECT count(*) FROM hardware WHERE model = 'esp32'").fetchall()
        named = opened.execute(
            "SELECT model FROM hardware JOIN device ON hardware_id = hardware.id WHERE device.id = 'hall'"
        )
        assert (kinds, named.fetchall()) == ([(1,)], [("esp32",)])
    assert said(theirs, capsys, "engine", "push", "8.0.0", "--upload")[0] == 0


def test_rollout_that_is_not_there_is_not_paused(theirs: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(theirs, capsys, "engine", "rollout", "99", "--pause")
    assert (code, text.count("\n")) == (2, 1)
    assert text.startswith("otactl: no rollout 99: `otactl engine rollout -w ")
