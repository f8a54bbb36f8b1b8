"""A file in frames for a board's cable. device/cable.py is the other end, and has the format."""

import struct
import zlib
from binascii import crc32

WINDOW_BITS = 10  # what the board has memory for
PIECE = 2048  # bytes of the file that a frame makes: half a sector, as the board holds the frame beside the sector
_START, _CTRL_C, _IN_ITS_PLACE = b"\x02", b"\x03", b"\x00"
_HEAD = struct.Struct("<IHHH")
_SUMS = struct.Struct("<HI")
_MARK = 16  # bytes: deflate's end of a block and the mark of a flush have no more


class Frames:
    """One `fetch` of a board: from the first offset that it asks for to the end, or to its next `fetch`. It takes whole sectors,
    counted from there: those of an encrypted image begin anywhere in the file."""

    def __init__(self, data: bytes, *, packed: bool) -> None:
        """`packed`: as one deflate stream (RFC 1951), flushed at the end of each frame."""
        self._data = data
        self._deflate = _Stream() if packed else None
        self._last = -1
        self._frame = b""
        self.reached: int | None = None  # the byte after the last frame's

    def at(self, offset: int) -> bytes:
        """The frame that begins with byte `offset` of the file: the next one, or the last once more.

        Raises ValueError for another offset, which no board asks for.
        """
        if offset == self._last:
            return self._frame
        if self.reached not in (None, offset) or not 0 <= offset < len(self._data):
            raise ValueError(f"byte {offset} is not what comes next")
        self._last, self.reached = offset, min(offset + PIECE, len(self._data))
        piece = self._data[offset : self.reached]
        body = self._deflate.pack(piece) if self._deflate else piece
        self._frame = _framed(offset, body, len(piece))
        return self._frame


def _framed(offset: int, body: bytes, makes: int) -> bytes:
    holes = [at for at, byte in enumerate(body) if byte == _CTRL_C[0]]
    digits = b"".join(b"%04x" % at for at in holes)
    head = _HEAD.pack(offset, len(body), makes, len(holes))
    total = crc32(digits, crc32(body.replace(_CTRL_C, _IN_ITS_PLACE), crc32(head)))
    shown = (head + _SUMS.pack(crc32(head) & 0xFFFF, total)).hex().encode()
    return _START + shown + body.replace(_CTRL_C, _IN_ITS_PLACE) + digits


class _Stream:
    """Deflates piece by piece, so that a decoder has read all of a piece's bytes when it has made the piece.

    What a flush adds beyond that (the end of the block and an empty one) goes before the next piece's bytes: a board
    keeps nothing of a frame.
    """

    def __init__(self) -> None:
        self._pack = zlib.compressobj(9, zlib.DEFLATED, -WINDOW_BITS, 9)
        self._twin = zlib.decompressobj(-WINDOW_BITS)  # where the board's decoder is
        self._rest = b""

    def pack(self, piece: bytes) -> bytes:
        made = self._rest + self._pack.compress(piece) + self._pack.flush(zlib.Z_SYNC_FLUSH)
        cut = len(made)
        for fewer in range(max(0, len(made) - _MARK), len(made)):
            if len(self._twin.copy().decompress(made[:fewer])) == len(piece):
                cut = fewer
                break
        self._twin.decompress(made[:cut])
        self._rest = made[cut:]
        return made[:cut]
