"""Encrypted images: what publish makes and takes, and the device key of a workspace."""

import base64
import json
import shutil
import stat
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import devicekeys
import pytest
import tomlkit
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from devicekeys import HEADER, SCHEMES, DeviceKey
from otactl.board import deploy, settings
from otactl.board.doctor import workspace as examined
from otactl.cli.main import main
from otactl.errors import ReleaseError, UsageError
from otactl.release import channels, encrypted, offer, publish
from otactl.release.encrypted import Asked
from otactl.workspace import device_key
from otactl.workspace.workspace import SETTINGS, Workspace
from vboard.flash.images import build_app

APP = build_app("esp32", size=20_001)
File = Callable[[str, bytes], Path]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, DeviceKey]:
    folder = tmp_path_factory.mktemp("device-keys")
    return {scheme: devicekeys.make(folder, scheme) for scheme in SCHEMES}


@pytest.fixture
def file(tmp_path: Path) -> File:
    def write(name: str, data: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


def asking(place: Workspace, **entry: Any) -> Workspace:
    """The workspace, whose boards are told to open encrypted images."""
    path = place.root / SETTINGS
    settings = tomlkit.parse(path.read_text())
    settings["board"]["encryption"] = entry  # type: ignore[index]
    path.write_text(tomlkit.dumps(settings))
    return Workspace.find(place.root)


def served(place: Workspace, done: publish.Published) -> bytes:
    return (place.releases / done.targets[0]["url"]).read_bytes()


def flipped(data: bytes, at: int) -> bytes:
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]


# --- publish ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", SCHEMES)
def test_release_says_of_an_encrypted_image_what_a_board_needs(scheme: str, place: Workspace, file, keys) -> None:
    done = publish.publish(place, [file("a.bin", APP)], "1.0.0", encryption=Asked(public=keys[scheme].public))
    target, data = done.targets[0], served(place, done)
    assert keys[scheme].decrypt(data) == APP
    assert (target["size"], target["sha256"]) == (len(APP), sha256(APP).hexdigest())
    said = target["encryption"]
    assert (said["scheme"], said["size"], said["sha256"]) == (scheme, len(APP) + HEADER, sha256(data).hexdigest())
    assert base64.b64decode(said["header"]).ljust(HEADER, b"\0") == data[:HEADER]


def test_plain_text_does_not_come_into_releases(place: Workspace, file, keys) -> None:
    publish.publish(place, [file("a.bin", APP)], "1.0.0", encryption=Asked(public=keys["ecc256"].public))
    found = [path for path in place.releases.rglob("*") if path.is_file()]
    assert sorted(path.name for path in found) == ["esp32.enc.bin", "release.json", "stable.json"]
    assert not [path for path in found if APP[1000:1064] in path.read_bytes()]


def test_same_image_is_encrypted_otherwise_each_time(place: Workspace, file, keys) -> None:
    public = device_key.load_public(keys["rsa3072"].public)
    one, other = encrypted.encrypt(APP, public).file, encrypted.encrypt(APP, public).file
    assert one[4:388] != other[4:388]
    assert one[388:404] != other[388:404]
    assert one[HEADER : HEADER + 64] != other[HEADER : HEADER + 64]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_file_of_another_tool_is_published_as_it_is(scheme: str, place: Workspace, file, keys) -> None:
    made = keys[scheme].encrypt(APP)
    asked = Asked(files=[file("a.enc", made)], key=keys[scheme].path)
    done = publish.publish(asking(place), [file("a.bin", APP)], "1.0.0", encryption=asked)
    assert served(place, done) == made
    assert done.targets[0]["encryption"]["scheme"] == scheme
    assert done.notes == []


def test_file_that_is_not_opened_is_taken_and_that_is_said(place: Workspace, file, keys) -> None:
    asked = Asked(files=[file("a.enc", keys["ecc256"].encrypt(bytes(len(APP))))])
    done = publish.publish(asking(place), [file("a.bin", APP)], "1.0.0", encryption=asked)
    assert [note for note in done.notes if "--device-key checks it" in note]


UNFIT: dict[str, tuple[Callable[[DeviceKey], bytes], str]] = {
    "plain": (lambda key: APP, "is no encrypted image"),
    "empty": (lambda key: b"", "is no encrypted image"),
    "cut short": (lambda key: key.encrypt(APP)[:-1], "cut short"),
    "another size": (lambda key: key.encrypt(APP[:-16]), "holds 19984 bytes"),
    "another image": (lambda key: key.encrypt(bytes(len(APP))), "holds another image"),
    "a flipped bit": (lambda key: flipped(key.encrypt(APP), -1), "does not open it"),
    "a flipped bit of the key": (lambda key: flipped(key.encrypt(APP), 40), "does not open it"),
    "a flipped bit of the tag": (lambda key: flipped(key.encrypt(APP), 408), "does not open it"),
}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("why", UNFIT)
def test_file_that_boards_would_refuse_is_not_published(why: str, scheme: str, place: Workspace, file, keys) -> None:
    make, said = UNFIT[why]
    asked = Asked(files=[file("a.enc", make(keys[scheme]))], key=keys[scheme].path)
    with pytest.raises(ReleaseError, match=said):
        publish.publish(place, [file("a.bin", APP)], "1.0.0", encryption=asked)
    assert not list(place.releases.rglob("*.bin"))


def test_what_does_not_go_together_is_wrong_usage(place: Workspace, file, keys) -> None:
    app, made, key = file("a.bin", APP), file("a.enc", keys["ecc256"].encrypt(APP)), keys["ecc256"]
    for asked, then in (
        (Asked(public=key.public, files=[made]), "leave out --encrypted"),
        (Asked(public=key.public, key=key.path), "leave out --encrypted and --device-key"),
        (Asked(files=[made, made]), "give one for each"),
        (Asked(key=key.path), r"name those files with --encrypted, or .* --encrypt encryption/device\.pub\.pem"),
        (Asked(public=place.root / "no.pem"), r"no\.pem"),
        (Asked(public=app), r"a\.bin is no PEM public key: `otactl keys device` makes [^:]*$"),
        (Asked(public=place.trusted / "release.pub.json"), "`otactl keys device` makes [^:]*$"),
        (Asked(files=[made], key=key.public), "`otactl keys device` makes one"),
    ):
        with pytest.raises(UsageError, match=then):
            publish.publish(place, [app], "1.0.0", encryption=asked)


def test_plain_image_is_not_published_where_boards_would_refuse_it(place: Workspace, file) -> None:
    with pytest.raises(ReleaseError, match=r"publish it with --encrypt"):
        publish.publish(asking(place), [file("a.bin", APP)], "1.0.0")
    publish.publish(asking(place, required=False), [file("a.bin", APP)], "1.0.0")


def test_publisher_is_told_of_boards_that_cannot_open_it(place: Workspace, file, keys) -> None:
    app, asked = file("a.bin", APP), Asked(public=keys["ecc256"].public)
    (note,) = publish.publish(place, [app], "1.0.0", encryption=asked).notes
    assert "no such entry" in note
    there = asking(place)
    device_key.keep(there, None, "ecc256")
    (note,) = publish.publish(there, [app], "1.1.0", encryption=asked).notes
    assert "encrypted for another key" in note
    ours = Asked(public=there.device_key_file.with_suffix(".pub.pem"))
    assert publish.publish(there, [app], "1.2.0", encryption=ours).notes == []


def test_whatever_reads_releases_knows_the_encrypted_file(place: Workspace, file, keys) -> None:
    """Promoting, pushing, and the doctor, which hold what is served against what was signed."""
    app, asked = file("a.bin", APP), Asked(public=keys["ecc256"].public)
    done = publish.publish(place, [app], "1.0.0", encryption=asked)
    publish.publish(place, [app], "1.1.0", encryption=asked)
    assert channels.promote(place, "1.0.0", "beta").version == "1.0.0"
    offered = offer.newest(place.on("beta"))
    url = f"https://127.0.0.1:8443/{done.targets[0]['url']}"
    assert offered.image(url) == served(place, done)
    path = place.releases / done.targets[0]["url"]
    assert examined._fault(path, done.targets[0]) == ""
    path.write_bytes(flipped(path.read_bytes(), -1))
    assert "not the file that was signed" in examined._fault(path, done.targets[0])
    with pytest.raises(ReleaseError, match=r"not what 1\.0\.0 was signed with"):
        offered.image(url)


# --- the device key -----------------------------------------------------------------------------------------------------


def test_new_device_key_is_private_and_kept_out_of_git(place: Workspace) -> None:
    made = device_key.keep(place, None, "ecc256")
    assert stat.S_IMODE(made.file.stat().st_mode) == 0o600
    assert (made.file.parent / ".gitignore").read_text() == "*.pem\n!*.pub.pem\n"
    assert device_key.same(device_key.load_public(made.public), device_key.load(made.file).public_key())
    before = made.file.read_bytes()
    again = device_key.keep(place, None)
    assert (again.made, again.file.read_bytes()) == (False, before)


def test_key_of_another_tool_is_taken_over_and_never_replaced(place: Workspace, keys) -> None:
    made = device_key.keep(place, keys["rsa3072"].path)
    assert json.loads(device_key.for_board(device_key.load(made.file))) == json.loads(keys["rsa3072"].file)
    assert not device_key.keep(place, keys["rsa3072"].path).made
    before = made.file.read_bytes()
    for given, scheme in ((keys["ecc256"].path, None), (None, "ecc256")):
        with pytest.raises(UsageError, match="another key"):
            device_key.keep(place, given, scheme)
    assert made.file.read_bytes() == before


def test_hmac_key_becomes_the_key_that_esp_idf_derives_from_it(place: Workspace, file) -> None:
    """The numbers are from one run of Espressif's tool: its HMAC key, and x of its public key."""
    secret = bytes.fromhex(HMAC_KEY)
    device_key.keep(place, file("hmac.bin", secret))
    found = device_key.load(place.device_key_file)
    assert isinstance(found, ec.EllipticCurvePrivateKey)
    assert f"{found.public_key().public_numbers().x:064x}" == HMAC_X
    assert json.loads(device_key.for_board(found)) == {"ecc256": found.private_numbers().private_value}


def test_what_is_no_device_key_is_refused(place: Workspace, file) -> None:
    small = rsa.generate_private_key(65537, 2048)
    other = ec.generate_private_key(ec.SECP384R1())
    for number, key in enumerate((small, other)):
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        with pytest.raises(UsageError, match="neither an RSA-3072 nor a P-256 key"):
            device_key.keep(place, file(f"{number}.pem", pem))
    for data in (b"", bytes(31), b"-----BEGIN PRIVATE KEY-----\n", b"\xff" * 33):
        with pytest.raises(UsageError, match="not an unencrypted PEM"):
            device_key.keep(place, file("no.pem", data))
    assert not place.device_key_file.exists()


def test_deploy_asks_for_a_device_key_where_one_is_configured(place: Workspace, keys) -> None:
    there = asking(place)
    with pytest.raises(UsageError, match="otactl keys device"):
        deploy.check(there)
    there.device_key_file.parent.mkdir()
    shutil.copy(keys["ecc256"].path, there.device_key_file)
    deploy.check(there)
    assert settings.files(there, "")["/etc/ota/device.json"] == (keys["ecc256"].file + "\n").encode()
    assert "/etc/ota/device.json" not in settings.files(Workspace(there.root, there.product, there.url), "")


def test_command_makes_a_key_and_publishes_for_it(place: Workspace, file, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--workspace", str(place.root)]
    assert main(["keys", "device", "--scheme", "ecc256", *where, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["scheme"] == "ecc256"
    app = file("a.bin", APP)
    words = ["publish", str(app), "--version", "1.0.0", "--encrypt", made["public"], *where]
    assert main(words) == 0
    assert "encrypted (ecc256): 1.0.0/esp32.enc.bin" in capsys.readouterr().out
    assert main(["releases", "show", "1.0.0", *where]) == 0
    assert f"encrypted (ecc256), {len(APP) + HEADER} bytes" in capsys.readouterr().out
    assert main(["keys", "device", *where]) == 0
    said = capsys.readouterr().out
    assert "[board.encryption]" in said and "PRIVATE" not in said


HMAC_KEY = "f086b1220ef60cff6ea205555a1c50406c77509b4f11bd4376843517c066dc8e"
HMAC_X = "b44d626a4da5c654cfca00955dfd42203824dd6975d02ef721fc381f133487a8"
