"""What a person is told to type means the workspace and the board that were meant, and works as it stands."""

import json
import re
import shlex
import shutil
from pathlib import Path

import otactl
import pytest
import rich_click as click
import scripted
from otactl.cli import told
from otactl.cli.main import main
from otactl.cli.options import otactl as command
from otactl.workspace.workspace import Workspace

BEFORE = {"deadline_s": 60, "id": "01", "failed": [], "boot.py": True, "main.py": True}
SOURCES = Path(otactl.__file__).parent


def said(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    main([str(word) for word in words])
    out, err = capsys.readouterr()
    return out + err


def commands(text: str) -> list[str]:
    """What follows `otactl` in each command that a text tells."""
    return re.findall(r"`otactl ([^`]+)`", text) + re.findall(r"^  next: otactl (.*?)(?:  #.*)?$", text, re.MULTILINE)


@pytest.fixture
def lamp(place: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace whose name a shell would split, two folders from here."""
    place.root.rename(place.root.parent / "my lamp")
    (place.root.parent / "elsewhere").mkdir()
    monkeypatch.chdir(place.root.parent / "elsewhere")
    return Workspace.find(place.root.parent / "my lamp")


LAMP = ["-w", "../my lamp"]
GIVEN = "-w '../my lamp'"


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["publish", "{image}", "--version", "1.0.0", *LAMP], [f"serve {GIVEN}"]),
        (["releases", "list", *LAMP], [f"publish FIRMWARE.bin --version 1.0.0 {GIVEN}"]),
        (["releases", "show", "9", *LAMP], [f"releases list {GIVEN}"]),
        (["keys", "new", *LAMP], [f"serve {GIVEN}"]),
        (["init", "a.local", "-w", "new one"], ["publish FIRMWARE.bin --version 1.0.0 -w 'new one'"]),
        (["publish", "x", "--version", "1", "-w", "."], ["init"]),
        (["publish", "x", "--version", "1", "-w", "no such"], []),
        (["publish", "x", "--versoin", "1", *LAMP], ["publish --help"]),
    ],
)
def test_what_is_told_has_the_workspace_that_was_given(
    capsys, lamp: Workspace, firmware_file, words: list[str], wanted: list[str]
) -> None:
    words = [word.format(image=firmware_file()) for word in words]
    assert commands(said(capsys, *words)) == wanted


@pytest.mark.parametrize(
    ("words", "answer", "wanted"),
    [
        (["status"], {"code": "config-missing", "detail": ""}, ["deploy {board}"]),
        (["status", "--slow", "10"], {"code": "config-missing", "detail": ""}, ["deploy {board} --slow 10"]),
        (["update", *LAMP], {"code": "config-missing", "detail": ""}, [f"deploy {{board}} {GIVEN}"]),
        (["update", *LAMP], {"ok": BEFORE | {"main.py": None}}, [f"deploy {{board}} {GIVEN}"]),
        (["update", *LAMP, "--slow", "2.5"], {"ok": BEFORE}, [f"status {{board}} {GIVEN} --slow 2.5"]),
    ],
)
def test_what_is_told_has_the_board_and_its_patience(capsys, lamp, words: list[str], answer, wanted: list[str]) -> None:
    def reply(program: bytes) -> bytes:
        if b"_told(agent" in program:
            return b"ota: confirmed 1.1.0\r\n"
        return json.dumps(answer).encode() + b"\r\n\x04\x04>"

    with scripted.on_terminal(scripted.well(reply)) as board:
        found = commands(said(capsys, words[0], board, *words[1:]))
    assert found == [one.format(board=board) for one in wanted]


def test_of_several_boards_each_is_told_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    deploy = command.commands["deploy"]
    running = deploy.make_context("deploy", ["desk-07", "desk-08", *LAMP], parent=click.Context(command))
    monkeypatch.setattr(told, "_running", running)
    assert told.completed("deploy") == f"deploy {GIVEN}"
    assert told.as_typed("see `otactl status`", "desk-07") == f"see `otactl status desk-07 {GIVEN}`"
    assert told.completed("deploy", "desk-07") == f"deploy desk-07 {GIVEN}"


def test_scripts_are_told_the_same(capsys, lamp: Workspace) -> None:
    lamp.key_file.unlink()
    main(["publish", *LAMP, str(lamp.root / "otactl.toml"), "--version", "1", "--json"])
    out, err = capsys.readouterr()
    assert f"otactl: {json.loads(out)['error']['message']}\n" == err


def test_a_key_that_boards_do_not_know_is_mended_by_what_is_told(
    capsys, lamp: Workspace, firmware_file, stranger
) -> None:
    shutil.copy(stranger, lamp.key_file)
    publish = ["publish", str(firmware_file()), "--version", "1.0.0", *LAMP]
    add, show = commands(said(capsys, *publish))
    assert show == f"keys list {GIVEN}"
    assert commands(said(capsys, *shlex.split(add))) == [f"deploy {GIVEN}"]
    assert main(publish) == 0


def test_lost_keys_are_mended_by_what_is_told(capsys, lamp: Workspace, firmware_file) -> None:
    for path in lamp.trusted.iterdir():
        path.unlink()
    publish = ["publish", str(firmware_file()), "--version", "1.0.0", *LAMP]
    (new,) = commands(said(capsys, *publish))
    assert new == f"keys new {GIVEN}"
    assert main(shlex.split(new)) == 0
    assert main(publish) == 0


def test_an_expired_certificate_is_mended_by_what_is_told(capsys, lamp: Workspace) -> None:
    (lamp.tls / "server.pem").write_text("damaged")
    (renew,) = commands(said(capsys, "serve", "--port", "0", *LAMP))
    assert renew == f"init --renew {GIVEN}"
    assert main(shlex.split(renew)) == 0


def told_in_sources() -> list[str]:
    """Each `otactl verb ...` of the sources, as far as it is the same in every run."""
    found = [words for path in sorted(SOURCES.rglob("*.py")) for words in commands(path.read_text())]
    return sorted({words.partition("{")[0].strip() for words in found if re.match(r"[a-z]", words)})


@pytest.mark.parametrize("words", told_in_sources())
def test_each_verb_and_option_that_a_message_names_is_there(words: str) -> None:
    found: click.Command = command
    rest = words.split()
    while isinstance(found, click.Group) and rest and rest[0] in found.commands:
        found = found.commands[rest.pop(0)]
    assert found is not command
    if isinstance(found, click.Group) and (usual := getattr(found, "usual", "")):
        found = found.commands[usual]  # what is meant where no verb of the family is named
    options = {option for one in found.params for option in one.opts}
    assert {word for word in rest if word.startswith("-")} <= options
