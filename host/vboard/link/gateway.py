"""The virtual board's way out: relays its TCP connections, so that names, routes and a lost link can be played.

The board connects here with a ticket (from `Gateway.ticket`), the gateway opens the real connection and answers one
byte: 0, or the error number that lwIP would give (facts 6.3). Datagrams: datagrams.py.
"""

import secrets
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from vboard.link.datagrams import Datagrams
from vboard.link.lan import Ethernet
from vboard.link.links import Links
from vboard.link.wlan import Station

ECONNRESET, ETIMEDOUT, EHOSTUNREACH = 104, 116, 118
_CHUNK = 16384
_PATIENCE_S = 20  # of a connection without a time limit of its own


@dataclass
class _Route:
    host: str
    port: int
    timeout: float | None
    over: Station | Ethernet | None  # the interface it was made on, and the link's number then
    epoch: int


class Gateway:
    """Listens on a port of this machine's loopback for one board; `close` ends all of its connections."""

    def __init__(self, links: Callable[[], Links]) -> None:
        self._links = links
        self.datagrams = Datagrams(links)
        self._routes: dict[str, _Route] = {}
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.port: int = self._listener.getsockname()[1]
        self._accepting = threading.Thread(target=self._accept, name="vboard-gateway", daemon=True)
        self._accepting.start()

    def ticket(self, host: str, port: int, timeout: float | None) -> str:
        name = secrets.token_hex(8)
        over = self._links().up()
        self._routes[name] = _Route(host, port, timeout, over, over.epoch if over else 0)
        return name

    def close(self) -> None:
        # A file descriptor that is closed while a thread waits on it is soon another's: the thread would take a
        # connection of the next board. So each thread is told to end, and closes what it has by itself.
        _end(self._listener)
        self._accepting.join()
        self._listener.close()
        self.datagrams.close()
        for connection in list(self._open):
            _end(connection)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, board: socket.socket) -> None:
        server = None
        try:
            route = self._routes[board.recv(16, socket.MSG_WAITALL).decode()]
            try:
                server = self._connect(route)
            except OSError as error:
                board.sendall(bytes([_lwip(error)]))
                return
            self._open.add(server)
            board.sendall(b"\0")
            self._relay(board, server, route)
        except ConnectionResetError:  # passed on as it came: close() sends RST then
            board.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            board.close()
        except (OSError, KeyError, UnicodeDecodeError):
            pass  # either side went away: closing the other below is all there is to do
        finally:
            for connection in (board, server):
                if connection:
                    self._open.discard(connection)
                    _end(connection)
                    connection.close()

    def _connect(self, route: _Route) -> socket.socket:
        if route.over is None:
            raise OSError(EHOSTUNREACH, "no link")
        asked = (route.host, route.port)
        network, patience_s = self._links().network, route.timeout or _PATIENCE_S
        time.sleep(min(network.connect_s, patience_s))
        if network.connect_s >= patience_s:
            raise TimeoutError
        server = socket.create_connection(network.routes.get(asked, asked), timeout=patience_s)
        server.settimeout(None)
        return server

    def _relay(self, board: socket.socket, server: socket.socket, route: _Route) -> None:
        """Copy both ways until one side ends. On a lost link nothing moves any more, and nobody is told."""
        other = {board: server, server: board}
        with selectors.DefaultSelector() as selector:
            for connection in other:
                selector.register(connection, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select(0.05):
                    source = key.fileobj
                    assert isinstance(source, socket.socket)
                    if source is server and self._lost(route):
                        time.sleep(0.05)
                        continue
                    data = source.recv(_CHUNK)
                    if not data:
                        return
                    if source is server:
                        self._pace(len(data))
                    if not self._lost(route):
                        other[source].sendall(data)

    def _lost(self, route: _Route) -> bool:
        return route.over is None or route.over.epoch != route.epoch

    def _pace(self, n: int) -> None:
        rate = self._links().network.bytes_per_s
        if rate:
            time.sleep(n / rate)


def _lwip(error: OSError) -> int:
    if isinstance(error, TimeoutError):
        return ETIMEDOUT
    # A closed port answers with RST, and lwIP makes ERR_RST of any: nothing is ever "refused" there (tcp_in.c, err.c).
    return ECONNRESET if isinstance(error, ConnectionRefusedError) else EHOSTUNREACH


def _end(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
