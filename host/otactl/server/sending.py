"""A body at the pace of the board that takes it, and how much of it the board has.

A write() is over when the system has the bytes, which with megabytes of buffers is long before the board has them. Linux
tells how many bytes of a connection are not acknowledged yet (tcp(7), SIOCOUTQ). With TLS these are a little more than the
body's, so a board has never less than is told. It may have read up to its receive window less: 6 KB on an ESP32.
"""

import asyncio
import contextlib
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from aiohttp import web

try:
    import fcntl
    import termios

    _SIOCOUTQ = termios.TIOCOUTQ if sys.platform == "linux" else 0
except ImportError:
    _SIOCOUTQ = 0  # elsewhere what has left this process counts as taken

CHUNK = 16384
_AHEAD = 16384  # bytes on their way, at the most, before the next chunk goes
_BUFFER = 65536  # of the system: it takes a whole chunk at once, so that none waits in asyncio, where nothing counts it
_POLL_S = 0.005  # at first, for a quick board
_SLOW_POLL_S = 0.04  # later: with four hundred slow boards all that looking would be most of the work
_TCP_CLOSE = 7  # include/net/tcp_states.h
_PATIENCE_S = 120  # without a byte taken: longer than any wait of a board
_GRACE_S = 1  # the same, once the connection is closing

Report = Callable[[int, float], None]


async def send(request: web.Request, response: web.StreamResponse, chunks: Iterable[bytes], report: Report) -> None:
    """Write all of `chunks`, and wait until the board has them, or has gone.

    `report(taken, seconds)`: bytes of the body that the board has, and when it got the last of them.
    """
    if request.transport is None:
        return
    with _Outgoing(request.transport, report) as out:
        try:
            for chunk in chunks:
                await response.write(chunk)
                await out.wrote(len(chunk))
        except ConnectionError:
            pass
        with contextlib.suppress(ConnectionError):
            await out.until(0)


class _Outgoing:
    """What is on its way through one connection."""

    def __init__(self, transport: asyncio.WriteTransport, report: Report) -> None:
        self._transport, self._report = transport, report
        self._sent = self._taken = 0
        self._began = self._moved = time.monotonic()
        sock = transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        transport.set_write_buffer_limits(high=CHUNK)
        # asyncio closes its own as soon as the board hangs up; this one still tells how far the board came
        self._socket = sock.dup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    async def wrote(self, n: int) -> None:
        """`n` more bytes of the body were written. Raises ConnectionError as until()."""
        self._sent += n
        await self.until(_AHEAD)

    async def until(self, most: int) -> None:
        """Wait until `most` bytes are on their way. Raises ConnectionError where the board takes no more of them."""
        pause = 0.0  # the others get their turn all the same, and that the board has gone is heard
        while True:
            await asyncio.sleep(pause)
            left = self._pending()
            now = time.monotonic()
            if self._sent - left > self._taken:
                self._taken, self._moved = self._sent - left, now
                self._report(self._taken, now - self._began)
            if left <= most:
                return
            patience = _PATIENCE_S if not self._transport.is_closing() else 0 if self._dead() else _GRACE_S
            if now - self._moved > patience:
                self._transport.abort()
                raise ConnectionResetError
            pause = (
                min(1.5 * pause, _SLOW_POLL_S) or _POLL_S
            )  # late by half of what it took, at the most: no board runs dry

    def _dead(self) -> bool:
        """Whether nothing can be taken any more: after a reset, not after a mere end of what the board sends."""
        if not _SIOCOUTQ:
            return True
        return self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _TCP_CLOSE

    def _pending(self) -> int:
        left = 0 if self._transport.is_closing() else self._transport.get_write_buffer_size()
        if _SIOCOUTQ:
            with contextlib.suppress(OSError):
                (queued,) = struct.unpack("i", fcntl.ioctl(self._socket, _SIOCOUTQ, bytes(4)))
                left += queued
        return left
