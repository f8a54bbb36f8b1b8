"""SLIP frames (RFC 1055), in which the ROM loader speaks."""

from collections.abc import Iterator

END = b"\xc0"
_ESC = b"\xdb"
_LONGEST = 0x10000  # of a frame, escaped: esptool's largest is 16 KiB of data


def encode(packet: bytes) -> bytes:
    return END + packet.replace(_ESC, b"\xdb\xdd").replace(END, b"\xdb\xdc") + END


class Decoder:
    """Bytes in, packets out. What lies outside of a frame is noise and is dropped."""

    def __init__(self) -> None:
        self._frame: bytearray | None = None  # None: waiting for the start of one

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            before, end, data = data.partition(END)
            if self._frame is not None:
                self._frame += before
            if not end:
                if self._frame is not None and len(self._frame) > _LONGEST:
                    self._frame = None  # an END was lost: no use in keeping all that follows
                return
            if self._frame:
                packet, self._frame = bytes(self._frame), None
                yield packet.replace(b"\xdb\xdc", END).replace(b"\xdb\xdd", _ESC)
            else:  # the start, or one END for the end of a frame and another for the start of the next
                self._frame = bytearray()
