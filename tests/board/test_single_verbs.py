"""What the verbs of otactl say and do on a board without two slots: each works, or says in one line what does not and what to
do instead."""

from pathlib import Path

import apps
import pytest
import rig as rigs
import singles
from otactl.cli.main import main
from singles import APP

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
    "confirm": (0, "1.2.0 is confirmed"),
}


def words(verb: str, place: Path, port: str) -> list[str]:
    more = {"dev": [str(place)], "push": ["-w", str(place)], "update": ["-w", str(place)]}
    folder, rest = (more["dev"], []) if verb == "dev" else ([], more.get(verb, []))
    return [verb, *folder, port, *rest]


@pytest.mark.parametrize("kind", singles.KINDS)
def test_verbs(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with singles.served(tmp_path / "place") as rig:
        made = singles.template(rig, tmp_path / kind, kind)
        place = rig.workspace.root
        (place / "app.py").write_bytes(APP % b"dev")
        with singles.board(rig, made, kind) as board:
            board.power_on()
            board.wait_text("app: own", 20)
            apps.publish(rig, "1.1.0", {"app.py": APP % b"one"})

            def says(verb: str, code: int, said: str) -> None:
                capsys.readouterr()
                assert main(words(verb, place, str(board.port))) == code, verb
                out = capsys.readouterr()
                assert said in " ".join((out.out + out.err).split()), verb
                assert code == 0 or verb == "rollback" or out.err.count("\n") == 1, verb

            for verb, kinds in IDLE.items():
                if kind in kinds:
                    says(verb, *kinds[kind])
            with rigs.repl(board) as link:
                link.run(LONG)
            apps.publish(rig, "1.2.0", {"app.py": APP % b"two"})
            seen = len(board.text)
            board.reset()
            board.wait_text("app: two", 40, since=seen)
            for verb, (code, said) in ON_TRIAL.items():
                says(verb, code, said)
            assert apps.trees(board) == {"a": {"app.py": APP % b"one"}, "b": {"app.py": APP % b"two"}}


LONG = """
import json
with open("/etc/ota/config.json") as f:
    found = json.load(f)
found["trial"]["settle_s"], found["trial"]["deadline_s"] = 200, 250
with open("/etc/ota/config.json", "w") as f:
    json.dump(found, f)
"""
