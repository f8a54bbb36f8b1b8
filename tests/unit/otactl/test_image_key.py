"""Images that are signed themselves: what publish says of them and refuses, and by what boards are told to trust a key."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from imagekeys import SECTOR, ImageKey
from otactl.cli.main import main
from otactl.errors import ReleaseError, UsageError
from otactl.release import channels, image_signature, publish
from otactl.workspace.workspace import SETTINGS, Workspace
from vboard.flash.images import build_app

APP = build_app("esp32", size=20_000)
SCHEMES = ("rsa3072", "ecdsa256")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ImageKey]:
    folder = tmp_path_factory.mktemp("image-keys")
    return {scheme: ImageKey(folder, scheme) for scheme in (*SCHEMES, "ecdsa384")}


@pytest.fixture
def file(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(data: bytes) -> Path:
        path = tmp_path / "app.bin"
        path.write_bytes(data)
        return path

    return write


def asking(place: Workspace, **entry: Any) -> Workspace:
    """The workspace, whose boards are told to ask for an image's signature."""
    path = place.root / SETTINGS
    settings = tomlkit.parse(path.read_text())
    settings["board"]["image_signature"] = entry  # type: ignore[index]
    path.write_text(tomlkit.dumps(settings))
    return Workspace.find(place.root)


def flipped(data: bytes, at: int) -> bytes:
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]


def test_a_release_says_who_signed_its_image(place: Workspace, file, keys) -> None:
    signed = keys["ecdsa256"].sign(keys["rsa3072"].sign(APP), append=True)
    done = publish.publish(place, [file(signed)], "1.0.0")
    assert done.targets[0]["signed_by"] == [keys[scheme].digest for scheme in SCHEMES]
    assert (place.releases / done.targets[0]["url"]).read_bytes() == signed


def test_an_image_that_nobody_signed_is_published_as_before(place: Workspace, file) -> None:
    assert "signed_by" not in publish.publish(place, [file(APP)], "1.0.0").targets[0]


def test_a_scheme_that_boards_do_not_verify_is_not_said_to_be_signed(place: Workspace, file, keys) -> None:
    assert "signed_by" not in publish.publish(place, [file(keys["ecdsa384"].sign(APP))], "1.0.0").targets[0]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_publish_signs_images_as_espsecure_verifies_them(scheme: str, place: Workspace, file, keys) -> None:
    key = keys[scheme]
    done = publish.publish(place, [file(APP)], "1.0.0", image_key=key.path)
    assert done.targets[0]["signed_by"] == [key.digest]
    published = (place.releases / done.targets[0]["url"]).read_bytes()
    assert published[: len(APP)] == APP
    assert key.verifies(published)


def test_a_release_that_is_promoted_keeps_what_it_says_of_its_image(place: Workspace, file, keys) -> None:
    publish.publish(place, [file(APP)], "1.0.0", image_key=keys["ecdsa256"].path)
    publish.publish(place, [file(APP)], "1.1.0")
    channels.promote(place, "1.0.0", "stable")
    now = channels.current(place)
    assert now
    assert now["targets"][0]["signed_by"] == [keys["ecdsa256"].digest]


BROKEN: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "padding before the sector": (lambda data: flipped(data, -SECTOR - 1), "block 0 does not sign"),
    "digest": (lambda data: flipped(data, -SECTOR + 4), "block 0 is damaged"),
    "end of the block": (lambda data: flipped(data, -SECTOR + 1210), "block 0 is damaged"),
    "place of the second block": (lambda data: flipped(data, -SECTOR + 1216), "block 1 is damaged"),
    "rest of the sector": (lambda data: flipped(data, -1), "sector is damaged"),
    "cut": (lambda data: data[:-2], "cut short"),
    "more behind it": (lambda data: data + b"\1" + bytes(4095), "something follows"),
}


@pytest.mark.parametrize(("spoil", "why"), BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_image_whose_signature_is_broken_is_not_published(
    scheme: str, spoil, why: str, place: Workspace, file, keys
) -> None:
    with pytest.raises(ReleaseError, match=why):
        publish.publish(place, [file(spoil(keys[scheme].sign(APP)))], "1.0.0")
    assert list(place.releases.iterdir()) == []


def test_a_sector_that_is_moved_is_found_where_it_is(place: Workspace, file, keys) -> None:
    key = keys["rsa3072"]
    moved = key.sign(key.sign(APP)[:-SECTOR] + b"\xff" * SECTOR)
    assert key.verifies(moved)  # espsecure takes the last sector for it, ESP-IDF would not look there
    with pytest.raises(ReleaseError, match="its sector is at 0x6000, where the image ends it would be at 0x5000"):
        publish.publish(place, [file(moved)], "1.0.0")


@pytest.mark.parametrize(
    ("by", "more", "why"),
    [
        (None, {}, "signed by nobody"),
        ("rsa3072", {}, "signed by"),
        ("rsa3072", {"required": False}, "signed by"),
        (None, {"required": False}, None),
        ("ecdsa256", {}, None),
    ],
    ids=["unsigned", "another", "another-optional", "unsigned-optional", "trusted"],
)
def test_what_boards_of_the_workspace_would_refuse_is_not_published(
    by: str | None, more: dict[str, Any], why: str | None, place: Workspace, file, keys
) -> None:
    place = asking(place, keys=[keys["ecdsa256"].digest.upper()], **more)
    path = file(keys[by].sign(APP) if by else APP)
    if why is None:
        publish.publish(place, [path], "1.0.0")
        return
    with pytest.raises(ReleaseError, match=rf"{why}.*--image-key"):
        publish.publish(place, [path], "1.0.0")
    assert list(place.releases.iterdir()) == []


def public_pem(path: Path) -> bytes:
    key = serialization.load_pem_private_key(path.read_bytes(), None).public_key()
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_key_s_digest_is_espsecure_s_whatever_file_it_is_read_from(scheme: str, file, keys) -> None:
    key = keys[scheme]
    for data in (key.path.read_bytes(), public_pem(key.path), key.sign(APP)):
        assert image_signature.digests(file(data)) == [key.digest]


def pem(key: Any) -> bytes:
    kind = serialization.PrivateFormat.PKCS8
    data: bytes = key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption())
    return data


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (pem(rsa.generate_private_key(65537, 2048)), "neither an RSA-3072 key"),
        (pem(ec.generate_private_key(ec.SECP384R1())), "nor a P-256 key"),
        (b"-----BEGIN PUBLIC KEY-----\nnonsense\n-----END PUBLIC KEY-----\n", "not an unencrypted PEM"),
        (APP, "neither a PEM nor a signed app image"),
        (b"", "neither a PEM nor a signed app image"),
    ],
    ids=["rsa2048", "p384", "nonsense", "unsigned", "empty"],
)
def test_what_has_no_key_that_boards_verify_with_is_said(data: bytes, why: str, file) -> None:
    with pytest.raises(UsageError, match=why):
        image_signature.digests(file(data))


@pytest.mark.parametrize("what", ["missing", "public", "no key"])
def test_an_image_key_that_cannot_sign_is_a_slip(what: str, place: Workspace, file, keys, tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    if what != "missing":
        key.write_bytes(public_pem(keys["rsa3072"].path) if what == "public" else b"key")
    with pytest.raises(UsageError, match=r"key\.pem"):
        publish.publish(place, [file(APP)], "1.0.0", image_key=key)
    assert list(place.releases.iterdir()) == []


def test_keys_image_says_what_goes_into_otactl_toml(capsys, keys, place: Workspace) -> None:
    key = keys["ecdsa256"]
    assert main(["keys", "image", str(key.path)]) == 0
    said = capsys.readouterr().out
    lines = [line.strip() for line in said.splitlines()]
    entry = tomlkit.parse("\n".join(lines[lines.index("[board.image_signature]") :])).unwrap()
    assert entry == {"board": {"image_signature": {"keys": [key.digest]}}}
    assert main(["keys", "image", str(key.path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"keys": [key.digest]}


def test_publish_says_who_signed_the_image(capsys, keys, place: Workspace, file) -> None:
    words = ["publish", str(file(APP)), "--version", "1.0.0", "--image-key", str(keys["ecdsa256"].path)]
    assert main([*words, "-w", str(place.root)]) == 0
    assert f"the image itself is signed by {keys['ecdsa256'].digest[:16]}" in capsys.readouterr().out
