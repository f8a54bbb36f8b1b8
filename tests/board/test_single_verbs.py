"""What the verbs of otactl say and do on a board without two slots: each works, or says in one line what does not and what to
do instead."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import apps
import pytest
import rig as rigs
import singles
from otactl.cli.main import main
from rig import Rig
from singles import APP
from vboard.board import Board

ONE = {"app.py": APP % b"one"}

# verb -> its exit code and words, on an ESP32 with one app and on an ESP8266; in this order, on one board
IDLE: dict[str, dict[str, tuple[int, str]]] = {
    "slots": {"esp32": (0, "there is no otadata"), "esp8266": (1, "an ESP8266 has no partition table: `otactl status")},
    "push": dict.fromkeys(("esp32", "esp8266"), (1, "publish its application, and `otactl update")),
    "dev": {"esp8266": (1, "an ESP8266 has no memory for an application beside its own")},
    "confirm": dict.fromkeys(("esp32", "esp8266"), (1, "not-on-trial")),
    "rollback": dict.fromkeys(("esp32", "esp8266"), (1, "no-rollback")),
    "update": dict.fromkeys(("esp32", "esp8266"), (0, "1.1.0 is confirmed")),
}
ON_TRIAL = {  # each enters the prompt, which starts the release that is tried anew
    "status": (0, "a trial is running"),
    "rollback": (1, "unconfirmed"),
    "confirm": (0, "1.1.0 is confirmed"),
}


def words(verb: str, place: Path, port: str) -> list[str]:
    more = {"dev": [str(place)], "push": ["-w", str(place)], "update": ["-w", str(place)]}
    folder, rest = (more["dev"], []) if verb == "dev" else ([], more.get(verb, []))
    return [verb, *folder, port, *rest]


@contextmanager
def a_board(kind: str, tmp_path: Path) -> Iterator[tuple[Rig, Board]]:
    with singles.served(tmp_path / "place") as rig:
        made = singles.template(rig, tmp_path / kind, kind)
        with singles.board(rig, made, kind) as board:
            board.power_on()
            board.wait_text("app: own", 20)
            yield rig, board


Says = Callable[[Rig, Board, str, tuple[int, str]], None]


@pytest.fixture
def says(capsys: pytest.CaptureFixture[str]) -> Says:
    """says(rig, board, verb, (code, words)): it must end so."""

    def run(rig: Rig, board: Board, verb: str, wanted: tuple[int, str]) -> None:
        capsys.readouterr()
        assert main(words(verb, rig.workspace.root, str(board.port))) == wanted[0], verb
        out = capsys.readouterr()
        assert wanted[1] in " ".join((out.out + out.err).split()), verb
        assert out.err.count("\n") <= 1, verb

    return run


@pytest.mark.parametrize("kind", singles.KINDS)
@pytest.mark.parametrize("when", ["idle", "on trial"])
def test_verbs(kind: str, when: str, tmp_path: Path, says: Says) -> None:
    with a_board(kind, tmp_path) as (rig, board):
        if when == "idle":
            (rig.workspace.root / "app.py").write_bytes(APP % b"dev")
            apps.publish(rig, "1.1.0", ONE)
            for verb, kinds in IDLE.items():
                if kind in kinds:
                    says(rig, board, verb, kinds[kind])
            assert apps.trees(board) == {"a": ONE}
            return
        with rigs.repl(board) as link:
            link.run(LONG)
        apps.publish(rig, "1.1.0", ONE)
        seen = len(board.text)
        board.reset()
        board.wait_text("app: one", 40, since=seen)
        for verb, wanted in ON_TRIAL.items():
            says(rig, board, verb, wanted)
        assert rigs.status(board)["installed"]["version"] == "1.1.0"


LONG = """
import json
with open("/etc/ota/config.json") as f:
    found = json.load(f)
found["trial"]["settle_s"], found["trial"]["deadline_s"] = 200, 250
with open("/etc/ota/config.json", "w") as f:
    json.dump(found, f)
"""
