"""RSASSA-PSS in pure Python: RSA-3072, e 65537, SHA-256, MGF1-SHA256, salt of 32 bytes, as Secure Boot V2 has it.
Source: RFC 8017, 9.1.2. An ESP8266 has no three-argument pow(): the 17 modular
multiplications that it would be stand here."""

import hashlib

from micropython import const

_BYTES = const(384)  # of the modulus and of a signature
_HASH = const(32)  # SHA-256, and the salt
_DB = _BYTES - _HASH - 1  # the masked data block: zeros, 0x01, salt


def _product(a: int, b: int, n: int) -> int:
    # a * b % n, a quarter of `a` at a time: no number in between takes more than 482 bytes in one piece, where the whole product
    # and its quotient take 770 each. A heap that is nearly full has no such pieces.
    found, bits = 0, 768
    quarter = (1 << bits) - 1  # not a constant: that would lie in the file
    for bits in (2304, 1536, 768, 0):
        found = ((found << 768) + (a >> bits & quarter) * b) % n
    return found


def verify_pss(n: int, digest: bytes, sig: bytes) -> bool:
    """Whether `sig` (384 bytes) signs `digest` (SHA-256 of the message) under modulus `n`."""
    number = int.from_bytes(sig, "big")
    if len(sig) != _BYTES or len(digest) != _HASH or number >= n:  # plus n, it would pass as a second signature
        return False
    power = number
    for _ in range(16):  # 65537 is 2**16 + 1
        power = _product(power, power, n)
    block = _product(power, number, n).to_bytes(_BYTES, "big")
    if block[_BYTES - 1] != 0xBC or block[0] & 0x80:
        return False
    expected = block[_DB : _DB + _HASH]
    data = bytearray(block[:_DB])
    for start in range(0, _DB, _HASH):
        mask = hashlib.sha256(expected + (start // _HASH).to_bytes(4, "big")).digest()
        for i in range(start, min(start + _HASH, _DB)):
            data[i] ^= mask[i - start]
    data[0] &= 0x7F  # the encoded message is one bit shorter than the modulus
    padding, salt = data[:-_HASH], data[-_HASH:]
    good = hashlib.sha256(bytes(8) + digest + salt).digest() == expected
    return good and padding[-1] == 1 and not any(padding[:-1])
