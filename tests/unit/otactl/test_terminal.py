"""What a person sees on a terminal of 80 columns, and what a pipe gets."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest
import scripted
from otactl.cli import display
from otactl.workspace.workspace import Workspace
from rich.console import Console

HOST = Path(__file__).resolve().parents[3] / "host"
COLUMNS = 80
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
COLOURS = re.compile(r"\x1b\[[0-9;]*3[0-9][0-9;]*m")
STATUS = {
    "chip": "esp32",
    "build": None,
    "micropython": "1.26.1",
    "running": "ota_0",
    "boot": "ota_0",
    "next": "ota_1",
    "trial": True,
    "slots": [{"name": "ota_0", "size": 0x1B0000, "state": "valid", "image": {"release": "1.0.0-" + "x" * 26}}],
    "installed": {"version": "1.0.0", "sequence": 1, "security_version": 0},
    "job": {"phase": "failed", "version": "1.1.0", "reason": "check-wifi", "detail": "wifi-not-found virtual"},
}
CONSOLE = (
    b"ota: release 1.1.0 2 bytes from 0\r\nota: download 1/2\r\nota: verify 2/2\r\nota: trial 1.1.0 in ota_1\r\n"
    b"ota: check wifi ok\r\nota: error check-server connect\r\nota: rolled-back 1.1.0 check-server connect\r\n"
)


def words_of(verb: str, place: Workspace, firmware: Path, board: str) -> list[str]:
    return {
        "init": ["init", "-w", str(place.root.parent / "new"), "lamp.local"],
        "publish": ["publish", "-w", str(place.root), str(firmware), "--version", "1.0.0"],
        "status": ["status", board],
        "update": ["update", board],
    }[verb]


@pytest.fixture
def board() -> Iterator[str]:
    def reply(program: bytes) -> bytes:
        if b"_try(_before)" in program:
            before = {"deadline_s": 60, "id": "01", "failed": [], "boot.py": True, "main.py": True}
            return json.dumps({"ok": before}).encode() + b"\r\n\x04\x04>"
        if b"_try(agent.status)" in program:
            return json.dumps({"ok": STATUS}).encode() + b"\r\n\x04\x04>"
        return CONSOLE

    with scripted.on_terminal(scripted.well(reply)) as device:
        yield device


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
    return {**kept, "PYTHONPATH": str(HOST), "TERM": "xterm-256color", **more}


def piped(*words: str, **more: str) -> str:
    """What a pipe gets, stdout before stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "otactl", *words], env=environment(**more), capture_output=True, timeout=60, check=False
    )
    return (done.stdout + done.stderr).decode()


def typed(*words: str, **more: str) -> str:
    """What a terminal gets, with all that moves its cursor."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    with subprocess.Popen(
        [sys.executable, "-m", "otactl", *words], env=environment(**more), stdin=theirs, stdout=theirs, stderr=theirs
    ):
        os.close(theirs)
        said = b""
        try:
            while data := os.read(ours, 65536):
                said += data
        except OSError:  # the other end is closed
            pass
    os.close(ours)
    return said.decode().replace("\r\n", "\n")


def faint(said: str) -> list[str]:
    """What stands in a colour that a white or a black ground swallows, and has no ground of its own."""
    runs = re.findall(r"\x1b\[([0-9;]*)m([^\x1b]*)", said)
    return [
        text for codes, text in runs if {"30", "33", "34", "36", "37"} & set(codes.split(";")) and "43" not in codes
    ]


@pytest.mark.parametrize("words", ["--help", "update --help", "slots --help", "publish --help", "upate"])
def test_help_can_be_read_on_a_light_and_on_a_dark_ground(words: str) -> None:
    said = typed(*words.split())
    assert "\x1b[1m" in said or "\x1b[1;31m" in said
    assert faint(said) == []


def test_help_has_every_verb_in_a_group() -> None:
    said = piped("--help")
    assert re.findall("─ ([A-Z][a-z]+) ─", said) == ["Options", "Workspace", "Board", "Tools"]


VERBS = ["init", "publish", "status", "update"]
SIGNS = {"init": "✓", "publish": "✓", "status": "✗", "update": "✗"}


@pytest.mark.parametrize("verb", VERBS)
def test_a_pipe_gets_plain_lines_with_a_sign_and_one_next_thing(place, firmware_file, board, verb: str) -> None:
    said = piped(*words_of(verb, place, firmware_file(), board))
    assert "\x1b" not in said
    assert "\r" not in said
    assert [line for line in said.splitlines() if line != line.rstrip()] == []
    assert any(line.startswith(f"{SIGNS[verb]} ") for line in said.splitlines())
    assert said.count("next: otactl ") == (0 if verb == "status" else 1)


@pytest.mark.parametrize("verb", VERBS)
def test_json_is_all_that_a_script_gets(place, firmware_file, board, verb: str) -> None:
    assert isinstance(json.loads(piped(*words_of(verb, place, firmware_file(), board), "--json")), dict)


@pytest.mark.parametrize("verb", VERBS)
def test_a_terminal_gets_colours_and_lines_that_fit(place, firmware_file, board, verb: str) -> None:
    said = typed(*words_of(verb, place, firmware_file(), board))
    assert COLOURS.search(said)
    shown = [line for line in ESCAPES.sub("", said).splitlines() if "next:" not in line and "/" not in line]
    assert [line for line in shown if len(line) > COLUMNS] == []
    assert any(SIGNS[verb] in line for line in shown)
    assert faint(said) == []


def test_what_is_wrapped_stands_under_its_text(board: str) -> None:
    lines = ESCAPES.sub("", typed("status", board)).splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("✗ "))
    assert lines[first + 1].startswith("  ")


@pytest.mark.parametrize("verb", ["status", "update"])
def test_no_color_is_respected(place, firmware_file, board, verb: str) -> None:
    assert not COLOURS.search(typed(*words_of(verb, place, firmware_file(), board), NO_COLOR="1"))


def test_a_board_that_lets_one_wait_has_a_spinner() -> None:
    with scripted.on_terminal(scripted.silent) as device:
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            [sys.executable, "-m", "otactl", "status", device], env=environment(), stdout=theirs, stderr=theirs
        ) as waiting:
            os.close(theirs)
            said = b""
            while b"waiting for the board 1 s" not in said:
                said += os.read(ours, 65536)
            waiting.terminate()
        os.close(ours)
    assert "⠋".encode() in said


@pytest.mark.parametrize(("kind", "moves"), [("xterm", True), ("dumb", False)])
def test_on_a_terminal_that_moves_nothing_waits_are_lines(monkeypatch, kind: str, moves: bool) -> None:
    monkeypatch.setattr(display._screen, "console", Console(force_terminal=True, _environ={"TERM": kind}))
    assert display.Bars().moves is moves


def test_an_error_is_wrapped_at_words_and_in_a_pipe_not_at_all() -> None:
    words = ["status", "/dev/ttyNothing-that-has-a-name"]
    lines = ESCAPES.sub("", typed(*words)).partition("otactl: ")[2].splitlines()
    assert len(lines) == 2 and all(len(line) < COLUMNS for line in lines)
    assert f"otactl: {' '.join(line.strip() for line in lines)}\n" == piped(*words)


def test_a_terminal_that_knows_no_signs_gets_others(place: Workspace, firmware_file) -> None:
    said = piped(*words_of("publish", place, firmware_file(), ""), PYTHONIOENCODING="ascii")
    assert said.startswith("+ published 1.0.0")
    assert "Traceback" not in piped("--help", PYTHONIOENCODING="ascii")
