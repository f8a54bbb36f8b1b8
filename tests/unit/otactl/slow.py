"""Slow boards: a console that passes so many bytes a second, and a chip that stands still most of the time."""

import os
import pty
import select
import signal
import threading
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager

from vboard.board import Board

_TICK_S = 0.01


@contextmanager
def paced(board: Board, bytes_per_s: float) -> Iterator[str]:
    """The path of a terminal that passes what a board and a host program say, both ways, at that pace."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    port = os.open(board.port.resolve(), os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    stop = threading.Event()

    def relay() -> None:
        waiting = {master: b"", port: b""}  # what came from each
        left = dict.fromkeys(waiting, 0.0)  # bytes that may pass now
        while not stop.is_set():
            for end in select.select([master, port], [], [], _TICK_S)[0]:
                waiting[end] += os.read(end, 4096)
            for end, other in ((master, port), (port, master)):
                left[end] = min(left[end] + bytes_per_s * _TICK_S, bytes_per_s)
                piece = waiting[end][: int(left[end])]
                left[end] -= len(piece)
                waiting[end] = waiting[end][len(piece) :]
                os.write(other, piece)
            time.sleep(_TICK_S)

    thread = threading.Thread(target=relay)
    thread.start()
    try:
        yield os.ttyname(slave)
    finally:
        stop.set()
        thread.join()
        for end in (master, slave, port):
            os.close(end)


@contextmanager
def halting(board: Board, *, stands_s: float, runs_s: float) -> Iterator[None]:
    """A board whose MicroPython stands still for `stands_s`, then runs for `runs_s`, and so on."""
    stop = threading.Event()

    def send(number: signal.Signals) -> None:
        process = board._process
        if process and process.child.poll() is None:
            process.child.send_signal(number)

    def halt() -> None:
        while not stop.is_set():
            send(signal.SIGSTOP)
            time.sleep(stands_s)
            send(signal.SIGCONT)
            stop.wait(runs_s)

    thread = threading.Thread(target=halt)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
