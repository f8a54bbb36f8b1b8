"""Boards that misbehave: a thread that answers a serial port by a script, on a terminal or a socket.

Only for what no MicroPython does when asked; all else is tested on the virtual board.
"""

import os
import pty
import select
import socket
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager

RAW = b"raw REPL; CTRL-B to exit\r\n"
Send = Callable[[bytes], None]
Script = Callable[[bytes, Send], None]


def well(answer: Callable[[bytes], bytes], *, raw_paste: bool = True) -> Script:
    """Enters the raw REPL as MicroPython does; `answer` gives what follows a program (its source)."""
    held = bytearray()
    reading = [False]

    def script(data: bytes, send: Send) -> None:
        for byte in data:
            one = bytes([byte])
            if reading[0] and one != b"\x04":
                held.extend(one)
            elif reading[0]:
                reading[0] = False
                send(b"\x04" + answer(bytes(held)))
                held.clear()
            elif one == b"\x01":
                if held[-2:] == b"\x05A":
                    held.clear()
                    reading[0] = True
                    send(b"R\x01\x00\x40\x01")  # a window that no program here fills
                else:
                    held.clear()
                    send(RAW + b">")
            elif one == b"\x04":
                send(b"OK\r\nMPY: soft reboot\r\n" + RAW + b">")
            else:
                held.extend(one)

    return script


def silent(_: bytes, __: Send) -> None:
    """Hears all, says nothing."""


def chatting(_: bytes, send: Send) -> None:
    """Answers whatever comes with noise."""
    send(b"noise " * 50)


@contextmanager
def on_terminal(script: Script, *, chatter: bytes = b"", reads: bool = True) -> Iterator[str]:
    """The path of a terminal on which `script` answers; `chatter` comes without end meanwhile."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    with _played(_Terminal(master), script, chatter, reads):
        yield os.ttyname(slave)
    os.close(slave)
    os.close(master)


@contextmanager
def on_socket(script: Script, *, chatter: bytes = b"", reads: bool = True) -> Iterator[str]:
    """The same behind a socket:// address."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        stop = threading.Event()

        def accept() -> None:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.setblocking(False)
                with _played(_Socket(connection), script, chatter, reads):
                    stop.wait()

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"socket://127.0.0.1:{server.getsockname()[1]}"
        finally:
            stop.set()
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


class _Terminal:
    def __init__(self, master: int) -> None:
        self._master = master

    def fileno(self) -> int:
        return self._master

    def read(self) -> bytes:
        return os.read(self._master, 4096)

    def write(self, data: bytes) -> int:
        return os.write(self._master, data)


class _Socket:
    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def fileno(self) -> int:
        return self._connection.fileno()

    def read(self) -> bytes:
        return self._connection.recv(4096)

    def write(self, data: bytes) -> int:
        return self._connection.send(data)


@contextmanager
def _played(port: _Terminal | _Socket, script: Script, chatter: bytes, reads: bool) -> Iterator[None]:
    wake, stop = os.pipe()
    pending = bytearray()

    def play() -> None:
        while True:
            if chatter and len(pending) < 4096:
                pending.extend(chatter)
            inputs = [wake, port.fileno()] if reads else [wake]
            readable, writable, _ = select.select(inputs, [port.fileno()] if pending else [], [])
            if wake in readable:
                return
            try:
                if readable:
                    script(port.read(), pending.extend)
                if writable:
                    del pending[: port.write(bytes(pending))]
            except BlockingIOError:
                continue
            except OSError:
                return

    thread = threading.Thread(target=play)
    thread.start()
    try:
        yield
    finally:
        os.write(stop, b"x")
        thread.join()
        os.close(wake)
        os.close(stop)
