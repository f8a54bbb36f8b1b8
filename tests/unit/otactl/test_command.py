"""The command as a process: what it loads, what signals do to it, full disks, completion."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import scripted
from otactl.workspace.workspace import Workspace
from running import environment, otactl, process

HEAVY = ["aiohttp", "cryptography", "esptool", "mpremote", "serial", "vboard.board"]


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["--version"],
        ["deploy", "--help"],
        ["slots", "--help"],
        ["boards", "--help"],
        ["virtual-board", "--help"],
    ],
)
def test_help_loads_nothing_that_only_verbs_need(words: list[str]) -> None:
    program = (
        "import sys\nfrom otactl.__main__ import main\nassert main() == 0\n"
        f"print('loaded:', *[name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *words], env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1].split() == ["loaded:"]


@pytest.mark.parametrize("slow", ["rich_click", "mpremote"])  # before there is a command, and within a verb
def test_ctrl_c_while_a_module_is_loaded_is_one_line(tmp_path: Path, slow: str) -> None:
    (tmp_path / f"{slow}.py").write_text("import time\nprint('loading', flush=True)\ntime.sleep(30)\n")
    with process("status", "/dev/ttyNothing", env=environment(tmp_path)) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "loading\n"
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=30)
    assert (running.returncode, out, err) == (130, "", "otactl: stopped\n")


BEFORE = b'{"ok": {"deadline_s": 60, "id": "01", "failed": [], "boot.py": true, "main.py": true}}\r\n\x04\x04>'


def board_on_trial():
    def reply(program: bytes) -> bytes:
        return BEFORE if b"_try(_before)" in program else b"ota: trial 1.1.0 in ota_1\r\n"

    return scripted.on_terminal(scripted.well(reply))


@pytest.mark.parametrize(
    ("number", "code", "said"), [(signal.SIGINT, 130, "stopped watching: "), (signal.SIGTERM, 143, "stopped\n")]
)
def test_a_signal_ends_a_verb_as_an_exception_does(number: signal.Signals, code: int, said: str) -> None:
    with board_on_trial() as device, process("update", device) as update:
        assert update.stdout is not None
        assert "trial 1.1.0" in update.stdout.readline()
        update.send_signal(number)
        _, err = update.communicate(timeout=30)
    assert update.returncode == code
    assert err.startswith(f"otactl: {said}") and err.count("\n") == 1


def test_sigterm_gives_the_board_its_program_back() -> None:
    asked, heard = threading.Event(), bytearray()

    def reply(_: bytes) -> bytes:
        asked.set()
        return b""  # the answer never comes

    answers = scripted.well(reply)

    def script(data: bytes, send: scripted.Send) -> None:
        if asked.is_set():
            heard.extend(data)
        answers(data, send)

    with scripted.on_terminal(script) as device, process("status", device) as status:
        assert asked.wait(30)
        status.send_signal(signal.SIGTERM)
        _, err = status.communicate(timeout=30)
        assert (status.returncode, err) == (143, "otactl: stopped\n")
    assert heard.endswith(b"\r\x03\r\x02\x04")  # out of the raw REPL, and a soft reset, which runs main.py


def test_a_second_sigterm_kills(tmp_path: Path) -> None:
    (tmp_path / "mpremote.py").write_text(
        "import time\ntry:\n    print('loading', flush=True)\n    time.sleep(30)\n"
        "except SystemExit:\n    print('ending', flush=True)\ntime.sleep(30)\n"
    )
    with process("status", env=environment(tmp_path)) as running:
        assert running.stdout is not None
        for said in ("loading\n", "ending\n"):
            assert running.stdout.readline() == said
            running.send_signal(signal.SIGTERM)
        running.communicate(timeout=20)
    assert running.returncode == -signal.SIGTERM


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("verb", ["serve", "virtual-board"])
def test_what_runs_until_a_signal_ends_clean(place: Workspace, verb: str, number: signal.Signals, code: int) -> None:
    words = {"serve": ["-w", place.root, "--host", "127.0.0.1", "--port", 0], "virtual-board": []}[verb]
    with process(verb, *words) as running:
        assert running.stdout is not None
        running.stdout.readline()
        running.send_signal(number)
        _, err = running.communicate(timeout=30)
    assert (running.returncode, err) == (code, "otactl: stopped\n" if code and verb == "serve" else "")


@pytest.mark.parametrize(
    ("words", "code", "kind", "message"),
    [
        (["update", "--json", "--boar"], 2, "usage", "No such option"),
        (["publish", "--json", "-w", "/nowhere", "x.bin", "--version", "1"], 2, "usage", "no workspace at /nowhere"),
        (["publish", "--json", "-w", "{place}", "{place}/otactl.toml", "--version", "1"], 1, "release", "not ESP32"),
        (["status", "--json", "/dev/ttyNothing"], 3, "rig", "no such port"),
        (["init", "--json", "-w", "{place}/otactl.toml/x"], 3, "rig", "Not a directory"),
    ],
)
def test_with_json_a_failure_is_an_object_too(place: Workspace, words, code: int, kind: str, message: str) -> None:
    done = otactl(*[word.format(place=place.root) for word in words])
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["kind"], error["code"]) == (code, kind, None)
    assert message.lower() in error["message"].lower()
    assert done.stderr == f"otactl: {error['message']}\n"


def test_json_of_init_and_failure_of_a_board_with_its_code(tmp_path: Path) -> None:
    done = otactl("init", "--json", "-w", tmp_path / "w", "lamp.local")
    assert json.loads(done.stdout)["url"] == "https://lamp.local:8443/stable.json"
    refusing = scripted.well(lambda _: b'{"code": "config-missing", "detail": ""}\r\n\x04\x04>')
    with scripted.on_terminal(refusing) as device:
        done = otactl("update", device, "--json")
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["kind"], error["code"]) == (1, "board", "config-missing")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["upate"], "'update'"),
        (["update", "--jsn"], "'--json'"),
        (["publish"], "'--version'. See `otactl publish --help`."),
        ([], "`otactl --help`"),
    ],
)
def test_a_slip_is_one_line_that_says_what_was_meant(words: list[str], said: str) -> None:
    done = otactl(*words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("otactl: ")
    assert said in done.stderr


def small_files() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))


def test_a_disk_that_takes_no_more_is_named(place: Workspace, firmware_file: Callable[..., Path]) -> None:
    done = otactl("publish", "-w", place.root, firmware_file(), "--version", "1.0.0", preexec_fn=small_files)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == f"otactl: {place.releases}/1.0.0/esp32.bin: File too large\n"
    assert [path.name for path in (place.releases / "1.0.0").iterdir()] == []


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", [["--version"], ["init", "-w", "{tmp}/w", "lamp.local"]])
def test_output_that_cannot_be_written_is_named(tmp_path: Path, words: list[str], unbuffered: str) -> None:
    with open("/dev/full", "w") as full:
        env = environment(PYTHONUNBUFFERED=unbuffered)
        done = otactl(*[word.format(tmp=tmp_path) for word in words], stdout=full, env=env)
    assert done.returncode == 3
    assert re.match(r"otactl: standard output.*: No space left on device\n\Z", done.stderr)


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["init", "-w", "{tmp}/w", "lamp.local"]])
def test_a_reader_that_goes_away_is_no_failure(tmp_path: Path, words: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    env = environment()
    del env["PYTHONUNBUFFERED"]  # so that the end flushes
    done = otactl(*[word.format(tmp=tmp_path) for word in words], stdout=writer, env=env)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_output_that_was_closed_before_it_began_is_no_failure(place: Workspace) -> None:
    run = ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-m", "otactl", "rollout", "-w", str(place.root)]
    done = subprocess.run(run, env=environment(), stderr=subprocess.PIPE, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("name", ["l\u00e4mp", "\udcff"], ids=["no-sign", "no-text"])
def test_a_name_that_output_has_no_sign_for_is_shown_as_far_as_it_can_be(place: Workspace, name: str) -> None:
    there = place.root.rename(place.root.with_name(name))
    done = otactl("releases", "list", "-w", there, env=environment(PYTHONIOENCODING="ascii"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "next: otactl publish" in done.stdout
    assert "?" in done.stdout


@pytest.mark.parametrize(
    ("words", "offered"),
    [("otactl up", "update"), ("otactl update --j", "--json"), ("otactl virtual-board --chip esp32s", "esp32s3")],
)
def test_a_shell_completes_verbs_options_and_chips(words: str, offered: str) -> None:
    env = environment(_OTACTL_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(words.count(" ")))
    done = otactl(env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"plain,{offered}" in done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered", "not_offered"),
    [
        ("otactl update de", ["desk-07", "desk-08"], ["attic"]),
        ("otactl status desk-07 a", ["all", "attic"], []),
        ("otactl logs a", ["attic"], ["all"]),
        ("otactl slots read at", ["attic"], []),
        ("otactl rollback --tag l", ["lab"], ["window"]),
    ],
)
def test_a_shell_completes_the_names_of_boards(
    tmp_path: Path, words: str, offered: list[str], not_offered: list[str]
) -> None:
    rows = [("desk-07", '"lab"'), ("desk-08", '"lab", "window"'), ("attic", "")]
    (tmp_path / "boards.toml").write_text(
        "".join(f'[[board]]\nname = "{name}"\nport = "/dev/{name}"\ntags = [{tags}]\n' for name, tags in rows)
    )
    env = environment(_OTACTL_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(words.count(" ")))
    done = otactl(env=env, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    found = done.stdout.split()
    assert {f"plain,{word}" for word in offered} <= set(found)
    assert not {f"plain,{word}" for word in not_offered} & set(found)
