"""No secret is in what a board or a command says. Each place that may hold one holds a mark; then all that is loud is done."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomlkit
from otactl.cli.main import main
from otactl.workspace import authorities, clients
from otactl.workspace.roster import Entry, Roster
from otactl.workspace.workspace import SETTINGS, Workspace
from rig import NEW, Rig, repl, started
from vboard.board import Board

WRONG, RIGHT, UNUSED = "mark-of-a-wrong-password", "mark-of-the-password", "mark-of-another-network"


def marked(rig: Rig) -> Workspace:
    """The rig's workspace with several networks in its otactl.toml, and lamp-1 with a certificate of its own."""
    path = rig.workspace.root / SETTINGS
    raw = tomlkit.parse(path.read_text())
    networks = [("virtual", RIGHT), ("elsewhere", UNUSED), ("virtual", WRONG)]
    raw["board"]["wifi"] = [{"ssid": ssid, "password": password} for ssid, password in networks]  # type: ignore[index]
    raw["board"]["join_timeout_s"] = 6  # type: ignore[index]
    path.write_text(tomlkit.dumps(raw))
    place = Workspace.find(rig.workspace.root)
    clients.make(place, "lamp-1")
    authorities.begin(place)
    return place


def secrets(place: Workspace) -> Iterator[bytes]:
    """All marks, and each private key: a line of its PEM, and the same bytes as DER."""
    yield from (text.encode() for text in (WRONG, RIGHT, UNUSED))
    for path in (*place.tls.rglob("*.key"), place.key_file):
        lines = path.read_bytes().splitlines()[1:-1]
        yield lines[1]
        yield base64.b64decode(b"".join(lines))[-40:]


def written(place: Workspace) -> bytes:
    """What otactl keeps of boards: logs and reports."""
    return b"".join(path.read_bytes() for path in (place.root / ".otactl").rglob("*") if path.is_file())


@pytest.fixture
def board(rig: Rig) -> Board:
    rig.network.access_points["virtual"] = RIGHT
    return started(rig.board())


def test_no_secret_is_said(rig: Rig, board: Board, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    place = marked(rig)
    known = Roster.load(place.root)
    known.add(Entry("lamp-1", str(board.port)))
    known.save()
    heard = b""

    def otactl(*words: str) -> bytes:
        nonlocal heard
        main([*words, "lamp-1", "-w", str(place.root)])
        out, err = capfdbinary.readouterr()
        heard += out + err
        return out + err

    assert b"deployed" in otactl("deploy")
    rig.publish("1.1.0", NEW)
    assert b"1.1.0 is confirmed" in otactl("update")
    otactl("deploy", "--json")
    otactl("status")
    otactl("status", "--json")
    rig.network.access_points["virtual"] = "changed since"
    rig.publish("1.2.0", NEW)
    assert b"wifi-wrong-password" in otactl("update")
    otactl("doctor", "--json")
    rig.network.access_points["virtual"] = RIGHT
    with repl(board) as link:
        link.run("import os\nos.remove('/lib/ota/net/guard.mpy')")
    assert WRONG.encode() in board.flash.read(0, board.flash.size)  # the marks were there
    assert b"agent-error" in otactl("update")
    path = place.root / SETTINGS
    path.write_text(path.read_text().replace("password", "pasword"))
    assert b"wifi[0].pasword" in otactl("deploy")
    heard += board.text.encode() + written(place)
    assert b"Traceback" in heard
    assert [mark for mark in secrets(place) if mark in heard] == []


def test_marks_would_be_found(rig: Rig, tmp_path: Path) -> None:
    place = marked(rig)
    keys = [one.read_bytes() for one in place.tls.rglob("*.key")]
    everything = b"".join([*keys, place.key_file.read_bytes(), (place.root / SETTINGS).read_bytes()])
    told = [mark in everything for mark in secrets(place)]
    assert told[:3] == [True] * 3
    assert told[3::2] == [True] * (len(keys) + 1)
