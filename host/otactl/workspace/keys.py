"""Release keys: RSA-3072, as `espsecure generate-signing-key --version 2 --scheme rsa3072` makes.

Signatures are RSASSA-PSS, SHA-256, salt 32. The keyid is the digest by which Secure Boot V2 knows
a public key: SHA-256 over modulus, exponent and two Montgomery constants, all little-endian.
Source: ESP-IDF esp_rom/include/*/rom/secure_boot.h (ets_secure_boot_sig_block_t).
"""

import functools
import json
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from otactl.errors import UsageError
from otactl.files import write_atomic, write_private
from otactl.workspace import passphrase

BITS = 3072
EXPONENT = 65537
PUBLIC_SUFFIX = ".pub.json"
UNTRUSTED_SUFFIX = ".untrusted.json"  # the public half of a key that boards trust no longer, or not yet
_SIZE = BITS // 8  # bytes of a modulus and of a signature
_PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)


def generate(path: Path, secret: bytes | None = None) -> rsa.RSAPrivateKey:
    """A new key as PEM that only its owner can read, and its public half beside it. `secret`: its passphrase, if any.

    Raises FileExistsError: a key is never overwritten.
    """
    key = rsa.generate_private_key(public_exponent=EXPONENT, key_size=BITS)
    write_private(path, _pem(key, secret))
    _write_public(path, key.public_key())
    return key


def make(path: Path, secret: bytes | None = None) -> rsa.RSAPrivateKey:
    """As generate(), of a key that no board is told to trust by its file: a trust document has to name it."""
    key = rsa.generate_private_key(public_exponent=EXPONENT, key_size=BITS)
    write_private(path, _pem(key, secret))
    write_atomic(untrusted_file(path), for_board([key.public_key()]).encode())
    return key


def keep_or_generate(path: Path, secret: bytes | None = None) -> None:
    """The key at `path`, with its public half beside it; a new one only where there is none, with `secret` for passphrase.

    Raises UsageError where what is there is no key that boards can trust.
    """
    if path.exists():
        _write_public(path, load(path).public_key())
    else:
        generate(path, secret)


def encrypt(path: Path, secret: bytes | None) -> None:
    """Give the key at `path` another passphrase; None: no passphrase. Raises UsageError."""
    write_atomic(path, _pem(load(path), secret), 0o600)


def _pem(key: rsa.RSAPrivateKey, secret: bytes | None) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(secret) if secret else serialization.NoEncryption(),
    )


def _write_public(path: Path, key: rsa.RSAPublicKey) -> None:
    """The public half beside the key at `path`; what boards trust of a lost one before it stays, under another name."""
    beside = public_file(path)
    lost = [one for one in public(beside) if keyid(one) != keyid(key)] if beside.exists() else []
    for one in lost:
        write_atomic(beside.with_name(f"{path.stem}-{keyid(one)[:8]}{PUBLIC_SUFFIX}"), for_board([one]).encode())
    write_atomic(beside, for_board([key]).encode())


def public_file(path: Path) -> Path:
    """Where the public half of the key at `path` lies: keys/release.pem, keys/release.pub.json."""
    return path.with_name(path.stem + PUBLIC_SUFFIX)


def untrusted_file(path: Path) -> Path:
    """The same of a key that boards trust no longer, or not yet."""
    return path.with_name(path.stem + UNTRUSTED_SUFFIX)


def is_encrypted(path: Path) -> bool:
    """Whether a passphrase is needed for the key at `path`: PKCS 8, or the older form of OpenSSL."""
    return b"ENCRYPTED" in _read(path)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UsageError(
            f"no release key at {path}: copy it there; if it is lost, `otactl keys new` makes one, which boards get by cable"
        ) from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None


def load(path: Path) -> rsa.RSAPrivateKey:
    """The key at `path`; where it is encrypted the passphrase is looked for, or asked for (passphrase.of).

    Raises UsageError naming the file where it is missing or no RSA-3072 key, exponent 65537; KeyboardInterrupt.
    """
    data = _read(path)
    secret = passphrase.of(path) if is_encrypted(path) else None
    try:
        key = _parsed(data, secret)
    except (ValueError, TypeError):
        if secret:  # OpenSSL does not tell a wrong passphrase from a damaged file
            raise passphrase.wrong(path) from None
        raise UsageError(f"{path} is not a PEM private key: {_instead(data)}") from None
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size != BITS:
        raise UsageError(f"{path} is not an RSA-{BITS} key; boards verify no other kind")
    if key.public_key().public_numbers().e != EXPONENT:
        raise UsageError(f"{path} has a public exponent other than {EXPONENT}: boards refuse it")
    return key


def _instead(data: bytes) -> str:
    if b"PUBLIC KEY" in data:
        return "it is a public one; name the file that signs"
    return "`otactl keys list` shows those of a workspace"


@functools.lru_cache(maxsize=16)
def _parsed(data: bytes, secret: bytes | None) -> Any:
    """The check of a key takes a tenth of a second, and a change of keys looks at them several times."""
    return serialization.load_pem_private_key(data, secret)


def public_half(path: Path) -> rsa.RSAPublicKey:
    """Of the key at `path`. Of an encrypted one as the file beside it says: nobody is asked for a passphrase to list keys.

    Raises UsageError.
    """
    for beside in (public_file(path), untrusted_file(path)):
        if is_encrypted(path) and beside.exists() and (found := public(beside)):
            return found[0]
    return load(path).public_key()


def trusted(folder: Path) -> list[rsa.RSAPublicKey]:
    """The public keys in `folder`, from every *.pub.json and from the private keys beside them; not from those that
    `otactl keys new` has put aside: without its *.pub.json such a key is trusted no longer.

    More than one while an old key is being replaced. Raises UsageError where there is none.
    """
    found = [key for path in sorted(folder.glob(f"*{PUBLIC_SUFFIX}")) for key in public(path)]
    found += [public_half(path) for path in sorted(folder.glob("*.pem")) if is_trusted_alone(path)]
    if not found:
        raise UsageError(f"no release key in {folder}: copy yours there; if it is lost, `otactl keys new` makes one")
    return list({keyid(key): key for key in found}.values())


def is_trusted_alone(path: Path) -> bool:
    """Whether the private key in `path` stands for its public half, which is not beside it."""
    return not public_file(path).exists() and not path.name.startswith("release-")


def public(path: Path) -> list[rsa.RSAPublicKey]:
    """The keys in a *.pub.json, or a board's keys.json. Raises UsageError."""
    try:
        found = {
            name: rsa.RSAPublicNumbers(EXPONENT, int(n, 16)).public_key()
            for name, n in json.loads(path.read_text()).items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        raise UsageError(
            f"{path} is no public key file: name a PEM, a *.pub.json of `otactl keys export`, or a board's keys.json"
        ) from None
    for name, key in found.items():
        if key.key_size != BITS or keyid(key) != name:
            raise UsageError(f"{path}: the key does not belong to its keyid {name[:16]}…")
    return list(found.values())


def keyid(key: rsa.RSAPublicKey) -> str:
    """64 hex digits, as `espsecure digest-sbv2-public-key` writes them in binary."""
    n = key.public_numbers().n
    r = (1 << 2 * BITS) % n
    m = -pow(n, -1, 1 << 32) % (1 << 32)
    block = n.to_bytes(_SIZE, "little") + EXPONENT.to_bytes(4, "little")
    return sha256(block + r.to_bytes(_SIZE, "little") + m.to_bytes(4, "little")).hexdigest()


def sign(key: rsa.RSAPrivateKey, message: bytes) -> bytes:
    """The signature, 384 bytes."""
    return key.sign(message, _PSS, hashes.SHA256())


def verify(key: rsa.RSAPublicKey, signature: bytes, message: bytes) -> bool:
    """Whether `key` made `signature` over `message`, with a salt of exactly 32 bytes."""
    try:
        key.verify(signature, message, _PSS, hashes.SHA256())
    except InvalidSignature:
        return False
    return True


def for_board(keys: Iterable[rsa.RSAPublicKey]) -> str:
    """keys.json, as device/ota/signature.py reads it: keyid -> modulus, in hex."""
    moduli = {keyid(key): f"{key.public_numbers().n:0{_SIZE * 2}x}" for key in keys}
    return json.dumps(moduli, indent=1) + "\n"
