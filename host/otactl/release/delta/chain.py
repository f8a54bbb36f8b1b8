"""Whether a delta file is the one that a release vouches for: each record has the hash of the next, the release the first one's."""

from hashlib import sha256
from typing import Any

from otactl.release.delta.layout import HASH, HEAD, HEADER


def is_signed(data: bytes, entry: dict[str, Any]) -> bool:
    """`entry`: what the release says of it."""
    at, expected = HEADER.size, bytes.fromhex(entry["chain"])
    if len(data) != entry["size"]:
        return False
    while at + HEAD.size <= len(data):
        packed, _, _, following = HEAD.unpack_from(data, at)
        end = at + HEAD.size + packed
        if sha256(data[at:end]).digest()[:HASH] != expected:
            return False
        at, expected = end, following
    return at == len(data) and expected == bytes(HASH)
