"""No secret is in what a board or a command says. Each place that may hold one holds a mark; then all that is loud is done."""

import base64
import json
from collections.abc import Callable

import pytest
import tomlkit
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from otactl.board import settings
from otactl.cli.main import main
from otactl.release.encrypted import Asked
from otactl.workspace import authorities, clients, device_key, keys
from otactl.workspace.create import create
from otactl.workspace.roster import Entry, Roster
from otactl.workspace.workspace import SETTINGS, Workspace
from rig import NEW, Rig, image, repl, started
from vboard.board import Board

WRONG, RIGHT, UNUSED = "mark-of-a-wrong-password", "mark-of-the-password", "mark-of-another-network"
PHRASE, NEW_PHRASE, WRONG_PHRASE = "mark-of-the-passphrase", "mark-of-the-next-phrase", "mark-of-a-wrong-phrase"


def marked(rig: Rig) -> Workspace:
    """The rig's workspace with several networks in its otactl.toml, lamp-1 with a certificate of its own and a device key,
    and a release key with a passphrase."""
    path = rig.workspace.root / SETTINGS
    raw = tomlkit.parse(path.read_text())
    networks = [("virtual", RIGHT), ("elsewhere", UNUSED), ("virtual", WRONG)]
    raw["board"]["wifi"] = [{"ssid": ssid, "password": password} for ssid, password in networks]  # type: ignore[index]
    raw["board"]["join_timeout_s"] = 6  # type: ignore[index]
    raw["board"]["encryption"] = {}  # type: ignore[index]
    path.write_text(tomlkit.dumps(raw))
    place = Workspace.find(rig.workspace.root)
    clients.make(place, "lamp-1")
    device_key.keep(place, None, "ecc256")
    authorities.begin(place)
    keys.encrypt(place.key_file, PHRASE.encode())
    return place


def secrets(place: Workspace) -> list[bytes]:
    """All marks, and each private key as it may be printed: lines of its PEM, with a passphrase and without, its end as DER,
    what boards have of it."""
    found = [text.encode() for text in (WRONG, RIGHT, UNUSED, PHRASE, NEW_PHRASE, WRONG_PHRASE)]
    scalar = device_key.load(place.device_key_file).private_numbers().private_value  # type: ignore[union-attr]
    found += [str(scalar).encode(), f"{scalar:064x}".encode(), scalar.to_bytes(32, "big")]
    plain = [pem.read_bytes() for pem in (*place.tls.rglob("*.key"), place.device_key_file)]
    key = keys.load(place.key_file).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for pem in (*plain, key, place.key_file.read_bytes()):
        lines = pem.splitlines()[1:-1]
        der = base64.b64decode(b"".join(lines))
        found += [lines[1], der[-40:], der[-40:].hex().encode(), repr(der)[-40:-1].encode()]
    return found


def written(place: Workspace) -> bytes:
    """What otactl keeps of boards: logs and reports."""
    return b"".join(path.read_bytes() for path in (place.root / ".otactl").rglob("*") if path.is_file())


@pytest.fixture(autouse=True)
def passphrase_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTACTL_KEY_PASSPHRASE", PHRASE)


@pytest.fixture
def board(rig: Rig) -> Board:
    rig.network.access_points["virtual"] = RIGHT
    return started(rig.board())


def test_no_secret_is_said(
    rig: Rig, board: Board, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = marked(rig)
    known = Roster.load(place.root)
    known.add(Entry("lamp-1", str(board.port)))
    known.save()
    ours = Asked(public=place.device_key_file.with_suffix(".pub.pem"))
    heard = b""

    def otactl(*words: object) -> bytes:
        nonlocal heard
        main([*map(str, words), *(() if "passphrase" in words else ("-w", str(place.root)))])
        out, err = capfdbinary.readouterr()
        heard += out + err
        return out + err

    assert b"deployed" in otactl("deploy", "lamp-1")
    rig.publish("1.1.0", NEW, encryption=ours)
    assert b"1.1.0 is confirmed" in otactl("update", "lamp-1")
    otactl("deploy", "lamp-1", "--json")
    otactl("status", "lamp-1")
    otactl("status", "lamp-1", "--json")
    rig.network.access_points["virtual"] = "changed since"
    rig.publish("1.2.0", NEW, encryption=ours)
    assert b"wifi-wrong-password" in otactl("update", "lamp-1")
    otactl("doctor", "lamp-1", "--json")
    rig.network.access_points["virtual"] = RIGHT
    rig.publish("1.3.0", image(3), encryption=Asked(public=device_key.keep(elsewhere(rig), None, "ecc256").public))
    assert b"encryption-key" in otactl("update", "lamp-1")
    with_keys_and_passphrases(otactl, place, monkeypatch)
    with repl(board) as link:
        link.run("import os\nos.remove('/lib/ota/net/guard.mpy')")
        damaged = settings.files(place, "lamp-1")["/etc/ota/device.json"][:-9]
        link.put("/etc/ota/device.json", damaged)
    flash = board.flash.read(0, board.flash.size)
    assert WRONG.encode() in flash  # the marks were there
    assert damaged in flash
    assert b"agent-error" in otactl("update", "lamp-1")
    path = place.root / SETTINGS
    path.write_text(path.read_text().replace("password", "pasword"))
    assert b"wifi[0].pasword" in otactl("deploy", "lamp-1")
    heard += board.text.encode() + written(place)
    assert b"Traceback" in heard
    monkeypatch.setenv("OTACTL_KEY_PASSPHRASE", NEW_PHRASE)
    assert [mark for mark in secrets(place) if mark in heard] == []


def with_keys_and_passphrases(otactl: Callable[..., bytes], place: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """What reads the release key: well, with a wrong passphrase, from a damaged file; in the end it has NEW_PHRASE."""
    for words in (["keys", "list"], ["keys", "list", "--json"], ["keys", "device"], ["keys", "device", "--json"]):
        otactl(*words)
    assert b"trust document" in otactl("ca", "publish")
    monkeypatch.setenv("OTACTL_KEY_PASSPHRASE", WRONG_PHRASE)
    assert b"passphrase" in otactl("ca", "remove", "next")
    assert b"passphrase" in otactl("keys", "passphrase", place.key_file)
    monkeypatch.setenv("OTACTL_KEY_PASSPHRASE", PHRASE)
    whole, file = place.key_file.read_bytes(), place.root / "phrase.txt"
    place.key_file.write_bytes(whole[:-60])
    assert str(place.key_file).encode() in otactl("keys", "rotate")
    place.key_file.write_bytes(whole)
    file.write_text(NEW_PHRASE + "\n")
    assert b"a new passphrase" in otactl("keys", "passphrase", place.key_file, "--new-passphrase-file", file)


def elsewhere(rig: Rig) -> Workspace:
    """Another workspace, with a device key of its own."""
    return create(rig.root / "elsewhere", product="demo", names=["elsewhere.test"])


def test_marks_would_be_found(rig: Rig) -> None:
    place = marked(rig)
    pems = [one.read_bytes() for one in (*place.tls.rglob("*.key"), place.key_file, place.device_key_file)]
    pems.append(keys.load(place.key_file).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    ders = [base64.b64decode(b"".join(pem.splitlines()[1:-1])) for pem in pems]
    printed = [form for der in ders for form in (der, der.hex().encode(), repr(der).encode())]
    device = settings.files(place, "lamp-1")["/etc/ota/device.json"]
    scalar = json.loads(device)["ecc256"]
    phrases = f"{PHRASE} {NEW_PHRASE} {WRONG_PHRASE} {scalar:x}".encode()
    everything = b"".join([*pems, *printed, device, phrases, (place.root / SETTINGS).read_bytes()])
    assert [mark for mark in secrets(place) if mark not in everything] == []
