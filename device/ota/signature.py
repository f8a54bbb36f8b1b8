"""RSASSA-PSS in pure Python: RSA-3072, e 65537, SHA-256, MGF1-SHA256, salt of 32 bytes.

Stock firmware has no public-key call, but its three-argument pow() makes this a matter of
17 modular multiplications. Source: RFC 8017, section 9.1.2; the parameters are those of Secure
Boot V2, so a key made by espsecure serves.
"""

import binascii
import hashlib
import json

from .errors import OtaError

_BYTES = 384  # of the modulus and of a signature
_HASH = 32  # SHA-256, and the salt
_DB = _BYTES - _HASH - 1  # the masked data block: zeros, 0x01, salt


def load_keys(path: str) -> "dict[str, int]":
    """The trusted keys of a keys.json: keyid (64 hex digits) -> modulus. Raises OtaError."""
    try:
        with open(path) as f:
            found = json.load(f)
        keys = {}
        for keyid, modulus in found.items():
            n = int.from_bytes(binascii.unhexlify(modulus), "big")
            # A short or an even modulus is a typing error or an attack, never a 3072-bit key.
            if len(keyid) != 2 * _HASH or n >> (8 * _BYTES - 1) != 1 or not n & 1:
                raise ValueError
            keys[keyid.lower()] = n
    except OSError:
        raise OtaError("keys-missing", path)
    except (ValueError, TypeError, AttributeError):
        raise OtaError("keys-invalid", path)
    if not keys:
        raise OtaError("keys-invalid", path)
    return keys


def verify_pss(n: int, digest: bytes, sig: bytes) -> bool:
    """Whether `sig` (384 bytes) signs `digest` (SHA-256 of the message) under modulus `n`."""
    if len(sig) != _BYTES or len(digest) != _HASH:
        return False
    number = int.from_bytes(sig, "big")
    if number >= n:  # the same signature plus n would pass as a second one
        return False
    block = pow(number, 65537, n).to_bytes(_BYTES, "big")
    if block[_BYTES - 1] != 0xBC or block[0] & 0x80:
        return False
    expected = block[_DB : _DB + _HASH]
    data = bytearray(block[:_DB])
    for start in range(0, _DB, _HASH):
        h = hashlib.sha256(expected)
        h.update((start // _HASH).to_bytes(4, "big"))
        mask = h.digest()
        for i in range(start, min(start + _HASH, _DB)):
            data[i] ^= mask[i - start]
    data[0] &= 0x7F  # the encoded message is one bit shorter than the modulus
    salt_at = _DB - _HASH
    if any(data[: salt_at - 1]) or data[salt_at - 1] != 1:
        return False
    h = hashlib.sha256(bytes(8))
    h.update(digest)
    h.update(data[salt_at:])
    return h.digest() == expected
