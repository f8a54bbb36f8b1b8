"""The Secure Boot V2 sector behind an app image: who signed it, and a signature of one's own.

Source: ESP-IDF docs/en/security/secure-boot-v2.rst, esp_rom secure_boot.h (ets_secure_boot_sig_block_t). espsecure, which
comes with esptool, signs and verifies; what it does not tell, the key that a block carries, is read here.
"""

import tempfile
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import espsecure
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from esptool import FatalError

from otactl.errors import ReleaseError, UsageError
from otactl.files import read_named
from otactl.release import silent
from otactl.workspace import keys

SECTOR = 4096
_BLOCK = 1216
_BLOCKS = 3
_MAGIC = 0xE7
_RSA, _ECDSA = b"\xe7\x02\0\0", b"\xe7\x03\0\0"  # magic, version; of ECDSA also the hash: SHA-256
_P256 = 2
_ABSENT = b"\xff" * _BLOCK


def signers(app: bytes, end: int, name: str) -> tuple[str, ...]:
    """The digests (hex) of the keys that signed `app`, every one of them verified; empty where there is no sector.

    `end`: where the image ends without it. A block of a scheme that boards do not verify (P-384, P-192) is passed over.
    Raises ReleaseError where a sector is cut, moved or damaged, or a signature is wrong.
    """
    at = -(-end // SECTOR) * SECTOR  # ESP-IDF looks there
    last = max(len(app) - SECTOR, 0)
    if app[at : at + 1] != bytes([_MAGIC]):
        if app[last : last + 1] == bytes([_MAGIC]) and last > at and last % SECTOR == 0:
            raise _broken(name, f"its sector is at {last:#x}, where the image ends it would be at {at:#x}")
        return ()
    if last != at:
        raise _broken(name, f"its sector at {at:#x} is cut short, or something follows it")
    sector = app[at:]
    blocks = [sector[i * _BLOCK : (i + 1) * _BLOCK] for i in range(_BLOCKS)]
    if sector[_BLOCKS * _BLOCK :].strip(b"\xff"):
        raise _broken(name, "its sector is damaged")
    found = [_signer(app[:at], block, f"block {i}", name) for i, block in enumerate(blocks) if block != _ABSENT]
    return tuple(digest for digest in found if digest)


def sign(app: bytes, key: Path) -> bytes:
    """`app` with espsecure's signature by the PEM `key`, in a new sector or in the next block of the one that it has.

    Raises UsageError where that is no private key, or the sector is full.
    """
    silent.esptool()
    read_named(key)
    with tempfile.TemporaryDirectory(prefix="otactl-") as work:
        given, signed = Path(work) / "given.bin", Path(work) / "signed.bin"
        given.write_bytes(app)
        try:
            with key.open("rb") as pem, given.open("rb") as file:
                espsecure.sign_data("2", [pem], str(signed), True, False, None, [], [], file)
        except (FatalError, ValueError, TypeError) as error:
            raise UsageError(f"{key} cannot sign an image: {error}") from None
        return signed.read_bytes()


def digests(path: Path) -> list[str]:
    """By what boards are told to trust the key in a PEM, public or private, or the keys of a signed image (hex).

    Raises UsageError where the file has none that boards verify with, ReleaseError where an image's signature is wrong.
    """
    data = read_named(path)
    if b"-----BEGIN" in data:
        return [_digest_of_pem(path, data)]
    at = len(data) - SECTOR
    found = signers(data, at, str(path)) if at > 0 else ()
    if not found:
        raise UsageError(
            f"{path} is neither a PEM nor a signed app image: make a key with espsecure generate-signing-key"
        )
    return list(found)


def _digest_of_pem(path: Path, data: bytes) -> str:
    load = _private if b"PRIVATE KEY" in data else serialization.load_pem_public_key
    try:
        key = load(data)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{path} is not an unencrypted PEM: {error}") from None
    if isinstance(key, rsa.RSAPublicKey) and (key.key_size, key.public_numbers().e) == (keys.BITS, keys.EXPONENT):
        return keys.keyid(key)
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        numbers = key.public_numbers()
        return sha256(bytes([_P256]) + _little(numbers.x, 32) + _little(numbers.y, 32)).hexdigest()
    raise UsageError(f"{path} is neither an RSA-{keys.BITS} key with exponent {keys.EXPONENT} nor a P-256 key")


def _private(data: bytes) -> object:
    return serialization.load_pem_private_key(data, password=None).public_key()


def _signer(body: bytes, block: bytes, where: str, name: str) -> str:
    """The digest of the key that signed `body`; empty for a scheme that boards do not know."""
    silent.esptool()
    alone = body + block + b"\xff" * (SECTOR - _BLOCK)  # espsecure takes a sector for one of a single scheme
    if espsecure.validate_signature_block(alone, 0) is None or any(block[-16:]):
        raise _broken(name, f"{where} is damaged")
    try:
        known = _key(block)
        if known is None:
            return ""
        key, digest = known
        pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        espsecure.verify_signature("2", False, None, BytesIO(pem), BytesIO(alone))
    except ValueError:  # no point of the curve, no modulus
        raise _broken(name, f"{where} has no key") from None
    except FatalError:
        raise _broken(name, f"{where} does not sign this image") from None
    return digest


def _key(block: bytes) -> tuple[rsa.RSAPublicKey | ec.EllipticCurvePublicKey, str] | None:
    """The key in a block, and its digest. Raises ValueError where the numbers are none."""
    if block[:4] == _RSA:
        n, e = int.from_bytes(block[36:420], "little"), int.from_bytes(block[420:424], "little")
        return rsa.RSAPublicNumbers(e, n).public_key(), sha256(block[36:812]).hexdigest()
    if block[:4] == _ECDSA and block[36] == _P256:
        x, y = int.from_bytes(block[37:69], "little"), int.from_bytes(block[69:101], "little")
        return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key(), sha256(block[36:101]).hexdigest()
    return None


def _little(number: int, size: int) -> bytes:
    return number.to_bytes(size, "little")


def _broken(name: str, what: str) -> ReleaseError:
    return ReleaseError(f"{name}: the image's own signature is broken, {what}: sign it again, or publish it unsigned")
