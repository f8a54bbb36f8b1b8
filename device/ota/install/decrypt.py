"""The transform of an encrypted image: a source of the plain text that reads another source, the file on the server. Where a
byte is in the file tells how it is decrypted, so resume needs no other state.

Source: NIST SP 800-38D, 6.3, 6.5 and 7.1 (GCM with an IV of 16 bytes). Stock firmware has AES in ECB and CBC only, so the
counter blocks are made here. The tag is not looked at: the signed SHA-256 of the plain text says more (docs/security.md)."""

import struct

from cryptolib import aes  # type: ignore[import-not-found]
from micropython import const

from .. import release
from ..errors import require

_HEADER = const(512)  # bytes before the image
_ECB = const(1)
_PIECE = const(256)  # bytes at a time: what the heap has a hole for


def source(wanted: dict, target: dict):
    """Steps that return what makes a source of a target's image, as HttpSource makes one of the file at an address: that
    itself where the image is not encrypted. `wanted`, and what is raised: as encryption.opened()."""
    from ..release import encryption
    from .source import HttpSource

    found = yield from encryption.opened(wanted, target)
    release.let_go("encryption", "p256")
    return (lambda *where: Decrypted(HttpSource(*where), *found)) if found else HttpSource


class Decrypted:
    """An image out of `file`, an HttpSource of its encrypted form. `key`, `iv`: of AES, 32 and 16 bytes. The rest as
    HttpSource has it, but that `offset` is below 0 while the header comes, as it does from a server without ranges."""

    def __init__(self, file, key: bytes, iv: bytes) -> None:
        file.size += _HEADER
        self._file, self._aes, self.close = file, aes(key, _ECB), file.close
        h = int.from_bytes(self._aes.encrypt(bytes(16)), "big")
        start = _times(_times(int.from_bytes(iv, "big"), h) ^ 128, h)  # GHASH of the IV and its length in bits
        self._counters = bytearray(start.to_bytes(16, "big") * (_PIECE // 16))
        # the low 32 bits of the counter, which wrap, in halves: small integers. The block after `start` is the first
        self._high, self._low = start >> 16 & 0xFFFF, (start & 0xFFFF) + 1
        self._stream = bytearray(_PIECE)

    def open(self, offset: int, etag: "str | None"):
        """As HttpSource.open()."""
        file = self._file
        yield from file.open(_HEADER + offset, etag)
        self.offset, self.etag = file.offset - _HEADER, file.etag

    def fill(self, buf: memoryview, have: int, want: int) -> int:
        """As HttpSource.fill(). A block is decrypted once it is whole. Raises OtaError encryption-key as well, where what comes
        out cannot be an app image."""
        file = self._file
        if self.offset < 0:
            self.offset += file.fill(buf, 0, min(want, -self.offset))
        else:
            have = file.fill(buf, have, want)
        self.ended = file.ended
        if have == want:
            self._decrypt(buf, want)
            # what every app image has there (release/image.py): only the right key brings it out
            require(self.offset or buf[32:36] == b"\x32\x54\xcd\xab", "encryption-key", "image")
            self.offset += want
        return have

    def _decrypt(self, view: memoryview, n: int) -> None:
        # In place: `n` bytes, the first of them at `offset` of the image.
        counters, stream = self._counters, self._stream
        block = self._low + self.offset // 16
        for at in range(0, n, _PIECE):
            for place in range(12, _PIECE, 16):
                struct.pack_into(">HH", counters, place, self._high + (block >> 16) & 0xFFFF, block & 0xFFFF)
                block += 1
            self._aes.encrypt(counters, stream)
            part = view[at : min(at + _PIECE, n)]
            mask = int.from_bytes(stream[: len(part)], "big")
            part[:] = (int.from_bytes(part, "big") ^ mask).to_bytes(len(part), "big")


def _times(x: int, h: int) -> int:
    # The product in GF(2^128), whose bits count from the left.
    product = 0
    for bit in range(127, -1, -1):
        if x >> bit & 1:
            product ^= h
        h = h >> 1 ^ (h & 1) * 0xE1 << 120
    return product
