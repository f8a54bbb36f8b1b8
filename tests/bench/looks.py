"""What looks at a channel take: on the wire, counted by a relay that bytes pass through, TLS and all."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path


@dataclass
class Relay:
    """`sent`, `came`: bytes of a client's, and for it. `connections`: so many."""

    port: int
    sent: int = 0
    came: int = 0
    connections: int = 0


@contextmanager
def relay(to: int) -> Iterator[Relay]:
    """A port of this machine before another one."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        counted = Relay(listener.getsockname()[1])

        def pass_on(source: socket.socket, sink: socket.socket, name: str) -> None:
            try:
                while data := source.recv(65536):
                    setattr(counted, name, getattr(counted, name) + len(data))
                    sink.sendall(data)
                sink.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # the other side was quicker

        def accept() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                counted.connections += 1
                server = socket.create_connection(("127.0.0.1", to))
                for ends in ((client, server, "sent"), (server, client, "came")):
                    threading.Thread(target=pass_on, args=ends, daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield counted
        listener.shutdown(socket.SHUT_RDWR)


def crowd(port: int, ca: Path, host: str, path: str, clients: int, tag: str = "") -> tuple[set[int], float]:
    """So many clients look at once, each over a connection of its own: the statuses that they got, and the seconds until the
    last had its answer. `tag`: the ETag that they know."""
    context = ssl.create_default_context(cafile=ca)
    ready, statuses = threading.Barrier(clients + 1), list[int]()

    def look() -> None:
        raw = socket.create_connection(("127.0.0.1", port))
        ready.wait()
        connection = HTTPSConnection(host)
        connection.sock = context.wrap_socket(raw, server_hostname=host)
        connection.request("GET", path, headers={"If-None-Match": tag} if tag else {})
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
        connection.close()

    threads = [threading.Thread(target=look) for _ in range(clients)]
    for one in threads:
        one.start()
    ready.wait()
    began = time.monotonic()
    for one in threads:
        one.join()
    assert len(statuses) == clients
    return set(statuses), time.monotonic() - began
