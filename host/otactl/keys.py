"""Release keys: RSA-3072, as `espsecure generate-signing-key --version 2 --scheme rsa3072` makes them.

Signatures are RSASSA-PSS, SHA-256, salt 32. The keyid is the digest that Secure Boot V2 knows a public key by:
SHA-256 over modulus, exponent and two Montgomery constants, all little-endian (ESP-IDF secure_boot.h).
"""

import json
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from otactl.errors import UsageError
from otactl.files import write_private

BITS = 3072
EXPONENT = 65537
_PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)


def generate(path: Path) -> rsa.RSAPrivateKey:
    """A new key, as PEM that only its owner can read. Raises FileExistsError: a key is never overwritten."""
    key = rsa.generate_private_key(public_exponent=EXPONENT, key_size=BITS)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    write_private(path, pem)
    return key


def load(path: Path) -> rsa.RSAPrivateKey:
    """Raises UsageError naming the file where it is missing or no RSA-3072 key with exponent 65537."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except FileNotFoundError:
        raise UsageError(f"no release key at {path}: run `otactl init`, or copy your key there") from None
    except (ValueError, TypeError) as error:
        raise UsageError(f"{path} is not an unencrypted PEM private key: {error}") from None
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size != BITS:
        raise UsageError(f"{path} is not an RSA-{BITS} key; boards verify no other kind")
    if key.public_key().public_numbers().e != EXPONENT:
        raise UsageError(f"{path} has a public exponent other than {EXPONENT}; boards verify no other")
    return key


def keyid(key: rsa.RSAPublicKey) -> str:
    """64 hex digits."""
    n = key.public_numbers().n
    r = (1 << 2 * BITS) % n
    m = -pow(n, -1, 1 << 32) % (1 << 32)
    block = n.to_bytes(384, "little") + EXPONENT.to_bytes(4, "little")
    return sha256(block + r.to_bytes(384, "little") + m.to_bytes(4, "little")).hexdigest()


def sign(key: rsa.RSAPrivateKey, message: bytes) -> bytes:
    return key.sign(message, _PSS, hashes.SHA256())


def verify(key: rsa.RSAPublicKey, signature: bytes, message: bytes) -> bool:
    try:
        key.verify(signature, message, _PSS, hashes.SHA256())
    except InvalidSignature:
        return False
    return True


def for_board(keys: list[rsa.RSAPublicKey]) -> str:
    """keys.json, as device/ota/signature.py reads it: keyid -> modulus, in hex."""
    return json.dumps({keyid(key): f"{key.public_numbers().n:0768x}" for key in keys}, indent=1) + "\n"
