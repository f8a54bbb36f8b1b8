"""Updates under somebody's tests: released, judged from flash, and all put back; no password and no key in what is left."""

import base64
import json
from pathlib import Path

import pluginbench
import pytest
import rig as rigs
from otactl.board import settings
from otactl.board.deploy import deploy
from otactl.workspace import clients, device_key
from otactl.workspace.workspace import SETTINGS, Workspace
from pluginbench import run
from rig import Rig, image, repl, started
from vboard.board import Board

PAGE = "docs/testing-your-app.md"
SSID, PASSWORD = "desk-net", "geheim-word-1"
PASSPHRASE = "geheim-phrase-2"
ON_THEIR_BOARD = f"""
import binascii, os

def test_that_has_no_server(board):
    words = board.get("/etc/ota/config.json").decode().split('"')
    print("it joins with", words[words.index("password") + 2])
    key = board.get("/etc/ota/client.key")
    print("it has", key, key.hex(), binascii.b2a_base64(key).decode(), "and", board.get("/etc/ota/device.json").decode())
    print("signed with", os.environ["OTACTL_KEY_PASSPHRASE"])
    assert False

def test_update(board, ota_server, ota_release):
    ota_release("2.0", firmware="app.bin")
    assert board.agent.update().name == "confirmed"
    assert board.slots().running == "ota_1"
    assert [one.path for one in ota_server.transfers if one.path.endswith(".bin")] == ["2.0/esp32.bin"]

def test_that_fails(board, ota_server):
    config = board.get("/etc/ota/config.json").decode()
    assert "{SSID}" in config
    board.exec(f"print({{config!r}})\\nprint('joining with', {{config.partition('password')[2][4:17]!r}})")
    assert config.partition("password")[2] == board.eval("5")
"""


def test_the_page_holds_word_by_word(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    for name in ("blink.py", "test_blink.py", "test_wiring.py", "test_update.py"):
        (project / name).write_text(pluginbench.block(PAGE, name))
    ran = run(project, "", "--board=virtual")
    assert ran.outcomes == {
        "test_steps_end_at_the_level": "PASSED",
        "test_my_program_starts_after_a_reset": "PASSED",
        "test_what_goes_out_comes_in": "PASSED",
        "test_settings_survive_an_update": "PASSED",
        "test_a_server_that_is_down_leaves_the_release_that_runs": "PASSED",
    }, ran.said


def test_an_update_of_a_board_with_an_agent_of_its_own_is_undone_and_no_password_is_left(rig: Rig) -> None:
    project, logs = rig.root / "project", rig.root / "project" / "logs"
    project.mkdir()
    (project / "app.bin").write_bytes(new := image(7))
    rig.network.access_points[SSID] = PASSWORD
    board = started(rig.board(watchdog_factor=1.0))
    secrets = [PASSWORD, PASSPHRASE, *give_keys(rig, board)]
    seen = len(board.text)
    board.reset()
    board.wait_text("ota: up-to-date 1.0.0", 20, since=seen)
    board.power_off()
    otadata, record = rigs.otadata(board), rigs.recorded(rigs.nvs(board), "state")
    board.power_on()

    words = [f"--board={board.port}", "--board-host=127.0.0.1", f"--board-log={logs}", "--junitxml=tests.xml"]
    variables = {"BOARD_WIFI_SSID": SSID, "BOARD_WIFI_PASSWORD": PASSWORD, "OTACTL_KEY_PASSPHRASE": PASSPHRASE}
    ran = run(project, ON_THEIR_BOARD, *words, **variables)
    assert ran.outcomes == {
        "test_that_has_no_server": "FAILED",
        "test_update": "PASSED",
        "test_that_fails": "FAILED",
    }, ran.said
    assert "it joins with ***\n" in ran.said, ran.said
    said = " ".join(ran.said.split()).replace('b"***"', "b'***'")  # by what quotes are in the key
    assert "it has b'***' *** *** and ***" in said, ran.said
    assert "signed with ***\n" in ran.said, ran.said
    assert rigs.slot_bytes(board, "ota_1", len(new)) == new, "nothing was updated"

    seen = len(board.text)
    board.reset()
    board.wait_text("ota: up-to-date 1.0.0", 30, since=seen)  # by its own agent, from its own server
    board.power_off()
    assert rigs.otadata(board) == otadata
    assert rigs.recorded(rigs.nvs(board), "state")["releases"] == record["releases"]
    assert board.boots[-1].slot == "ota_0"

    written = [path for path in [*logs.rglob("*"), project / "tests.xml"] if path.is_file()]
    assert {path.name for path in written} == {
        "console.log", "before.json", "after.json", "otadata.txt", "command.txt", "tests.xml",
    }  # fmt: skip
    for text in [ran.said, *(path.read_text() for path in written)]:
        assert [secret for secret in secrets if secret in text] == []
    folder = next(logs.rglob("*test_that_fails"))
    assert "otadata entry" in (folder / "otadata.txt").read_text()
    assert json.loads((folder / "before.json").read_text())["slots"]["running"] == "ota_1"
    assert "test_app.py::test_that_fails --board=" in (folder / "command.txt").read_text()
    assert "joining with ***" in (folder / "console.log").read_text()


def give_keys(rig: Rig, board: Board) -> list[str]:
    """A certificate of its own and a device key, by a deployment; how these show when somebody prints them."""
    place = rig.workspace
    clients.make(place, "lamp-1")
    device_key.keep(place, None, "ecc256")
    path = place.root / SETTINGS
    path.write_text(path.read_text() + "\n[board.encryption]\nrequired = false\n")
    place = Workspace.find(place.root)
    with repl(board) as link:
        deploy(link, place, name="lamp-1")
    files = settings.files(place, "lamp-1")
    key, number = files["/etc/ota/client.key"], str(json.loads(files["/etc/ota/device.json"])["ecc256"])
    return [repr(key)[2:-1], key.hex(), base64.b64encode(key).decode(), number]


def test_what_is_not_on_the_page_is_no_block() -> None:
    with pytest.raises(AssertionError, match=r"has no block nothing\.py"):
        pluginbench.block(PAGE, "nothing.py")
