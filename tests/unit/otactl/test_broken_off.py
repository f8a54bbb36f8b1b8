"""What is broken off, or has no room, leaves nothing that stands in the way of the next try."""

import contextlib
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import pytest
from otactl.board.provision import one, prompt
from otactl.board.provision.look import Watch, Wishes
from otactl.board.provision.which import Firmwares
from otactl.cli import display, workspace_verbs
from otactl.cli.main import main
from otactl.cli.serve_bridges import Asked
from otactl.errors import UsageError
from otactl.fleet import store
from otactl.workspace import project
from otactl.workspace.workspace import Workspace


@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=["full", "ctrl-c"])
def test_a_project_that_was_broken_off_can_be_made_again(
    capsys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: BaseException
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise fault

    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(project, "create", broken)
        assert main(["new", "lamp"]) != 0
    assert list(tmp_path.iterdir()) == []
    assert main(["new", "lamp"]) == 0
    assert Workspace.find(tmp_path / "lamp").product == "lamp"
    assert [path.name for path in tmp_path.iterdir()] == ["lamp"]


@pytest.fixture
def unwritable(place: Workspace, monkeypatch: pytest.MonkeyPatch):
    """A workspace whose fleet.db another process writes without end."""
    monkeypatch.setattr(store, "_WAIT_S", 0.01)
    path = place.root / store.FILE
    store.Store(path).close()
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield place


def rooms(place: Workspace, asked: Asked) -> list[object]:
    with contextlib.ExitStack() as opened:
        return workspace_verbs._rooms(place, display.Bars(), opened, "", lambda transfer: None, asked)[0]


def test_a_server_whose_memory_cannot_be_written_says_so_and_serves(capsys, unwritable: Workspace) -> None:
    assert rooms(unwritable, Asked(metrics=False, mqtt=None, install=False)) == []
    assert "boards are not remembered until this is started again without that: " in capsys.readouterr().out


def test_a_server_that_is_to_hold_releases_back_does_not_start_without_its_memory(unwritable: Workspace) -> None:
    with pytest.raises(UsageError, match="database is locked"):
        rooms(unwritable, Asked(metrics=False, mqtt="localhost", install=True))


@pytest.mark.parametrize("kept", [None, SimpleNamespace(folder="provision/desk")], ids=["no-files", "files"])
def test_a_board_that_was_flashed_and_not_finished_is_told_how_it_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kept: SimpleNamespace | None
) -> None:
    def ctrl_c(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(prompt, "wait", ctrl_c)
    found = SimpleNamespace(device="/dev/null", kept=kept, listing=None, plan=SimpleNamespace(steps=()))
    with pytest.raises(KeyboardInterrupt, match="run it again, which goes on from here") as stopped:
        one._provisioned(found, Wishes(Firmwares(None, tmp_path), tmp_path), Watch(), None, None, "")  # type: ignore[arg-type]
    assert ("a copy of its files is in provision/desk" in str(stopped.value)) == bool(kept)
