"""Send a reply at a pace, up to where it is to stop, and end the connection as told."""

import select
import socket
import ssl
import struct
import threading
import time
from dataclasses import dataclass

from faultserver.exchange import Reply

_SLICE_S = 0.05
_LINGER_S = 2.0  # for the client to have read what we sent, before the socket goes
_PIECE = 16384
_UNASKED = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nunasked"
_NOT_TLS = b"\x17\x03\x03\x00\x20" + bytes(32)  # looks like a record, and no key has made it


@dataclass(slots=True)
class Delivery:
    """`stop`: bytes of body to send, None all. `ending`: close, cut, reset, stall, garble, or keep, as `then` says: empty for another
    request, else close, reset, answer, nonsense or silent."""

    stop: int | None = None
    ending: str = "close"
    then: str = ""
    silent_s: float = 60
    rate: float = 0  # bytes a second, 0: as fast as it goes
    rate_s: float = float("inf")
    head_rate: float = 0

    def send(self, connection: ssl.SSLSocket, reply: Reply, body: bytes, over: threading.Event) -> int:
        """Gives the bytes of body sent. Raises OSError where the client has gone."""
        _paced(connection, reply.head(), self.head_rate, float("inf"), over)
        sent = _paced(connection, body[: self.stop], self.rate, self.rate_s, over)
        if self.ending == "stall":
            wait_for_close(connection, self.silent_s, over)
        elif self.ending == "reset":
            reset(connection)
        elif self.ending == "garble":
            socket.socket.sendall(connection, _NOT_TLS)  # below TLS
            wait_for_close(connection, _LINGER_S, over)
        elif self.ending == "close" or (self.ending, self.then) == ("keep", "close"):
            finish(connection, over)
        elif self.ending == "keep":
            self._keep(connection, over)
        return sent

    def _keep(self, connection: ssl.SSLSocket, over: threading.Event) -> None:
        if self.then == "reset":
            reset(connection)
        elif self.then == "answer":
            connection.sendall(_UNASKED)
        elif self.then in ("nonsense", "silent"):
            connection.recv(4096)
            if self.then == "nonsense":
                connection.sendall(b"nonsense\r\n\r\n")
            wait_for_close(connection, self.silent_s, over)


def _paced(connection: ssl.SSLSocket, data: bytes, rate: float, for_s: float, over: threading.Event) -> int:
    sent, until = 0, time.monotonic() + for_s
    while sent < len(data) and not over.is_set():
        slow = rate and time.monotonic() < until
        piece = data[sent : sent + (max(1, int(rate * _SLICE_S)) if slow else _PIECE)]
        connection.sendall(piece)
        sent += len(piece)
        if slow:
            over.wait(len(piece) / rate)
    return sent


def wait_for_close(connection: socket.socket, most_s: float, over: threading.Event) -> None:
    """Until the client closes, `most_s` are over, or the server ends."""
    until = time.monotonic() + most_s
    while time.monotonic() < until and not over.is_set():
        if select.select([connection], [], [], _SLICE_S)[0]:
            try:
                if not connection.recv(4096):
                    return
            except OSError:
                return


def finish(connection: ssl.SSLSocket, over: threading.Event) -> None:
    """A close that loses nothing of what was sent: close_notify, FIN, and the client's own end."""
    connection.settimeout(0)
    try:
        connection.unwrap()
    except ssl.SSLWantReadError:
        pass  # our close_notify is on its way; the client's need not be waited for
    except (OSError, ValueError):
        return  # the client closed first
    connection.shutdown(socket.SHUT_WR)
    wait_for_close(connection, _LINGER_S, over)


def reset(connection: socket.socket) -> None:
    """Close with RST in place of FIN."""
    time.sleep(_SLICE_S)  # or what was sent last would be lost on the way
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
