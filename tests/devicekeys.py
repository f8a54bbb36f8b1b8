"""Device keys, and encrypted images by an independent reader and writer of Espressif's format: `cryptography` alone, straight
from the table of the format (docs/security.md, "Encrypted firmware", names its source)."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

HEADER = 512
MAGIC = 0x0788B6CF
SCHEMES = ("rsa3072", "ecc256")


@dataclass(frozen=True)
class DeviceKey:
    """`path` of its PEM, `public` of the public half."""

    scheme: str
    private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    path: Path
    public: Path

    @property
    def file(self) -> str:
        """What a board has of it."""
        if isinstance(self.private, rsa.RSAPrivateKey):
            n = self.private.private_numbers()
            return json.dumps({"rsa3072": [n.p, n.q, n.d % (n.p - 1), n.d % (n.q - 1), pow(n.q, -1, n.p)]})
        return json.dumps({"ecc256": self.private.private_numbers().private_value})

    def encrypt(self, app: bytes, *, key: bytes | None = None, iv: bytes | None = None) -> bytes:
        """The encrypted file; `key` is of AES, for RSA only."""
        iv = iv or os.urandom(16)
        if isinstance(self.private, rsa.RSAPrivateKey):
            key = key or os.urandom(32)
            wrapped = self.private.public_key().encrypt(key, padding.PKCS1v15())
        else:
            sender, salt = ec.generate_private_key(ec.SECP256R1()), os.urandom(32)
            key = hkdf(sender.exchange(ec.ECDH(), self.private.public_key()), salt)
            numbers = sender.public_key().public_numbers()
            wrapped = numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big") + salt + bytes(288)
        cipher = Cipher(algorithms.AES(key), modes.GCM(iv)).encryptor()
        body = cipher.update(app) + cipher.finalize()
        header = MAGIC.to_bytes(4, "little") + wrapped + iv + len(app).to_bytes(4, "little") + cipher.tag + bytes(88)
        assert len(header) == HEADER
        return header + body

    def decrypt(self, file: bytes) -> bytes:
        """The image in it. Raises InvalidTag, ValueError."""
        assert int.from_bytes(file[:4], "little") == MAGIC
        assert int.from_bytes(file[404:408], "little") == len(file) - HEADER
        assert not any(file[424:HEADER])
        if isinstance(self.private, rsa.RSAPrivateKey):
            key = self.private.decrypt(file[4:388], padding.PKCS1v15())
        else:
            x, y = (int.from_bytes(file[at : at + 32], "big") for at in (4, 36))
            sender = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
            key = hkdf(self.private.exchange(ec.ECDH(), sender), file[68:100])
            assert not any(file[100:388])
        cipher = Cipher(algorithms.AES(key), modes.GCM(file[388:404], file[408:424])).decryptor()
        return cipher.update(file[HEADER:]) + cipher.finalize()


def hkdf(shared: bytes, salt: bytes) -> bytes:
    return HKDF(hashes.SHA256(), 32, salt, b"_esp_enc_img_ecc").derive(shared)


def make(folder: Path, scheme: str, name: str = "ours") -> DeviceKey:
    """A new key, in PEM files as Espressif's tool writes them."""
    private = rsa.generate_private_key(65537, 3072) if scheme == "rsa3072" else ec.generate_private_key(ec.SECP256R1())
    path, public = folder / f"{scheme}-{name}.pem", folder / f"{scheme}-{name}.pub.pem"
    path.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    public.write_bytes(
        private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return DeviceKey(scheme, private, path, public)
