"""The loader's side of the serial line: frames in, answers out."""

import struct
from collections.abc import Callable

from vboard.chips import Chip
from vboard.flash.nor import Flash
from vboard.loader import slip
from vboard.loader.commands import SYNC, UNKNOWN, Commands, Next, Refused

_REQUEST, _ANSWER = 0, 1
_HEAD = struct.Struct("<BBHI")
_RUN_USER_CODE = 0xD3  # the stub starts what is in flash, without an answer
_MANY = 8  # SYNC is answered so often, and by the ROM what it does not know as well
SYNC_FRAME = slip.encode(_HEAD.pack(_REQUEST, SYNC, 36, 0) + b"\x07\x07\x12\x20" + b"\x55" * 32)


class Loader:
    """A chip in download mode, from its reset on. `send` gets what it says."""

    def __init__(self, chip: Chip, flash: Flash, mac: bytes, send: Callable[[bytes], None]) -> None:
        self._chip, self._flash, self._mac, self._send = chip, flash, mac, send
        self._frames = slip.Decoder()
        self._commands = Commands(chip, flash, mac)
        self.over = False  # the chip has left for what is in flash
        self.watchdog_set = False

    def take(self, data: bytes) -> None:
        """What the host sent. May raise PowerLost."""
        for packet in self._frames.feed(data):
            if not self.over:
                self._packet(packet)

    def _packet(self, packet: bytes) -> None:
        reading = self._commands.reading
        if reading and len(packet) == 4:
            reading.acknowledged(int.from_bytes(packet, "little"))
            self._stream()
            return
        if len(packet) < _HEAD.size or packet[0] != _REQUEST:
            return
        _direction, op, size, checksum = _HEAD.unpack_from(packet)
        data = packet[_HEAD.size : _HEAD.size + size]
        if self._commands.stub and op == _RUN_USER_CODE:
            self.over = True
            return
        self._commands.reading = None
        try:
            value, answer = self._commands.run(op, data, checksum)
        except Refused as refused:
            self._refuse(op, refused)
            return
        for _ in range(_MANY if op == SYNC else 1):
            self._answer(op, value, answer + b"\0\0")
        self._go_on()

    def _answer(self, op: int, value: int, data: bytes) -> None:
        if not self._commands.stub:
            data += b"\0\0"  # reserved, behind the status
        self._send(slip.encode(_HEAD.pack(_ANSWER, op, len(data), value) + data))

    def _refuse(self, op: int, refused: Refused) -> None:
        unknown = refused.code == UNKNOWN and not self._commands.stub
        for _ in range(_MANY if unknown else 1):
            self._answer(0 if unknown else op, 0, bytes([1, refused.said_by(self._commands.stub)]))

    def _go_on(self) -> None:
        following, self._commands.next = self._commands.next, None
        if following is Next.STUB:
            self._commands.stub_runs()
            self._send(slip.encode(b"OHAI"))
        elif following is Next.ROM:
            self._commands = Commands(self._chip, self._flash, self._mac)
        elif following is Next.FLASH:
            self.over = True
        elif following is Next.WATCHDOG:
            self.watchdog_set = True
        elif self._commands.reading:
            self._stream()

    def _stream(self) -> None:
        reading = self._commands.reading
        assert reading
        for data in reading.frames():
            self._send(slip.encode(data))
        if reading.over:
            self._commands.reading = None
