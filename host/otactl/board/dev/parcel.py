"""An application's files in pieces for a board's cable. device/dev.py is the other end, and has the format."""

import zlib
from binascii import crc32

PIECE = 1024  # bytes of a body at most; among so many there is nearly always a value that none of them has
_WINDOW_BITS = 12  # what the board has memory for
_CTRL_C = b"\x03"


class Parcel:
    """`files`: name and bytes of each, in the order in which they lie in it. `size`: its bytes."""

    def __init__(self, files: dict[str, bytes], *, packed: bool) -> None:
        """`packed`: as a deflate stream (RFC 1951)."""
        self.files = [(name, len(data)) for name, data in files.items()]
        self._data = b"".join(files.values())
        if packed:
            deflate = zlib.compressobj(9, zlib.DEFLATED, -_WINDOW_BITS)
            self._data = deflate.compress(self._data) + deflate.flush()
        self.size = len(self._data)

    def piece(self, offset: int) -> bytes:
        """The piece that begins with byte `offset`. Raises ValueError where there is no such byte."""
        if not 0 <= offset < self.size:
            raise ValueError(f"no byte {offset} in {self.size}")
        size = PIECE
        while not (free := _values_without(self._data[offset : offset + size])):
            size //= 2
        body, stand_in = self._data[offset : offset + size], bytes([free[0]])
        told = stand_in + body.replace(_CTRL_C, stand_in)
        return b"%04x%08x" % (len(body), crc32(told)) + told


def _values_without(body: bytes) -> list[int]:
    """Byte values that are not in `body` and not Ctrl-C."""
    return sorted(set(range(256)) - set(body) - set(_CTRL_C))
