"""The Secure Boot V2 sector behind an app image: up to three blocks, each with a public key and its signature of the image.

Source: ESP-IDF docs/en/security/secure-boot-v2.rst, esp_rom secure_boot.h (ets_secure_boot_sig_block_t), and espsecure. A
key is known by its digest, as a chip's eFuse knows it. P-384 and P-192 are not known here."""

import binascii
import hashlib
import time

from micropython import const

from ..console import say
from ..errors import OtaError, require
from . import signature

SIZE = 4096
_BLOCK = const(1216)
_MOST = const(3)  # blocks
_CRC = const(1196)  # where the CRC-32 of all before it lies
_RSA, _ECDSA = b"\xe7\x02\x00\x00", b"\xe7\x03\x00\x00"  # magic, version; of ECDSA also the hash: SHA-256
_P256 = const(2)


def check(sector: memoryview, digest: bytes, trusted: "list[str]"):
    """Steps until one of the keys `trusted` (digests, hex) has been seen to sign `digest`, the SHA-256 of the image before
    `sector`. Raises OtaError image-signature: a block is damaged or of another image, none is by such a key, or a
    signature is wrong."""
    blocks = [sector[at : at + _BLOCK] for at in range(0, _MOST * _BLOCK, _BLOCK)]
    for block in blocks:  # all of them first: one that is good makes no other good
        _require_sound(block, digest)
    require(_erased(sector[_MOST * _BLOCK :]), "image-signature", "damaged")
    refusal = OtaError("image-signature", "no trusted key")
    for block in blocks:
        key = _key(block)
        if key in trusted:
            began = time.ticks_ms()
            if (yield from _is_good(block, digest)):
                say("signed", key[:16], time.ticks_diff(time.ticks_ms(), began), "ms")
                return
            refusal = OtaError("image-signature", key[:16])
    raise refusal


def _require_sound(block: memoryview, digest: bytes) -> None:
    # A block that is of this image, or none.
    if _erased(block):
        return
    crc = int.from_bytes(block[_CRC : _CRC + 4], "little")
    whole = block[0] == _RSA[0] and binascii.crc32(block[:_CRC]) == crc and not any(block[_CRC + 4 :])
    require(whole, "image-signature", "damaged")
    own = bytes(block[:4]) not in (_RSA, _ECDSA) or bytes(block[4:36]) == digest  # of P-384 it is another hash
    require(own, "image-signature", "of another image")


def _erased(part: memoryview) -> bool:
    return all(byte == 0xFF for byte in part)


def _key(block: memoryview) -> str:
    # The digest by which a block's key is trusted; empty for a scheme that is not known here.
    kind = bytes(block[:4])
    if kind == _RSA:
        digest = hashlib.sha256(block[36:812])
    elif kind == _ECDSA and block[36] == _P256:
        digest = hashlib.sha256(block[36:101])
    else:
        return ""
    return digest.digest().hex()


def _is_good(block: memoryview, digest: bytes):
    # Steps that return whether the block's key signed `digest`. All its numbers are little-endian.
    if block[1] == _RSA[1]:
        return signature.verify_pss(_number(block, 36, 384), digest, bytes(reversed(bytes(block[812:_CRC]))))
    from . import p256  # what RSA does without

    x, y, r, s = [_number(block, at, 32) for at in (37, 69, 101, 133)]
    return (yield from p256.verify(x, y, r, s, digest))


def _number(block: memoryview, at: int, size: int) -> int:
    return int.from_bytes(block[at : at + size], "little")
