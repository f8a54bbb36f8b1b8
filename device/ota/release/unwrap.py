"""The AES key out of the 384 bytes that hold it in the header of an encrypted image, by the key of the device.

Sources: RFC 8017, 7.2.2 (RSA-3072, PKCS#1 v1.5, by the Chinese remainder theorem); SEC 1, 3.3.1, RFC 5869 and
esp_enc_img_gen.py (ECIES on P-256: the x of the shared point, HKDF-SHA256). Pure Python takes other times for other keys:
who could measure them with headers of his own has the release key already (docs/security.md)."""

import hashlib

from .. import steps


def rsa3072(wrapped: bytes, numbers: "list[int]"):
    """Steps that return the AES key (32 bytes), None where it does not open. `numbers`: p, q, d mod p-1, d mod q-1,
    1/q mod p. Raises ValueError, TypeError where they are none."""
    p, q, dp, dq, inverse = numbers
    sealed = int.from_bytes(wrapped, "big")
    one = pow(sealed % p, dp, p)
    yield steps.wait("key", 0)
    two = pow(sealed % q, dq, q)
    yield steps.wait("key", 0)
    block = (two + (one - two) * inverse % p * q).to_bytes(384, "big")
    good = block[:2] == b"\0\2" and all(block[2:351]) and not block[351] and sealed < p * q
    return block[352:] if good else None


def ecc256(wrapped: bytes, scalar: int):
    """As rsa3072(): None where the sender's point is none. Another device's key opens everything, to another AES key.
    `scalar`: the private key."""
    from . import p256  # what RSA does without

    point = int.from_bytes(wrapped[:32], "big"), int.from_bytes(wrapped[32:64], "big")
    shared = yield from p256.combine("key", 0, scalar, point)
    if not shared:
        return None
    return _hmac(_hmac(wrapped[64:96], shared[0].to_bytes(32, "big")), b"_esp_enc_img_ecc\x01")


def _hmac(key: bytes, message: bytes) -> bytes:
    # HMAC-SHA256 with a key of 32 bytes
    key += bytes(32)
    for pad in (0x36, 0x5C):
        message = hashlib.sha256(bytes(byte ^ pad for byte in key) + message).digest()
    return message
