"""Encrypted images, in the format of Espressif's esp_encrypted_img: a header of 512 bytes, then the image under AES-256-GCM.

Source: esp_encrypted_img 2.7.1, private_include/esp_encrypted_img_priv.h and tools/esp_enc_img_gen.py. The header does not
say which of the two schemes it is: that of P-256 leaves most of the room for the AES key zero.
"""

import secrets
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from otactl.errors import ReleaseError, UsageError
from otactl.files import read_named
from otactl.workspace import device_key
from otactl.workspace.device_key import ECC, RSA, Private, Public

HEADER = 512
_MAGIC = b"\xcf\xb6\x88\x07"
_KEY, _POINT, _SALT, _ROOM = slice(4, 388), slice(4, 68), slice(68, 100), slice(100, 388)  # in the header
_IV, _SIZE, _TAG = slice(388, 404), slice(404, 408), slice(408, 424)
_KEY_SIZE, _SALT_SIZE, _IV_SIZE, _TAG_SIZE = 32, 32, 16, 16
_INFO = b"_esp_enc_img_ecc"


@dataclass(frozen=True, slots=True)
class Encrypted:
    """`file`: as a server has it. `checked`: whether it has been opened, and holds the image. `public`: whom it is for, where
    that is known."""

    file: bytes
    scheme: str
    checked: bool
    public: Public | None = None

    def said(self) -> dict[str, Any]:
        """What a release says of it: a board resumes a download without the header, so it comes with the release."""
        return {
            "scheme": self.scheme,
            "header": b64encode(self.file[:HEADER].rstrip(b"\0")).decode(),
            "size": len(self.file),
            "sha256": sha256(self.file).hexdigest(),
        }


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person asks `publish` for: `public`, a PEM to encrypt for, or `files`, encrypted elsewhere, one for each image and
    in their order; `key`: the device's private PEM, to check those with."""

    public: Path | None = None
    files: Sequence[Path] = ()
    key: Path | None = None

    def of(self, apps: Sequence[bytes]) -> list[Encrypted]:
        """`apps`, encrypted. Raises ReleaseError, UsageError."""
        if self.public:
            if self.files or self.key:
                raise UsageError("--encrypt encrypts the images: leave out --encrypted and --device-key")
            public = device_key.load_public(self.public)
            return [encrypt(app, public) for app in apps]
        if not self.files:
            raise UsageError(
                "--device-key opens what another tool has encrypted: name those files with --encrypted, or have the images "
                "encrypted here with --encrypt encryption/device.pub.pem"
            )
        if len(self.files) != len(apps):
            raise UsageError(
                f"--encrypted: {len(self.files)} for {len(apps)} images; give one for each, in their order"
            )
        key = device_key.load(self.key) if self.key else None
        return [load(path, app, key) for path, app in zip(self.files, apps, strict=True)]


def encrypt(app: bytes, public: Public) -> Encrypted:
    """`app` for boards that have the private half of `public`."""
    if isinstance(public, rsa.RSAPublicKey):
        key = secrets.token_bytes(_KEY_SIZE)
        wrapped = public.encrypt(key, padding.PKCS1v15())
    else:
        ours, salt = ec.generate_private_key(ec.SECP256R1()), secrets.token_bytes(_SALT_SIZE)
        key = _derived(ours.exchange(ec.ECDH(), public), salt)
        point = ours.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        wrapped = (point[1:] + salt).ljust(_KEY.stop - _KEY.start, b"\0")
    iv = secrets.token_bytes(_IV_SIZE)
    sealed = AESGCM(key).encrypt(iv, app, None)
    body, tag = sealed[:-_TAG_SIZE], sealed[-_TAG_SIZE:]
    header = _MAGIC + wrapped + iv + len(app).to_bytes(4, "little") + tag
    return Encrypted(header.ljust(HEADER, b"\0") + body, device_key.scheme_of(public), checked=True, public=public)


def load(path: Path, app: bytes, key: Private | None) -> Encrypted:
    """A file that another tool made of `app`; opened with the device's `key`, where there is one.

    Raises ReleaseError where it is none, or of another image; UsageError where there is no such file.
    """
    data = read_named(path)
    header, body = data[:HEADER], data[HEADER:]
    if len(header) < HEADER or not header.startswith(_MAGIC):
        raise ReleaseError(f"{path} is no encrypted image (esp_encrypted_img): it begins with {data[:4].hex(' ')}")
    if int.from_bytes(header[_SIZE], "little") != len(body):
        raise ReleaseError(f"{path} is cut short, or something follows the image: encrypt it again")
    if len(body) != len(app):
        raise ReleaseError(
            f"{path} holds {len(body)} bytes, the app image has {len(app)}: encrypt the very file that `publish` makes of it"
        )
    scheme = RSA if any(header[_ROOM]) else ECC
    if key and opened(data, key, str(path)) != app:
        raise ReleaseError(f"{path} holds another image than the one beside it: encrypt that one")
    return Encrypted(data, scheme, checked=bool(key), public=key.public_key() if key else None)


def opened(data: bytes, key: Private, name: str) -> bytes:
    """The image in an encrypted file, its tag verified. Raises ReleaseError where the key does not open it."""
    header = data[:HEADER]
    try:
        if isinstance(key, rsa.RSAPrivateKey):
            # of another key random bytes come out, or none at all
            aes = AESGCM(key.decrypt(header[_KEY], padding.PKCS1v15()))
        else:
            point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + header[_POINT])
            aes = AESGCM(_derived(key.exchange(ec.ECDH(), point), header[_SALT]))
        return aes.decrypt(header[_IV], data[HEADER:] + header[_TAG], None)
    except (InvalidTag, ValueError):
        raise ReleaseError(f"{name}: the device key does not open it, or it is damaged: encrypt it again") from None


def served(target: dict[str, Any]) -> tuple[int, str]:
    """Size and SHA-256 (hex) of the file that a release's target names: of the encrypted one, where there is one."""
    file = target.get("encryption") or target
    return int(file["size"]), str(file["sha256"]).lower()


def _derived(shared: bytes, salt: bytes) -> bytes:
    return HKDF(hashes.SHA256(), _KEY_SIZE, salt, _INFO).derive(shared)
