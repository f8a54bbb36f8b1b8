"""Frames of a push, taken apart by hand as device/cable.py says they are made."""

import random
import struct
import zlib
from binascii import crc32

import pytest
from otactl.board.frames import PIECE, WINDOW_BITS, Frames

NOISE = random.Random(3).randbytes(5 * PIECE + 100)
TEXT = b"".join(b"line %d of a log that goes on\n" % n for n in range(600))
SECTOR = 4096
CTRL_C = b"\x03" * (2 * PIECE)


def taken_apart(frame: bytes) -> tuple[int, bytes, int]:
    """(offset, body, bytes that it makes) of a frame whose CRC holds."""
    assert frame[:1] == b"\x02"
    head = bytes.fromhex(frame[1:33].decode())
    offset, size, makes, holes, check, told = struct.unpack("<IHHHHI", head)
    assert crc32(head[:10]) & 0xFFFF == check
    body, digits = frame[33 : 33 + size], frame[33 + size :]
    assert len(digits) == 4 * holes
    assert crc32(digits, crc32(body, crc32(head[:10]))) == told
    whole = bytearray(body)
    for at in range(0, len(digits), 4):
        whole[int(digits[at : at + 4], 16)] = 3
    return offset, bytes(whole), makes


@pytest.mark.parametrize("packed", [False, True], ids=["raw", "deflate"])
@pytest.mark.parametrize("start", [0, 4096, 512])
@pytest.mark.parametrize("data", [NOISE, TEXT, CTRL_C * 3], ids=["noise", "text", "ctrl-c"])
def test_frames_make_the_file_and_no_byte_of_them_is_ctrl_c(data: bytes, start: int, packed: bool) -> None:
    frames, offset, made = Frames(data, packed=packed), start, b""
    inflate = zlib.decompressobj(-WINDOW_BITS)
    while offset < len(data):
        frame = frames.at(offset)
        assert b"\x03" not in frame
        at, body, makes = taken_apart(frame)
        # as MicroPython's decoder has it: all of a frame is read when its bytes are made, and none of the next is needed
        assert not packed or len(inflate.copy().decompress(body[:-1])) < makes
        piece = inflate.decompress(body) if packed else body
        assert (at, len(piece)) == (offset, makes)
        assert makes <= PIECE
        assert (at - start) // SECTOR == (at - start + makes - 1) // SECTOR  # a board has room for no more
        made += piece
        offset += makes
    assert made == data[start:]


def test_frame_that_is_asked_for_again_is_the_same() -> None:
    frames = Frames(TEXT, packed=True)
    first = frames.at(0)
    assert frames.at(0) == first
    second = frames.at(PIECE)
    assert second != first
    assert frames.at(PIECE) == second


@pytest.mark.parametrize("offset", [2 * PIECE, 5, -1, len(TEXT)])
def test_offset_that_does_not_come_next_is_nobodys(offset: int) -> None:
    frames = Frames(TEXT, packed=True)
    frames.at(0)
    with pytest.raises(ValueError, match="is not what comes next"):
        frames.at(offset)
