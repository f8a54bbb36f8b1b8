"""The serial cable in place of the network. `otactl push` sends this into a board's memory; it is installed nowhere.

An update has one door to its server, net.link.fetch(). For one push the computer at the cable stands in that door; all the
rest (signature, policy, slot, journal, read-back, switch, trial) is the agent's own, as over Wi-Fi.

The board asks by a line, the computer answers with one frame and then waits for the next line: while flash is written
nobody takes bytes from a UART, and 259 are all that its ring holds.

    ota: fetch HOW URL    the file that is meant from here on, before its first frame; HOW: "raw", or "deflate", as one stream,
                          where the firmware has a decoder
    ota: next OFFSET      the frame that begins with that byte of the file, or that very frame once more

    frame = STX, head as hex digits, body, and a place for each hole, four hex digits
    head  = offset u32, bytes of the body u16, bytes of the file that it makes u16, holes u16, check u16, CRC-32 u32;
            little-endian

The CRC is over the ten bytes before the check, the body, and the digits of the holes. The check is the low half of the
CRC-32 of those ten: for a number of bytes or holes that is damaged the board would wait. A hole is a byte of the body that is 3, Ctrl-C,
and is sent as 0: so Ctrl-C always is one, and reaches the board in the middle of a frame too."""

import binascii
import io
import select
import struct
import sys
import time

import machine
from micropython import const
from ota.boot import record
from ota.errors import OtaError
from ota.net import link

_START = const(2)  # STX
_HEAD = const(32)  # digits
_SUMMED = const(10)  # bytes of the head that check and CRC are over
_HOLE = const(4)  # digits
_PIECE = const(128)  # bytes that are read at a time
_MOST = const(2112)  # bytes of a body: half a sector, where deflate makes it no smaller
_WINDOW_BITS = const(10)
_ASK_MS = const(3000)  # until a question is asked again; this and the next two are of a link of usual speed
_QUIET_MS = const(100)  # after it nothing is left of a damaged frame
_SILENT_MS = const(30000)
_DAMAGED = const(20)  # frames in a row


class Cable:
    """A file, as fill() of net.response.Response gives it; the names that it shares with that mean the same."""

    def __init__(self, how: str, slow: float) -> None:
        self.date = self.etag = self.total = None
        self.url = self._url = ""
        self.start, self.ended = 0, False
        self._offset = self._left = 0  # of the next frame; bytes of the last one that are to be taken yet
        self._how = how
        self._ask_ms, self._quiet_ms = int(_ASK_MS * slow), int(_QUIET_MS * slow)
        self._silent_ms = int(_SILENT_MS * slow)
        self._body = io.BytesIO(_MOST)  # type: ignore[call-arg,arg-type]  # that much room, as MicroPython has it
        self._bytes = self._body
        self._piece, self._head, self._one = bytearray(_PIECE), bytearray(_HEAD), bytearray(1)
        self._input = sys.stdin.buffer
        self._poll = select.poll()
        self._poll.register(sys.stdin, select.POLLIN)
        self._timer: "machine.Timer | None" = None
        self._waits, self._heard = False, time.ticks_ms()

    def open(self, url: str, start: int) -> None:
        """Ask for the file's bytes from `start` on."""
        self.start = self._offset = start
        self.ended, self._left = False, 0
        if self._how == "deflate":
            try:
                import deflate

                self._bytes = deflate.DeflateIO(self._body, deflate.RAW, _WINDOW_BITS)
            except ImportError:  # a build without it
                self._how = "raw"
        if self._timer is None:
            self._timer = machine.Timer(0)  # the one that all chips and versions have
            self._timer.init(mode=machine.Timer.PERIODIC, period=1000, callback=self._tick)
        self._url = url

    def close(self) -> None:
        self.ended = True
        if self._timer:
            self._timer.deinit()
        self._timer = None

    def fill(self, buf: memoryview, have: int, want: int) -> int:
        """Bytes `have` to `want` of `buf`. Returns `want`. Raises OtaError cable."""
        self._waits = True
        try:
            while have < want:
                if not self._left:
                    self._left = self._next()
                    self._offset += self._left
                n = min(self._left, want - have)  # a delta is taken in small pieces
                if self._bytes.readinto(buf[have : have + n]) != n:
                    raise OtaError("cable", "short")
                have += n
                self._left -= n
        except (OSError, EOFError):  # the sums are right: the computer has no idea of deflate
            raise OtaError("cable", "deflate")
        except KeyboardInterrupt:  # with a code, so that the offset is kept
            raise OtaError("cable", "stopped")
        finally:
            self._waits = False
        return have

    def _tick(self, _) -> None:
        # The computer went away in the middle of a frame, where only Ctrl-C ends the wait for its next byte.
        if self._waits and time.ticks_diff(time.ticks_ms(), self._heard) > self._silent_ms + self._ask_ms:
            try:
                record.load().note("refused", ["cable", "silent"])
                _keep_offset()
            finally:  # a callback that fails is not asked again: it would be printed, and the wait go on
                _leave()

    def _next(self) -> int:
        # Have the frame of the offset in `_body`. Returns how many bytes of the file it makes.
        damaged = silent_ms = 0
        while damaged < _DAMAGED:
            if self._offset == self.start:
                print("ota: fetch", self._how, self._url)
            print("ota: next", self._offset)
            self._heard = time.ticks_ms()
            if not self._poll.poll(self._ask_ms):
                silent_ms += self._ask_ms
                if silent_ms >= self._silent_ms:
                    raise OtaError("cable", "silent")
                continue
            got = self._frame()
            if got:
                return got
            damaged, silent_ms = damaged + 1, 0
            while self._poll.poll(self._quiet_ms):
                self._input.readinto(self._one)
        raise OtaError("cable", "damaged")

    def _frame(self) -> int:
        # One frame; 0 where it is damaged, or another one than was asked for.
        self._one[0] = 0
        while self._one[0] != _START:
            self._input.readinto(self._one)
        self._input.readinto(self._head)
        try:
            head = binascii.unhexlify(self._head)  # type: ignore[arg-type]
        except ValueError:
            return 0
        offset, size, makes, holes, check, told = struct.unpack("<IHHHHI", head)
        found = binascii.crc32(memoryview(head)[:_SUMMED])
        if found & 0xFFFF != check or size > _MOST or offset != self._offset:
            return 0
        found = self._read_body(size, found)
        return makes if self._fill_holes(holes, size, found) == told else 0

    def _read_body(self, size: int, found: int) -> int:
        # Returns the CRC after it.
        self._body.seek(0)
        piece = memoryview(self._piece)
        while size:
            if size < _PIECE:
                piece = piece[:size]
            self._input.readinto(piece)
            self._heard = time.ticks_ms()
            found = binascii.crc32(piece, found)
            self._body.write(piece)
            size -= len(piece)
        return found

    def _fill_holes(self, holes: int, size: int, found: int) -> int:
        # Put Ctrl-C's byte back where it was; `_body` is at its beginning then. Returns the CRC after it.
        digits = memoryview(self._piece)[:_HOLE]
        for _ in range(holes):
            self._input.readinto(digits)
            found = binascii.crc32(digits, found)
            try:
                at = int(bytes(digits), 16)
            except ValueError:
                continue  # the CRC will tell
            if at < size:
                self._body.seek(at)
                self._body.write(b"\x03")
        self._body.seek(0)
        return found


class _Envelope:
    """A signed release that is here already."""

    valid_to = etag = None

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def read(self, most: int):
        """Steps (none) that return it."""
        raw, self._raw = self._raw, b""
        return raw
        yield


def push(envelope: bytes, how: str, progress, slow: float = 1.0) -> None:
    """agent.update(progress) with this release, its image from the cable. `how`: raw or deflate; every time limit is times
    `slow`. Raises OtaError, as agent.update() does, and cable."""
    cable, told = Cable(how, slow), _Envelope(envelope)  # their memory first: the heap is whole yet

    def fetch(config: dict, url: str, start: int = 0, size: "int | None" = None, **more):
        if size is None:
            # nobody at the cable has trust documents; what it sends is compressed by itself
            config["trust"] = config["compressed"] = False
            config.pop("keep", None)
            return told
        cable.open(url, start)
        return cable
        yield

    link.fetch, link.power_save = fetch, lambda *_: None  # until the reset that follows, well or not
    from ota import agent

    _without_engine()
    try:
        agent.update(progress, tries=1)
    except OtaError as e:
        if e.code == "cable" and e.detail == "silent":
            _leave()
        raise
    except KeyboardInterrupt:  # not in fill(): while flash was written, say
        _keep_offset()
        raise
    finally:
        cable.close()


def _without_engine() -> None:
    # Who is at the cable says which release is meant. The module lets go of itself once it is read: nothing here may hold it.
    from ota import config

    load = config.load
    config.load = lambda: dict(load(), ddi=None)  # type: ignore


def _keep_offset() -> None:
    # What is in flash for certain stays, beyond the last note too.
    kept = record.load()
    kept.progress(kept.offset)


def _leave() -> None:
    # Nobody is there to start the program again: it must not wait at a prompt for somebody to come.
    print("ota: refused cable silent")
    machine.reset()
