"""The keys of a workspace without a trust document: which one signs, which boards trust, and the way out by cable."""

import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from otactl.errors import UsageError
from otactl.release import envelope
from otactl.release.channels import current
from otactl.release.publish import publish
from otactl.workspace import keyfiles, keyring, keys
from otactl.workspace.workspace import Workspace


def keyid(path: Path) -> str:
    return keys.keyid(keys.load(path).public_key())


def on_boards(place: Workspace) -> set[str]:
    """What deploy brings to boards."""
    return {keys.keyid(key) for key in keys.trusted(place.trusted)}


def public_pem(path: Path) -> bytes:
    kind = serialization.PublicFormat.SubjectPublicKeyInfo
    return keys.load(path).public_key().public_bytes(serialization.Encoding.PEM, kind)


def test_a_release_that_boards_would_not_trust_is_not_published(
    place: Workspace, firmware_file, stranger: Path
) -> None:
    shutil.copy(stranger, place.key_file)
    with pytest.raises(UsageError, match=r"unknown-key.*Put the old key back.*keys add"):
        publish(place, [firmware_file()], "1.0.0")
    assert list(place.releases.iterdir()) == []
    keyfiles.add(place, keyring.read(place.key_file))  # as it was told
    publish(place, [firmware_file()], "1.0.0")
    assert keyid(stranger) in on_boards(place)


def test_a_lost_key_leads_to_a_verb_that_mends_it(place: Workspace, firmware_file) -> None:
    publish(place, [firmware_file()], "1.0.0")
    before = keyid(place.key_file)
    place.key_file.unlink()
    with pytest.raises(UsageError, match="otactl keys new"):
        publish(place, [firmware_file()], "1.1.0")
    keyfiles.new(place)
    publish(place, [firmware_file()], "1.1.0")
    assert current(place)["sequence"] == 2  # type: ignore[index]
    assert on_boards(place) == {before, keyid(place.key_file)}


def test_a_new_key_signs_and_the_old_one_is_kept_and_trusted(place: Workspace, firmware_file) -> None:
    old, before = place.key_file.read_bytes(), keyid(place.key_file)
    assert keyfiles.new(place) == place.key_file
    made = keyid(place.key_file)
    assert made != before
    kept = place.key_file.with_name(f"release-{before[:8]}.pem")
    assert kept.read_bytes() == old
    assert {stat.S_IMODE(path.stat().st_mode) for path in (kept, place.key_file)} == {0o600}
    assert {(one.keyid, one.trusted, one.signs) for one in keyring.held(place)} == {
        (before, True, False),
        (made, True, True),
    }
    publish(place, [firmware_file()], "1.0.0")
    assert envelope.unseal(place.channel_file.read_bytes(), [keys.load(place.key_file).public_key()])


def test_a_private_key_is_never_overwritten(place: Workspace) -> None:
    kept = place.key_file.with_name(f"release-{keyid(place.key_file)[:8]}.pem")
    kept.write_bytes(b"mine")
    before = place.key_file.read_bytes()
    with pytest.raises(UsageError, match="in the way"):
        keyfiles.new(place)
    assert (kept.read_bytes(), place.key_file.read_bytes()) == (b"mine", before)


@pytest.mark.parametrize(
    "copy",
    [
        public_pem,
        lambda key: key.read_bytes(),
        lambda key: keys.public_file(key).read_bytes(),
    ],
    ids=["public PEM", "private PEM", "pub.json"],
)
def test_a_key_is_trusted_from_any_file_and_its_secret_stays_there(
    place: Workspace, stranger: Path, tmp_path: Path, copy: Callable[[Path], bytes]
) -> None:
    (tmp_path / "theirs").write_bytes(copy(stranger))
    keyfiles.add(place, keyring.read(tmp_path / "theirs"))
    (made,) = (one for one in keyring.held(place) if one.keyid == keyid(stranger))
    assert (made.roles, made.private, made.signs) == (("root", "release"), False, False)
    assert made.file and made.file.name == f"trusted-{keyid(stranger)[:8]}.pub.json"
    assert on_boards(place) == {keyid(stranger), keyid(place.key_file)}
    assert [path.name for path in place.trusted.glob("*.pem")] == ["release.pem"]
    files = sorted(place.trusted.iterdir())
    keyfiles.add(place, keyring.read(tmp_path / "theirs"))
    assert sorted(place.trusted.iterdir()) == files


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (lambda: b"", "no public key file"),
        (lambda: b"{}", "holds no key"),
        (lambda: b"-----BEGIN PUBLIC KEY-----\nx", "not a PEM public key"),
        (lambda: public(ec.generate_private_key(ec.SECP256R1())), "not an RSA-3072 key"),
        (lambda: public(rsa.generate_private_key(65537, 2048)), "not an RSA-3072 key"),
        (lambda: public_of(rsa.RSAPublicNumbers(3, (1 << 3071) + 1).public_key()), "exponent"),
    ],
)
def test_what_boards_cannot_verify_with_is_not_trusted(place: Workspace, tmp_path: Path, content, why: str) -> None:
    (tmp_path / "k").write_bytes(content())
    before = sorted(place.trusted.iterdir())
    with pytest.raises(UsageError, match=why):
        keyfiles.add(place, keyring.read(tmp_path / "k"))
    assert sorted(place.trusted.iterdir()) == before


def public(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return public_of(key.public_key())


def public_of(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def test_the_list_shows_a_key_that_signs_and_boards_do_not_know(place: Workspace, stranger: Path) -> None:
    before = keyid(place.key_file)
    shutil.copy(stranger, place.key_file)
    assert [(one.keyid, one.trusted, one.signs) for one in keyring.held(place)] == [
        (before, True, False),
        (keyid(stranger), False, True),
    ]
