"""A delta file: the sectors of an image in records, each compressed by itself and known by a hash in the one before."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from otactl.release.delta import matches, sectors
from otactl.release.delta.layout import BLOCK, CAP, HASH, HEAD, MOST_SECTORS, ROOMY, SECTOR, WINDOW_BITS, header
from otactl.release.delta.sectors import Sector


@dataclass(frozen=True, slots=True)
class Delta:
    """`chain`: the hash of its first record (HASH bytes), by which a signed release vouches for all of it; `room`: bytes of
    deflate in its largest record."""

    file: bytes
    chain: bytes
    records: int
    room: int


def make(base: bytes, image: bytes) -> Delta:
    """What makes `image` of `base`. Without a base (b"") it is the image, compressed."""
    found = sectors.cut(base, image, matches.find(base, image), SECTOR)
    packed = _packed(found)
    following, records = bytes(HASH), []
    for count, data in reversed(packed):
        record = HEAD.pack(len(data), count, 0, following) + data
        following = sha256(record).digest()[:HASH]
        records.append(record)
    room = max((len(data) for _, data in packed), default=0)
    return Delta(header(room, len(image), len(base)) + b"".join(reversed(records)), following, len(records), room)


def _packed(every: Sequence[Sector]) -> list[tuple[int, bytes]]:
    """(sectors, deflate) of each record: as many sectors as fit."""
    found, at = [], 0
    while at < len(every):
        room = min(MOST_SECTORS, BLOCK // SECTOR - at % (BLOCK // SECTOR), len(every) - at)
        count, data = _fullest(every[at : at + room])
        found.append((count, data))
        at += count
    return found


def _fullest(group: Sequence[Sector]) -> tuple[int, bytes]:
    fits, data = 1, _deflated(group[:1])
    least, most = 2, len(group)
    while least <= most:
        count = (least + most) // 2
        tried = _deflated(group[:count])
        if len(tried) <= ROOMY:
            fits, data, least = count, tried, count + 1
        else:
            most = count - 1
    return fits, data


def _deflated(group: Sequence[Sector]) -> bytes:
    raw, displacement = bytearray(), 0
    for one in group:
        part, displacement = one.encoded(displacement)
        raw += part
    data = min((_compress(bytes(raw), level) for level in (9, 0)), key=len)
    assert len(group) > 1 or len(data) <= CAP
    return data


def _compress(raw: bytes, level: int) -> bytes:
    way = zlib.compressobj(level, zlib.DEFLATED, -WINDOW_BITS, 9)
    return way.compress(raw) + way.flush()
