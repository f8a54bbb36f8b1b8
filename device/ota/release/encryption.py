"""What a release says of its encrypted image, and the key that opens it. The format is that of Espressif's esp_encrypted_img: a
header of 512 bytes, then the image under AES-256-GCM. The header comes with the signed release: nothing of it is an attacker's.

header: magic (4 bytes), wrapped AES key (384), IV (16), size (4, little-endian), tag (16), zeros.

Sources: esp_encrypted_img 2.7.1 (esp_encrypted_img_priv.h, esp_enc_img_gen.py); RFC 8017, 7.2.2 (RSA-3072, PKCS#1 v1.5, by the
Chinese remainder theorem); SEC 1, 3.3.1, and RFC 5869 (ECIES on P-256: the x of the shared point, HKDF-SHA256). Pure Python takes
other times for other keys: who could measure them, by headers of his own, has the release key already (docs/security.md)."""

import binascii
import hashlib
import json

from .. import steps
from ..errors import require


def opened(wanted: dict, target: dict):
    """Steps that return (AES key, IV) of a target's image, None where it is not encrypted. `wanted`: the configuration's
    entry `encryption`. P1: what does not open is refused here, before a byte of the image is asked for. Raises OtaError
    bad-release, encryption, encryption-key."""
    said = target.get("encryption")
    if said is None:
        require(not wanted["required"], "encryption", "none")
        return None
    key, fault = None, ("bad-release", "encryption")
    try:
        scheme = str(said["scheme"])
        header = binascii.a2b_base64(said["header"])
        header += bytes(512 - len(header))  # its last zeros may be left out
        if header[:4] + header[404:408] != b"\xcf\xb6\x88\x07" + target["size"].to_bytes(4, "little"):
            raise ValueError
        fault = "encryption-key", scheme  # no such file, none that `otactl deploy` wrote, or one that does not open it
        with open(wanted["key"]) as f:
            keys = json.load(f)
        require(scheme in keys, "encryption", scheme[:16])
        unwrap = _rsa3072 if scheme == "rsa3072" else _ecc256
        key = yield from unwrap(header[4:388], keys[scheme])
    except (OSError, ValueError, TypeError, KeyError):
        pass
    require(key, *fault)
    return key, header[388:404]


def _rsa3072(wrapped: bytes, numbers: "list[int]"):
    # Steps that return the AES key, False where it does not open. `numbers`: p, q, d mod p-1, d mod q-1, 1/q mod p.
    p, q, dp, dq, inverse = numbers
    sealed = int.from_bytes(wrapped, "big")
    one = pow(sealed % p, dp, p)
    yield steps.wait("key", 0)
    two = pow(sealed % q, dq, q)
    block = (two + (one - two) * inverse % p * q).to_bytes(384, "big")
    good = block[:2] == b"\0\2" and all(block[2:351]) and not block[351] and sealed < p * q
    return good and block[352:]


def _ecc256(wrapped: bytes, scalar: int):
    # The same; None where the sender's point is none. Another device's key opens everything, to another AES key.
    from . import p256  # what RSA does without

    point = int.from_bytes(wrapped[:32], "big"), int.from_bytes(wrapped[32:64], "big")
    shared = yield from p256.combine("key", 0, scalar, point)
    return shared and _hmac(_hmac(wrapped[64:96], shared[0].to_bytes(32, "big")), b"_esp_enc_img_ecc\x01")


def _hmac(key: bytes, message: bytes) -> bytes:
    # HMAC-SHA256 with a key of 32 bytes
    key += bytes(32)
    for pad in (0x36, 0x5C):
        message = hashlib.sha256(bytes(byte ^ pad for byte in key) + message).digest()
    return message
