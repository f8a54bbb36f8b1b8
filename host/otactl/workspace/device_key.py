"""The key by which boards open encrypted images: RSA-3072 or P-256. Many boards may share it; it signs nothing.

Source of the way from an HMAC key to a P-256 one: esp_enc_img_gen.py of Espressif's esp_encrypted_img, 2.7.1.
"""

import json
from hashlib import pbkdf2_hmac
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from otactl.errors import UsageError
from otactl.files import read_named, write_atomic, write_private
from otactl.workspace.workspace import Workspace

RSA, ECC = "rsa3072", "ecc256"  # the schemes, as a release has them
ON_BOARD = "/etc/ota/device.json"  # unless its configuration says otherwise
_BITS = 3072
_HMAC_SIZE = 32
_SALT = bytes.fromhex("0e2160642dae76d33448e43d7720123d9f3b1eceb88e573a4e8f7fb94ff0c869")
_ROUNDS = 2048

Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
Public = rsa.RSAPublicKey | ec.EllipticCurvePublicKey


class Kept(NamedTuple):
    """The device key of a workspace: `file` with the private key, `public` with the half to encrypt with."""

    file: Path
    public: Path
    scheme: str
    made: bool


def generate(scheme: str) -> Private:
    """A new key for `scheme`."""
    if scheme == RSA:
        return rsa.generate_private_key(public_exponent=65537, key_size=_BITS)
    return ec.generate_private_key(ec.SECP256R1())


def keep(place: Workspace, given: Path | None, scheme: str | None = None) -> Kept:
    """The device key of a workspace: the one that is there, else the key in `given`, else a new one for `scheme` (RSA).

    `given`: a private PEM, or a binary HMAC key of 32 bytes, as Espressif's tool makes one. A key is never overwritten.
    Raises UsageError where it is none, or another one is there.
    """
    path = place.device_key_file
    public = path.with_suffix(".pub.pem")
    wanted = _read(given) if given else None
    made = not path.exists()
    if made:
        key = wanted or generate(scheme or RSA)
        path.parent.mkdir(exist_ok=True)
        write_atomic(path.parent / ".gitignore", b"*.pem\n!*.pub.pem\n")  # one that was moved away, too
        write_private(path, _pem(key))
    else:
        key = load(path)
        if (wanted and not same(wanted.public_key(), key.public_key())) or scheme not in (None, scheme_of(key)):
            raise UsageError(f"{path} is another key, which boards may have: move it away first, and keep it")
    write_atomic(public, _public_pem(key.public_key()))
    return Kept(path, public, scheme_of(key), made)


def load(path: Path) -> Private:
    """Raises UsageError where `path` has no private key that boards open images with."""
    try:
        key = serialization.load_pem_private_key(read_named(path), password=None)
    except (ValueError, TypeError):
        raise UsageError(
            f"{path} is not an unencrypted PEM private key: `otactl keys device` makes one, or takes one over, without a passphrase"
        ) from None
    if not isinstance(key, Private):
        raise UsageError(_no_scheme(path))
    _require_scheme(path, key.public_key())
    return key


def load_public(path: Path) -> Public:
    """The key to encrypt with, from a PEM, public or private. Raises UsageError."""
    data = read_named(path)
    if b"PRIVATE KEY" in data:
        return load(path).public_key()
    try:
        key = serialization.load_pem_public_key(data)
    except (ValueError, TypeError):
        raise UsageError(
            f"{path} is no PEM public key: `otactl keys device` makes encryption/device.pub.pem, which is one"
        ) from None
    return _require_scheme(path, key)


def scheme_of(key: Private | Public) -> str:
    return RSA if isinstance(key, rsa.RSAPrivateKey | rsa.RSAPublicKey) else ECC


def same(one: Public, other: Public) -> bool:
    return _public_pem(one) == _public_pem(other)


def from_hmac_key(secret: bytes) -> ec.EllipticCurvePrivateKey:
    """The key that ESP-IDF derives from an HMAC key in eFuse. Raises ValueError where it is none of the curve."""
    return ec.derive_private_key(int.from_bytes(pbkdf2_hmac("sha256", secret, _SALT, _ROUNDS), "big"), ec.SECP256R1())


def for_board(key: Private) -> str:
    """What a board gets, as device/ota/release/encryption.py takes it: {"rsa3072": [p, q, d mod p-1, d mod q-1, 1/q mod p]} or
    {"ecc256": the scalar}."""
    if isinstance(key, rsa.RSAPrivateKey):
        one = key.private_numbers()
        return json.dumps({RSA: [one.p, one.q, one.dmp1, one.dmq1, one.iqmp]}) + "\n"
    return json.dumps({ECC: key.private_numbers().private_value}) + "\n"


def _read(path: Path) -> Private:
    data = read_named(path)
    if len(data) != _HMAC_SIZE:
        return load(path)
    try:
        return from_hmac_key(data)
    except ValueError:
        raise UsageError(f"{path}: no key of P-256 comes of this HMAC key: make another one") from None


def _require_scheme(path: Path, key: object) -> Public:
    if isinstance(key, rsa.RSAPublicKey) and key.key_size == _BITS:
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    raise UsageError(_no_scheme(path))


def _no_scheme(path: Path) -> str:
    return f"{path} is neither an RSA-{_BITS} nor a P-256 key: boards open images with no other kind"


def _pem(key: Private) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _public_pem(key: Public) -> bytes:
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
