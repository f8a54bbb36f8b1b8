"""The agent of boards without two slots: a stock ESP32 with one app, and an ESP8266. Judged by the files in flash and by what runs."""

import json
from collections.abc import Iterator
from pathlib import Path

import apps
import pytest
import rig as rigs
import singles
from otactl.board.link import Link
from rig import Rig
from singles import APP
from vboard.board import Board

ONE = {"app.py": APP % b"one", "lib/data.bin": bytes(range(256)) * 12, "lib/__init__.py": b""}
TWO = {"app.py": APP % b"two"}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Rig, dict[str, Path]]]:
    root = tmp_path_factory.mktemp("singles")
    with singles.served(root / "place") as rig:
        yield rig, {kind: singles.template(rig, root / kind, kind) for kind in singles.KINDS}


@pytest.fixture
def rig(bench: tuple[Rig, dict[str, Path]]) -> Rig:
    bench[0].workspace.channel_file.unlink(missing_ok=True)
    return bench[0]


@pytest.fixture(params=singles.KINDS)
def board(request: pytest.FixtureRequest, rig: Rig, bench: tuple[Rig, dict[str, Path]]) -> Iterator[Board]:
    made = singles.board(rig, bench[1][request.param], request.param)
    yield made
    made.close()


def boots(board: Board, until: str, timeout_s: float = 40) -> str:
    """Switch the board on, or press its button; what it printed until then."""
    seen = len(board.text)
    if board.boots:
        board.reset()
    else:
        board.power_on()
    board.wait_text(until, timeout_s, since=seen)
    return board.text[seen:]


def takes(rig: Rig, board: Board, version: str, files: dict[str, bytes]) -> None:
    apps.publish(rig, version, files)
    boots(board, f"ota: up-to-date {version}")


def test_releases_take_turns_in_two_directories(rig: Rig, board: Board) -> None:
    takes(rig, board, "1.1.0", ONE)
    board.wait_text("app: one", 10)
    assert apps.trees(board) == {"a": ONE}
    takes(rig, board, "1.2.0", TWO)
    board.wait_text("app: two", 10)
    assert apps.trees(board) == {"a": ONE, "b": TWO}
    apps.publish(rig, "1.3.0", {"app.py": b"import nothing_like_it\n"})
    said = boots(board, "app: two")
    assert "ota: failed 1.3.0 app-import" in said and "ota: rolled-back 1.3.0 app-import" in said
    assert apps.trees(board)["b"] == TWO
    said = boots(board, "app: two")
    assert "ota: error failed-before" in said  # P6
    assert not [op for op in board.flash.trace if op.actor == "app"]


FAILS = {  # the program of a release -> why its trial ends
    "app-crashed": b"1 / 0\n",
    "app-import": b"from ota import no_such_name\n",
    "deadline": b"import time\nfrom ota import agent\nagent.boot.current._settled_ms = None\nwhile True: time.sleep(1)\n",
    "trial-restarts": b"import machine\nmachine.reset()\n",
}


@pytest.mark.parametrize("reason", FAILS)
def test_what_fails_its_trial_gives_way_to_what_was_confirmed(rig: Rig, board: Board, reason: str) -> None:
    takes(rig, board, "1.1.0", ONE)
    apps.publish(rig, "1.2.0", {"app.py": FAILS[reason]})
    said = boots(board, f"ota: rolled-back 1.2.0 {reason}", 60)
    assert said.count("ota: trial 1.2.0") == (3 if reason == "trial-restarts" else 1)
    board.wait_text("app: one", 10, since=len(board.text) - 200)
    assert apps.trees(board)["a"] == ONE
    assert "ota: error failed-before 1.2.0" in boots(board, "app: one")
