"""A port that is always listened to: real terminals, read by two at once."""

import os
import pty
import threading
import tty
from collections.abc import Iterator

import pytest
import serial
from otactl_pytest.listening import ListenedPort


class Wire:
    """A terminal with a listened port at one end."""

    def __init__(self) -> None:
        self.master, slave = pty.openpty()
        tty.setraw(slave)
        self.heard = bytearray()
        self.lost = threading.Event()
        self._changed = threading.Condition()
        self.port = ListenedPort(serial.Serial(os.ttyname(slave), timeout=5), self._hear, self.lost.set)
        os.close(slave)

    def _hear(self, data: bytes) -> None:
        with self._changed:
            self.heard += data
            self._changed.notify_all()

    def wait_heard(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.heard) >= count, 10), bytes(self.heard)


@pytest.fixture
def wire() -> Iterator[Wire]:
    made = Wire()
    yield made
    made.port.close()
    if not made.lost.is_set():
        os.close(made.master)


def test_what_comes_while_nobody_reads_is_heard_and_kept_for_the_reader(wire: Wire) -> None:
    os.write(wire.master, b"hello")
    wire.wait_heard(5)
    os.write(wire.master, b" world")
    wire.wait_heard(11)
    assert wire.port.in_waiting == 11
    assert wire.port.read(5) + wire.port.read(6) == bytes(wire.heard) == b"hello world"


def test_a_reader_waits_for_what_is_to_come(wire: Wire) -> None:
    threading.Timer(0.05, os.write, [wire.master, b"late"]).start()
    assert wire.port.read(4) == b"late"


def test_a_port_that_goes_away_is_told_and_raises_once_all_is_read(wire: Wire) -> None:
    os.write(wire.master, b"last words")
    wire.wait_heard(10)
    os.close(wire.master)
    assert wire.lost.wait(10)
    assert wire.port.read(10) == b"last words"
    with pytest.raises(OSError):
        wire.port.read(1)
    with pytest.raises(OSError):
        _ = wire.port.in_waiting


def test_closing_is_no_loss(wire: Wire) -> None:
    wire.port.close()
    assert not wire.lost.is_set()
    with pytest.raises(serial.SerialException, match="closed"):
        wire.port.read(1)


def test_a_terminal_has_no_modem_lines(wire: Wire) -> None:
    with pytest.raises(OSError):
        wire.port.set_lines(dtr=False, rts=True)
