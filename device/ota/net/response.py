"""What a server sends: headers, then a body that comes when it comes. Nothing here waits: a call takes what is there."""

import errno
import gc
import time

from micropython import const

from .. import steps
from ..errors import OtaError, require
from . import connection
from .dates import parse, validity

_LINE = const(2048)  # bytes; the signed URLs that GitHub redirects to take half of it
_LINES = const(80)
_MOST = const(1 << 29)  # bytes of body: a small integer, so that counting allocates nothing
_LEAST_SPEED = const(512)  # bytes a second, beyond the first minute
_GRACE_MS = const(60000)
_POLL_MS = const(5)
_PIECE = const(256)  # bytes
_PIECES = const(64)  # of a body at a time: chunks of a byte, or of none, must not keep other tasks waiting
_WANTED = (
    b"content-length content-range etag last-modified location ota-look retry-after transfer-encoding date"
).split()


class Response:
    """url: after redirects; start: the body's offset in the file; length (of the body) and total (of the file): bytes, or
    None; etag: for a later get(), or None; date: the server's, as text; valid_from, valid_to: its certificate's, in the
    board's seconds; ended: nothing more comes; origin: (TLS, host, port) of a connection that another request may take once
    read() has all of this one, else None."""

    def __init__(self, url: str, sock, read_ms: int) -> None:
        self.url, self.sock, self._raw = url, sock, sock
        self.origin: "tuple | None" = None
        self.status = self.start = 0
        self.length = self.total = None  # type: int | None
        self.etag = self.date = None  # type: str | None
        self.valid_from = self.valid_to = None  # type: int | None
        self.ended = False
        self._chunked, self._left = False, 0  # bytes to come of the body, or of this chunk
        self._line = b""  # what has come of a line
        self._read_ms, self._got = read_ms, 0
        self._began = self._heard = time.ticks_ms()

    def close(self) -> None:
        self.ended = True
        connection.close((self._raw, self.sock))

    def shown(self, der, depth: int) -> int:
        """Note from when to when the server's own certificate is good. TLS has the say about it."""
        if depth == 0:
            self.valid_from, self.valid_to = validity(bytes(der))
        return 0

    # --- the request and the headers ------------------------------------------------------------------------------

    def ask(self, request: bytes, doing: str):
        """Steps until the request is on its way, and with it TLS's handshake. Raises OSError, ValueError, OtaError stalled."""
        while request:
            sent = self.sock.write(request)
            if not sent:
                self._still_patient(doing)
                yield steps.wait("server", _POLL_MS)
            request = request[sent or 0 :]
        self._heard = time.ticks_ms()

    def headers(self):
        """Steps that return the headers we know, and set status and date. Their time limit is for all of them: a line now
        and then must not hold the board for ever. Raises OSError, ValueError, OtaError stalled, bad-response."""
        found: "dict[bytes, str]" = {}
        skip = False
        for _ in range(_LINES):
            while not self._read_line():
                self._still_patient("headers")
                yield steps.wait("server", _POLL_MS)
            line, self._line = self._line, b""
            self._still_patient("headers")
            whole = line[-1] == 10
            if skip or not whole:  # longer than _LINE, as GitHub's security policy: not for us
                skip = not whole
            elif not self.status:
                require(line[:7] == b"HTTP/1." and line[9:12].isdigit(), "bad-response", "not HTTP")
                self.status = int(line[9:12])
                if line[7:8] != b"1":  # HTTP/1.0 ends with its answer
                    self.origin = None
            elif line.strip():
                name, _, value = line.partition(b":")
                if name.lower() == b"connection" and b"close" in value.lower():
                    self.origin = None
                if name.lower() in _WANTED:
                    text = str(value.strip(), "utf-8")
                    # Two different lengths are how one answer is passed off as another.
                    require(text and found.setdefault(name.lower(), text) == text, "bad-response", "headers")
            elif self.status >= 200:
                self.date = found.get(b"date")
                return found
            else:  # 100, 103: the answer is still to come
                self.status = 0
        raise ValueError

    def _read_line(self) -> bool:
        # Whether self._line is a whole line, or as much of one as is looked at.
        # Not all of it at once: there may be no such piece of the heap.
        piece = self.sock.readline(min(_PIECE, _LINE - len(self._line)))
        if piece is None:
            return False
        if not piece:
            raise OSError(errno.ECONNRESET)
        self._line += piece
        return piece[-1] == 10 or len(self._line) >= _LINE

    def _still_patient(self, doing: str) -> None:
        require(time.ticks_diff(time.ticks_ms(), self._heard) <= self._read_ms, "stalled", doing)

    # --- the body -------------------------------------------------------------------------------------------------

    def open(self, found: dict, start: int, etag: "str | None", size: "int | None") -> None:
        """What status and headers promise of the body. Raises ValueError where they make no sense; OtaError bad-range,
        http-status, bad-response."""
        if self.status not in (200, 206):
            wait = found.get(b"retry-after", "")  # seconds, or a date by the server's clock: ours may be wrong
            until, now = parse(wait), parse(self.date)
            left = until - now if until and now else int(wait) if wait.isdigit() else 0
            code = "bad-range" if self.status == 416 else "http-status"  # 416: the file ends before `start`
            raise OtaError(code, self.status, max(left, 0))
        self._chunked = b"transfer-encoding" in found
        require(found.get(b"transfer-encoding", "chunked").lower() == "chunked", "bad-response", "transfer-encoding")
        told = None if self._chunked else found.get(b"content-length")
        self.length = self.total = size if told is None else int(told)
        # A weak tag may not be used with ranges; the date may, where there is nothing better.
        tag = found.get(b"etag", "")
        self.etag = tag if tag[:1] == '"' else found.get(b"last-modified")
        if self.status == 206:
            require(not etag or self.etag in (None, etag), "bad-range", "changed")
            # bytes FIRST-LAST/TOTAL: nothing but the whole rest of the file from `start` will do.
            text = found.get(b"content-range", "")
            span, _, total = text.partition("/")
            first, _, last = span.lower().partition("-")
            end = int(last) + 1 if last.isdigit() else 0
            good = first == f"bytes {start}" and start < end < _MOST and total in ("*", str(end))
            require(good and told in (None, str(end - start)), "bad-range", text[:40])
            self.start, self.length = start, end - start
            self.total = None if total == "*" else end
        require(0 <= (self.length or 0) < _MOST, "bad-response", "length")
        self._left = 0 if self._chunked else _MOST if self.length is None else self.length
        if told is None:  # where such a body ends is not sure enough
            self.origin = None
        self.ended = not self._left and not self._chunked
        self._began = self._heard = time.ticks_ms()

    def fill(self, buf, have: int, want: int) -> int:
        """Put what has come into `buf` from byte `have` on, up to byte `want`: returns how many bytes are there now. The
        same as before: nothing has come, or the body has ended. Allocates nothing where a block comes in one piece.
        Raises OtaError stalled, dropped, tls, bad-response: get() again from where the last whole block ended."""
        before = have
        try:
            for _ in range(_PIECES):
                if have >= want or self.ended:
                    break
                if not self._left:
                    if not self._read_line():
                        break
                    self._chunk()
                    continue
                # Where only the end of the connection tells the body's, a read that is cut short must be told from one
                # that has met the end: a byte at a time tells. An image's length is always known.
                n = 1 if self.length is None and not self._chunked else min(want - have, self._left)
                got = self.sock.readinto(buf[have:] if have else buf, n)
                if got is None:
                    break
                if not got:  # TLS's close_notify, or a plain end
                    require(self.length is None and not self._chunked, "dropped", "body")
                    self.ended = True
                    break
                self._left -= got
                have += got
                self.ended = not self._left and not self._chunked
        except (OSError, ValueError) as e:
            raise connection.failed(e, "body")
        self._note(have - before)
        return have

    def _note(self, got: int) -> None:
        now = time.ticks_ms()
        self._got += got
        if got:
            self._heard = now
        elif not self.ended:
            self._still_patient("body")
        slow = time.ticks_diff(now, self._began) > _GRACE_MS + self._got // _LEAST_SPEED * 1000
        require(not slow, "stalled", "slow")

    def _chunk(self) -> None:
        # A line between two chunks: the end of the last one's, which is empty, or the head of the next one.
        line, self._line = self._line.strip(), b""
        if line:
            try:
                self._left = int(line.split(b";")[0].strip(), 16)
            except ValueError:
                self._left = -1
            require(0 <= self._left < _MOST, "bad-response", "chunk")
            self.ended = not self._left  # an empty chunk is the last

    def read(self, most: int):
        """Steps that return at most `most` bytes of the body, for small documents; then the connection is closed, or kept."""
        size = most if self.length is None else min(self.length, most)
        # At once where the size is known: what grows needs twice the room. Else piece by piece, for as long as it comes.
        body, have = bytearray(0 if self.length is None else size), 0
        keeps: object = False
        try:
            while have < size and not self.ended:
                if have == len(body):
                    gc.collect()  # so that it grows where it is
                    body.extend(bytes(min(_PIECE, size - have)))
                now = self.fill(memoryview(body), have, len(body))
                if now == have and not self.ended:
                    yield steps.wait("server", _POLL_MS)
                have = now
            keeps = self.origin and self.ended and connection.may_keep()
        finally:
            if keeps:
                connection.keep(self.origin, self._raw, self.sock)  # type: ignore[arg-type]
            else:
                self.close()
        return body if have == size else body[:have]
