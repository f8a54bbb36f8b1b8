"""The bytes of a delta file. docs/deltas.md explains them, device/ota/install/delta.py reads them."""

import struct

MAGIC = b"OTAd"
VERSION = 1
WINDOW_BITS = 10  # of raw deflate: 1 KiB, which a board has twice over
SECTOR = 4096  # bytes of the image; its last sector may be shorter
BLOCK = 65536  # no record crosses a boundary of so many bytes of the image: what a board notes its progress by
MOST_SECTORS = 16  # of a record
ROOMY = 2048  # bytes of deflate that a record of several sectors may have: a board holds one while TLS is open
CAP = SECTOR + 32  # that one of a single sector may have, which deflate makes no smaller
LEAST_COPY = 24  # bytes: a shorter one costs a board more than it saves
GROUP = 256  # corrections: half of a board's buffer

HEADER = struct.Struct("<4sBBHII")  # magic, version, window bits, room, bytes of the image, bytes of the base
HEAD = struct.Struct("<HBB16s")  # of a record: bytes of deflate, sectors, 0, the beginning of the next one's SHA-256
COUNTS = struct.Struct("<HH")  # of a sector: copies, corrections
COPY = struct.Struct("<HHi")  # bytes that follow as they are, then bytes of the base; how much further on than before
HASH = 16  # bytes of a SHA-256


def header(room: int, size: int, base_size: int) -> bytes:
    """Of the delta to an image of `size` bytes, from a base of `base_size`; no record has more than `room` bytes of deflate."""
    return HEADER.pack(MAGIC, VERSION, WINDOW_BITS, room, size, base_size)
