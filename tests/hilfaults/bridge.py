"""A board's serial port on the network, as ser2net has it: raw bytes; and what can become of such a port."""

import contextlib
import os
import select
import socket
import threading
import tty
from pathlib import Path
from typing import Self

_POLL_S = 0.05


class Bridge:
    """`url` for mpremote. `silent`: nothing comes from the board any more. `close` takes the port away."""

    def __init__(self, port: Path) -> None:
        self._port = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"socket://127.0.0.1:{self._server.getsockname()[1]}"
        self.silent = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="bridge", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if not self._over.is_set():
            self._over.set()
            with contextlib.suppress(OSError):
                self._server.shutdown(socket.SHUT_RDWR)  # wakes accept()
            self._thread.join()
            self._server.close()

    def _serve(self) -> None:
        while not self._over.is_set():
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            terminal = os.open(self._port, os.O_RDWR | os.O_NOCTTY)
            tty.setraw(terminal)
            try:
                with connection, contextlib.suppress(OSError):
                    self._copy(connection, terminal)
            finally:
                os.close(terminal)

    def _copy(self, connection: socket.socket, terminal: int) -> None:
        while not self._over.is_set():
            ready, _, _ = select.select([connection, terminal], [], [], _POLL_S)
            if connection in ready:
                data = connection.recv(4096)
                if not data:
                    return
                os.write(terminal, data)
            if terminal in ready:
                data = os.read(terminal, 4096)
                if not self.silent:
                    connection.sendall(data)
