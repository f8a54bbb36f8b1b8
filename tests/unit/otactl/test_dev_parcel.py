"""Pieces of a parcel: whole, and without Ctrl-C whatever the files hold."""

import random
import zlib
from binascii import crc32

import pytest
from otactl.board.dev.parcel import Parcel

EVERY = bytes(range(256)) * 8
NOISE = random.Random(7).randbytes(50_000)


def opened(parcel: Parcel) -> bytes:
    """What a board makes of its pieces (device/dev.py)."""
    whole = b""
    while len(whole) < parcel.size:
        piece = parcel.piece(len(whole))
        count, total, told = int(piece[:4], 16), int(piece[4:12], 16), piece[12:]
        assert b"\x03" not in piece and crc32(told) == total and len(told) == count + 1
        whole += told[1:].replace(told[:1], b"\x03")
    return whole


@pytest.mark.parametrize("data", [EVERY, NOISE, b"\x03" * 3000, b"x"])
@pytest.mark.parametrize("packed", [False, True])
def test_arrives_whole(data: bytes, packed: bool) -> None:
    parcel = Parcel({"a": data, "b": b"end"}, packed=packed)
    came = opened(parcel)
    assert (zlib.decompress(came, -12) if packed else came) == data + b"end"
    assert parcel.files == [("a", len(data)), ("b", 3)]
