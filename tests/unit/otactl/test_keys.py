"""Release keys, held against espsecure and openssl."""

import json
import stat
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from otactl.errors import UsageError
from otactl.workspace import keys


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("keys")
    keys.generate(made / "release.pem")
    return made


@pytest.fixture
def key(folder: Path) -> rsa.RSAPrivateKey:
    return keys.load(folder / "release.pem")


def espsecure(*words: object) -> None:
    command = [sys.executable, "-m", "espsecure", *map(str, words)]
    subprocess.run(command, check=True, capture_output=True)


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def with_exponent(key: rsa.RSAPrivateKey, e: int) -> rsa.RSAPrivateKey:
    """A key of the same primes: to find others takes seconds."""
    p, q = key.private_numbers().p, key.private_numbers().q
    d = pow(e, -1, (p - 1) * (q - 1))
    crt = rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q)
    return rsa.RSAPrivateNumbers(p, q, d, *crt, rsa.RSAPublicNumbers(e, p * q)).private_key()


def test_keyid_is_the_digest_that_espsecure_gives(folder: Path, key, tmp_path: Path) -> None:
    out = tmp_path / "digest"
    espsecure("digest-sbv2-public-key", "--keyfile", folder / "release.pem", "--output", out)
    assert keys.keyid(key.public_key()) == out.read_bytes().hex()


def test_a_key_made_by_espsecure_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "theirs.pem"
    espsecure("generate-signing-key", "--version", "2", "--scheme", "rsa3072", path)
    theirs = keys.load(path)
    assert keys.verify(theirs.public_key(), keys.sign(theirs, b"message"), b"message")


def test_a_key_of_ours_signs_an_image_for_espsecure(folder: Path, firmware_file, tmp_path: Path) -> None:
    signed, key = tmp_path / "signed.bin", folder / "release.pem"
    espsecure("sign-data", "--version", "2", "--keyfile", key, "--output", signed, firmware_file())
    espsecure("verify-signature", "--version", "2", "--keyfile", key, signed)


def test_openssl_verifies_a_signature_of_ours(folder: Path, key, tmp_path: Path) -> None:
    for name, data in (
        ("message", b"what is signed"),
        ("signature", keys.sign(key, b"what is signed")),
        (
            "public.pem",
            key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
        ),
    ):
        (tmp_path / name).write_bytes(data)
    command = ["openssl", "dgst", "-sha256", "-verify", "public.pem", "-signature", "signature"]
    options = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32", "message"]
    done = subprocess.run([*command, *options], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("salt", [0, 20, 222])
def test_a_salt_of_another_length_is_refused(key, salt: int) -> None:
    other = padding.PSS(padding.MGF1(hashes.SHA256()), salt_length=salt)
    assert not keys.verify(key.public_key(), key.sign(b"m", other, hashes.SHA256()), b"m")


def test_another_message_or_an_altered_signature_is_refused(key) -> None:
    good = keys.sign(key, b"m")
    assert len(good) == 384
    assert keys.verify(key.public_key(), good, b"m")
    assert not keys.verify(key.public_key(), good, b"n")
    assert not keys.verify(key.public_key(), bytes([good[0] ^ 1]) + good[1:], b"m")
    assert not keys.verify(key.public_key(), good[:-1], b"m")


def test_a_new_key_is_for_its_owner_only_and_replaces_none(folder: Path) -> None:
    path = folder / "release.pem"
    before = path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        keys.generate(path)
    assert path.read_bytes() == before


def test_the_public_half_lies_beside_it_as_boards_read_it(folder: Path, key) -> None:
    found = json.loads((folder / "release.pub.json").read_text())
    n = key.public_key().public_numbers().n
    assert found == {keys.keyid(key.public_key()): f"{n:0768x}"}


def test_public_keys_are_enough_to_trust(folder: Path, key, tmp_path: Path) -> None:
    (tmp_path / "a.pub.json").write_bytes((folder / "release.pub.json").read_bytes())
    other = keys.generate(tmp_path / "b.pem").public_key()
    (tmp_path / "b.pub.json").unlink()
    (tmp_path / "c.pub.json").write_text(keys.for_board([key.public_key()]))
    found = {keys.keyid(one) for one in keys.trusted(tmp_path)}
    assert found == {keys.keyid(key.public_key()), keys.keyid(other)}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"00": "zz"}',
        '{"00": 5}',
        json.dumps({sha256(b"").hexdigest(): f"{(1 << 3071) + 1:x}"}),
    ],
)
def test_a_damaged_public_key_file_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "release.pub.json").write_text(content)
    with pytest.raises(UsageError, match=r"release\.pub\.json"):
        keys.trusted(tmp_path)


def test_no_key_at_all_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="otactl keys new"):
        keys.trusted(tmp_path)
    with pytest.raises(UsageError, match="otactl keys new"):
        keys.load(tmp_path / "release.pem")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (lambda key: b"no key", "not a PEM"),
        (lambda key: pem(ec.generate_private_key(ec.SECP256R1())), "not an RSA-3072 key"),
        (lambda key: pem(rsa.generate_private_key(65537, 2048)), "not an RSA-3072 key"),
        (lambda key: pem(with_exponent(key, 65539)), "exponent"),
    ],
)
def test_a_key_that_boards_could_not_verify_is_refused(tmp_path: Path, key, content, why: str) -> None:
    (tmp_path / "k.pem").write_bytes(content(key))
    with pytest.raises(UsageError, match=why) as caught:
        keys.load(tmp_path / "k.pem")
    assert "k.pem" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "beside", "trusted"),
    [
        ("release.pem", False, True),  # as espsecure makes one
        ("mine.pem", False, True),
        ("release.pem", True, False),  # its *.pub.json says it already
        ("release-0123abcd.pem", False, False),  # put aside by `keys new`, and its *.pub.json removed: no longer
        ("release-0123abcd.pem", True, False),
    ],
)
def test_a_private_key_alone_stands_for_its_public_half_unless_it_was_put_aside(
    tmp_path: Path, key: rsa.RSAPrivateKey, name: str, beside: bool, trusted: bool
) -> None:
    path = tmp_path / name
    path.write_bytes(pem(key))
    if beside:
        keys.public_file(path).write_text(keys.for_board([key.public_key()]))
    assert keys.is_trusted_alone(path) is trusted
    if trusted or beside:
        assert [keys.keyid(key) for key in keys.trusted(tmp_path)] == [keys.keyid(key.public_key())]
    else:
        with pytest.raises(UsageError, match="no release key in "):
            keys.trusted(tmp_path)
