"""A delta file read by somebody else: written from docs/deltas.md, with nothing of otactl and nothing of the agent."""

import struct
import zlib
from hashlib import sha256


class Damaged(Exception):
    """It is no delta for that base, or not the one that was vouched for."""


def apply(delta: bytes, base: bytes, chain: bytes) -> bytes:
    """The image that `delta` makes of `base`. Raises Damaged."""
    magic, version, bits, room, size, base_size = struct.unpack("<4sBBHII", delta[:16])
    if (magic, version, bits, base_size) != (b"OTAd", 1, 10, len(base)):
        raise Damaged("header")
    image, at, expected = bytearray(), 16, chain
    while len(image) < size:
        packed, sectors, zero, following = struct.unpack("<HBB16s", delta[at : at + 20])
        record = delta[at : at + 20 + packed]
        if sha256(record).digest()[:16] != expected:
            raise Damaged("chain")
        if not (packed <= room and 1 <= sectors <= 16 and zero == 0):
            raise Damaged("record")
        if len(image) // 65536 != (len(image) + sectors * 4096 - 1) // 65536:
            raise Damaged("boundary")
        inflate = zlib.decompressobj(-bits)
        image += record_made(inflate.decompress(record[20:]), sectors, base, len(image), size)
        if not inflate.eof or inflate.unused_data:
            raise Damaged("deflate")
        at, expected = at + 20 + packed, following
    if at != len(delta) or expected != bytes(16):
        raise Damaged("end")
    return bytes(image)


def records(delta: bytes) -> list[bytes]:
    """What its records have of deflate, in order."""
    found, at = [], 16
    while at < len(delta):
        packed = int.from_bytes(delta[at : at + 2], "little")
        found.append(delta[at + 20 : at + 20 + packed])
        at += 20 + packed
    return found


def work(delta: bytes, size: int) -> tuple[int, int]:
    """What it is to make its image of `size` bytes: bytes that come of deflate, and corrections."""
    inflated = corrections = done = 0
    for packed in records(delta):
        raw, at = zlib.decompress(packed, -10), 0
        inflated += len(raw)
        while at < len(raw):
            length = min(4096, size - done)
            copies, wrong = struct.unpack_from("<HH", raw, at)
            at, given = at + 4, 0
            for _ in range(copies):
                literal, copied, _ = struct.unpack_from("<HHi", raw, at)
                at, given = at + 8 + literal, given + literal + copied
            at, done, corrections = at + length - given + 2 * wrong, done + length, corrections + wrong
    return inflated, corrections


def record_made(raw: bytes, sectors: int, base: bytes, start: int, size: int) -> bytes:
    made, at, displacement = bytearray(), 0, 0

    def take(n: int) -> bytes:
        nonlocal at
        if at + n > len(raw):
            raise Damaged("short")
        at += n
        return raw[at - n : at]

    for _ in range(sectors):
        length = min(4096, size - start - len(made))
        copies, corrections = struct.unpack("<HH", take(4))
        sector = bytearray()
        for _ in range(copies):
            literal, copied, change = struct.unpack("<HHi", take(8))
            sector += take(literal)
            displacement += change
            source = start + len(made) + len(sector) + displacement
            if source < 0 or source + copied > len(base):
                raise Damaged("source")
            sector += base[source : source + copied]
        if length <= 0 or len(sector) > length:
            raise Damaged("length")
        sector += take(length - len(sector))
        place = 0
        while corrections:
            group = min(corrections, 256)
            for gap, add in zip(take(group), take(group), strict=True):
                place += gap
                sector[place] = (sector[place] + add) % 256
            corrections -= group
        made += sector
    if at != len(raw):
        raise Damaged("rest")
    return bytes(made)
