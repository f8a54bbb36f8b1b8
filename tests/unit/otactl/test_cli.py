"""The command as a person meets it: exit codes, one line an error, no traceback."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import scripted
from otactl import __version__
from otactl.board.codes import CODES
from otactl.cli import main as cli
from otactl.release import publish
from otactl.workspace.workspace import Workspace
from running import HOST, process

VERBS = [
    "init",
    "publish",
    "serve",
    "deploy",
    "update",
    "confirm",
    "rollback",
    "status",
    "doctor",
    "logs",
    "slots",
    "boards",
    "virtual-board",
    "demo",
]
STATUS = {
    "chip": "esp32",
    "build": None,
    "micropython": "1.26.1",
    "running": "ota_0",
    "boot": "ota_0",
    "next": "ota_1",
    "trial": False,
    "slots": [
        {"name": "ota_0", "size": 0x1B0000, "state": "valid", "image": {"release": "1.0.0"}},
        {"name": "ota_1", "size": 0x1B0000, "state": "aborted", "image": None},
    ],
    "installed": {"version": "1.0.0", "sequence": 1, "security_version": 0},
    "job": {
        "phase": "failed",
        "version": "1.1.0",
        "sequence": 2,
        "offset": 0,
        "size": 4096,
        "reason": "check-wifi",
        "detail": "timeout",
    },
    "failed": [{"sequence": 2, "reason": "check-wifi"}],
}


def otactl(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    code = cli.main([str(word) for word in words])
    said = capsys.readouterr()
    return code, said.out, said.err


BEFORE = b'{"ok": {"deadline_s": 60, "id": "01", "failed": [], "boot.py": true, "main.py": true}}\r\n\x04\x04>'


def deployed(answer: bytes):
    def reply(program: bytes) -> bytes:
        if b"_try(_before)" in program:
            return BEFORE
        if b"_try(agent.status)" in program:
            return json.dumps({"ok": STATUS}).encode() + b"\r\n\x04\x04>"
        return answer

    return scripted.on_terminal(scripted.well(reply))


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(capsys, verb: str) -> None:
    code, out, _ = otactl(capsys, verb, "--help")
    assert code == 0
    assert f"example: otactl {verb}" in " ".join(out.split())


def test_help_lists_the_verbs_and_the_exit_codes(capsys) -> None:
    code, out, _ = otactl(capsys, "--help")
    assert code == 0
    assert all(verb in out for verb in VERBS)
    assert "0 done, 1 the update or the board" in " ".join(out.split())


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["upate"],
        ["publish"],
        ["publish", "x.bin"],
        ["publish", "x.bin", "--version", "1", "--security-version", "x"],
        ["init", "--port", "70000"],
        ["init", "--port", "-1"],
        ["serve", "--port", "x"],
        ["virtual-board", "--chip", "z80"],
    ],
)
def test_wrong_words_are_2(capsys, words: list[str]) -> None:
    assert otactl(capsys, *words)[0] == 2


def test_a_workspace_is_made_published_in_and_renewed(capsys, tmp_path: Path, firmware_file) -> None:
    root = tmp_path / "w"
    code, out, _ = otactl(capsys, "init", "-w", root, "--product", "lamp", "lamp.local")
    assert code == 0
    assert "https://lamp.local:8443/stable.json" in out
    code, out, _ = otactl(capsys, "publish", "-w", root, firmware_file(), "--version", "1.0.0")
    assert (code, out.splitlines()[0]) == (0, "✓ published 1.0.0 (sequence 1) for esp32: 20000 bytes")
    code, out, _ = otactl(capsys, "publish", "-w", root, firmware_file(), "--version", "1.1.0", "--json")
    assert (code, json.loads(out)["sequence"]) == (0, 2)
    before = (root / "tls" / "server.pem").read_bytes()
    code, out, _ = otactl(capsys, "init", "-w", root, "--renew", "other.local")
    assert (code, "a server that runs a new start" in out) == (0, True)
    assert (root / "tls" / "server.pem").read_bytes() != before
    from otactl.workspace import tls

    assert {"lamp.local", "other.local"} <= set(tls.server_names(root / "tls"))


def test_the_wifi_password_may_come_from_the_environment(
    capsys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTACTL_WIFI_PASSWORD", "a secret")
    assert otactl(capsys, "init", "-w", tmp_path / "w", "--ssid", "Home")[0] == 0
    found = Workspace.find(tmp_path / "w").board_config()["wifi"]
    assert found == {"ssid": "Home", "password": "a secret"}


def test_an_open_network_has_no_password(capsys, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv("OTACTL_WIFI_PASSWORD", raising=False)
    otactl(capsys, "init", "-w", tmp_path / "w", "--ssid", "Cafe")
    assert Workspace.find(tmp_path / "w").board_config()["wifi"] == {"ssid": "Cafe"}


@pytest.mark.parametrize("password", ["", "x" * 8, "ü" * 4, "x" * 63, "0aB" * 21 + "c"])
def test_a_network_may_be_open_or_have_what_wpa_allows(capsys, tmp_path: Path, monkeypatch, password: str) -> None:
    monkeypatch.setenv("OTACTL_WIFI_PASSWORD", "not asked for")
    code, _, err = otactl(capsys, "init", "-w", tmp_path / "w", "--ssid", "Home", "--password", password)
    assert code == 0, err
    assert Workspace.find(tmp_path / "w").board_config()["wifi"].get("password", "") == password


def test_errors_are_one_line_that_names_the_thing(capsys, place: Workspace, tmp_path, firmware_file) -> None:
    root, image = place.root, firmware_file()
    text = tmp_path / "notes.txt"
    text.write_text("no firmware")
    closed = socket.create_server(("127.0.0.1", 0))
    busy = closed.getsockname()[1]
    for code, why, words in (
        (2, "otactl init", ["publish", "-w", tmp_path, text, "--version", "1"]),
        (2, "is a workspace already", ["init", "-w", root]),
        (2, "neither a host name", ["init", "-w", tmp_path / "n", "a b"]),
        (2, "neither a host name", ["init", "-w", tmp_path / "n", "lamp.local:8443"]),
        (2, "boards use IPv4", ["init", "-w", tmp_path / "n", "::1", "lamp.local"]),
        (2, "without --ssid", ["init", "-w", tmp_path / "n", "--password", "secret"]),
        (2, "8 to 63 bytes", ["init", "-w", tmp_path / "n", "--ssid", "Home", "--password", "x" * 7]),
        (2, "8 to 63 bytes", ["init", "-w", tmp_path / "n", "--ssid", "Home", "--password", "x" * 64]),
        (2, "32 bytes", ["init", "-w", tmp_path / "n", "--ssid", "x" * 33]),
        (2, "-1: a number from 0 to", ["publish", "-w", root, image, "--version", "1", "--security-version", "-1"]),
        (1, "notes.txt: not ESP32 firmware", ["publish", "-w", root, text, "--version", "1"]),
        (2, "absent.bin: No such file", ["publish", "-w", root, tmp_path / "absent.bin", "--version", "1"]),
        (3, f"port {busy}", ["serve", "-w", root, "--host", "127.0.0.1", "--port", busy]),
        (3, "no such port", ["status", "/dev/ttyNothing"]),
        (3, "no such port", ["deploy", "-w", root, "/dev/ttyNothing"]),
        (3, "no board found", ["update", "id:none-has-this"]),
        (3, "Not a directory", ["init", "-w", text / "below"]),
    ):
        found, out, err = otactl(capsys, *words)
        assert (found, out) == (code, ""), (words, err)
        assert err.startswith("otactl: ")
        assert why in err
        assert err.count("\n") == 1, err
    closed.close()


def test_status_is_for_people_or_for_scripts(capsys) -> None:
    with deployed(b"") as device:
        code, out, _ = otactl(capsys, "status", device, "--json")
        assert (code, json.loads(out)) == (0, STATUS)
        code, out, _ = otactl(capsys, "status", device)
    assert code == 0
    assert out.splitlines()[2:6] == [
        "  slot   size      state    holds     is",
        "  ota_0  0x1b0000  valid    1.0.0     running, boot",
        "  ota_1  0x1b0000  aborted  no image  next",
        "last job: failed 1.1.0",
    ]
    assert CODES["check-wifi"][0] in out


@pytest.mark.parametrize(
    ("console", "code", "said"),
    [
        (b"ota: confirmed 1.1.0\r\n", 0, "1.1.0 is confirmed"),
        (b"ota: refused up-to-date 1.1.0\r\n\x04\x04>", 0, "nothing to do"),
        (b"ota: refused wrong-chip esp32s3\r\n\x04\x04>", 1, "wrong-chip (esp32s3): The image is"),
        (b"ota: rolled-back 1.1.0 deadline\r\n", 1, "1.1.0 was rolled back, deadline: The trial"),
    ],
)
def test_an_update_ends_with_the_code_of_its_outcome(capsys, console, code: int, said) -> None:
    with deployed(console) as device:
        found, out, _ = otactl(capsys, "update", device)
        assert (found, out.splitlines()[1:]) == (code, [f"  next: otactl status {device}"])
        assert said in out
        found, out, _ = otactl(capsys, "update", device, "--json")
    assert found == code
    assert set(json.loads(out)) == {"outcome", "version", "reason", "detail"}


def test_events_are_told_on_the_way(capsys) -> None:
    console = b"ota: download 1/2\r\nota: trial 1.1.0 in ota_1\r\nota: confirmed 1.1.0\r\n"
    with deployed(console) as device:
        _, out, _ = otactl(capsys, "update", device)
    assert out.splitlines()[:2] == ["  trial 1.1.0 in ota_1", "✓ 1.1.0 is confirmed"]


def test_what_comes_from_outside_controls_no_terminal(capsys) -> None:
    with deployed(b"ota: check \x1b[2Jwifi ok\r\nota: confirmed 1.1.0\r\n") as device:
        _, out, _ = otactl(capsys, "update", device)
    assert out.splitlines()[:2] == ["✓ check ?[2Jwifi ok", "✓ 1.1.0 is confirmed"]


def test_serving_ends_with_ctrl_c_and_without_a_word_on_stderr(place: Workspace, firmware_file) -> None:
    publish.publish(place, [firmware_file()], "1.0.0")
    with process("serve", "-w", place.root, "--host", "127.0.0.1", "--port", 0) as server:
        assert server.stdout is not None
        first = server.stdout.readline()
        assert "serving" in first
        assert "https://127.0.0.1:" in first
        second = server.stdout.readline()
        assert "boards look at https://127.0.0.1:8443/stable.json" in second
        page = [server.stdout.readline() for _ in range(2)]
        assert all("https://127.0.0.1:" in line for line in page)
        server.send_signal(signal.SIGINT)
        out, err = server.communicate(timeout=30)
    assert (server.returncode, out, err) == (0, "", "")


def test_serve_warns_when_boards_look_in_a_folder_that_it_does_not_have(place: Workspace) -> None:
    settings = place.root / "otactl.toml"
    settings.write_text(settings.read_text().replace("127.0.0.1:8443", "127.0.0.1:8443/updates"))
    with process("serve", "-w", place.root, "--host", "127.0.0.1", "--port", 0) as server:
        assert server.stdout is not None
        server.stdout.readline()
        said = server.stdout.readline()
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=30)
    assert "warning" in said
    assert "https://127.0.0.1:8443/updates/stable.json: this server has no /updates" in said


def test_serve_warns_when_boards_will_refuse_its_certificate(place: Workspace) -> None:
    settings = place.root / "otactl.toml"
    settings.write_text(settings.read_text().replace("127.0.0.1", "elsewhere.local"))
    with process("serve", "-w", place.root, "--host", "127.0.0.1", "--port", 0) as server:
        assert server.stdout is not None
        assert "not for elsewhere.local" in server.stdout.readline()
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=30)


def test_other_verbs_run_where_no_virtual_board_can() -> None:
    program = (
        "import sys\nsys.modules['vboard.board'] = sys.modules['pty'] = None\nfrom otactl.cli.main import main\n"
        "assert main(['status', '--help']) == 0\n"
        "sys.exit(main(['virtual-board']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(HOST)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "no virtual board on this system" in done.stderr


def test_a_virtual_board_prints_its_port_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    port = tmp_path / "port"
    with process("virtual-board", "--port", port) as board:
        assert board.stdout is not None
        assert board.stdout.readline().strip() == str(port)
        board.send_signal(signal.SIGINT)
        _, err = board.communicate(timeout=30)
    assert (board.returncode, err) == (0, "")


def test_a_virtual_board_comes_up_in_its_loader_and_on_the_network(tmp_path: Path) -> None:
    with process("virtual-board", "--folder", tmp_path, "--download", "--rfc2217", 0) as board:
        assert board.stdout is not None
        assert board.stdout.readline().strip() == str(tmp_path / "port")
        assert re.fullmatch(r"rfc2217://127.0.0.1:\d+\?ign_set_control\n", board.stdout.readline())
        board.send_signal(signal.SIGINT)
        _, err = board.communicate(timeout=30)
    assert (board.returncode, err) == (0, "")
    assert "waiting for download" in (tmp_path / "console.log").read_text()


def test_a_network_port_that_is_taken_is_wrong_usage(capsys, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        code, _, err = otactl(capsys, "virtual-board", "--folder", tmp_path, "--rfc2217", number)
    assert code == 2
    assert "in use" in err


def test_a_virtual_board_leaves_signals_as_they_were(capsys, tmp_path: Path) -> None:
    """Whoever calls it in a program of their own keeps their Ctrl-C."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert otactl(capsys, "virtual-board", "--folder", tmp_path / "b", "--layout", tmp_path / "none.csv")[0] == 2
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_the_version_is_one(capsys) -> None:
    assert otactl(capsys, "--version") == (0, f"otactl {__version__}\n", "")
    assert metadata.version("micropython-ota-agent") == __version__
    assert json.loads((HOST.parent / "package.json").read_text())["version"] == __version__
