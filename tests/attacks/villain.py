"""A server that is not what it should be: sound for every path but those that it has been given an answer for."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import listening
from faultserver.delivery import finish, wait_for_close
from faultserver.exchange import BadRequest, Folder, Request, read_request
from otactl.server.server import context

_PATIENCE_S = 5.0
_MOST = 4 << 20  # bytes of what is sent "for ever": no board reads that much of what it refuses

Answer = Callable[[socket.socket, Request], None]


def says(*parts: bytes | str) -> Answer:
    """An answer of exactly these bytes."""
    data = b"".join(part if isinstance(part, bytes) else part.encode() for part in parts)
    return lambda connection, _: connection.sendall(data)


def ok(body: bytes | str, *headers: str) -> Answer:
    """200, with the right length."""
    data = body if isinstance(body, bytes) else body.encode()
    lines = "".join(line + "\r\n" for line in headers)
    return says(f"HTTP/1.1 200 OK\r\nContent-Length: {len(data)}\r\n{lines}\r\n", data)


def moved(location: str) -> Answer:
    """A redirect."""
    return says(f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")


def endless(head: str, piece: bytes) -> Answer:
    """`head`, then `piece` again and again until the board has gone."""

    def answer(connection: socket.socket, _: Request) -> None:
        connection.sendall(head.encode("latin-1"))
        many = piece * (16384 // len(piece))
        for _sent in range(0, _MOST, len(many)):
            connection.sendall(many)

    return answer


class Villain:
    """Listens from its making until `close`. `answers`: path -> what is done in place of serving a file of `releases`.

    `context`: None speaks HTTP without TLS. `asked`: the targets of the requests that have come."""

    def __init__(self, releases: Path, certificates: Path | None) -> None:
        self._folder, self._own = Folder(releases), context(certificates) if certificates else None
        self.context = self._own
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._over = threading.Event()
        self._accepting = threading.Thread(target=self._accept, name="villain", daemon=True)
        self._accepting.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._over.set()
        listening.end(self._listener, self._accepting)

    def reform(self) -> None:
        """Sound again."""
        self.context, self.answers, self.asked = self._own, {}, []

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        plain.settimeout(_PATIENCE_S)
        with contextlib.suppress(OSError, ValueError, BadRequest), self._secured(plain) as connection:
            request = read_request(connection)
            self.asked.append(request.target)
            answer = self.answers.get(request.path, self._sound)
            answer(connection, request)
            if isinstance(connection, ssl.SSLSocket):
                finish(connection, self._over)

    @contextlib.contextmanager
    def _secured(self, plain: socket.socket) -> Iterator[socket.socket]:
        with plain:
            if self.context is None:
                yield plain
                return
            with self._shaken(plain, self.context) as secured:
                yield secured

    def _shaken(self, plain: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket:
        # To close with bytes unread is a reset, which loses the alert that says why: the board ends what failed.
        with plain.dup() as held:
            try:
                return context.wrap_socket(plain, server_side=True)
            except OSError:
                wait_for_close(held, _PATIENCE_S, self._over)
                raise

    def _sound(self, connection: socket.socket, request: Request) -> None:
        reply = self._folder.answer(request)
        connection.sendall(reply.head() + reply.body)
