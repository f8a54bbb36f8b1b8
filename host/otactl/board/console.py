"""A board's console: an open port, read in lines, through resets and unplugging. It interrupts nothing."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Self

import serial

from otactl.board import ports
from otactl.board.timed import Patience, Stop, Tell, TimedPort
from otactl.errors import RigError

_POLL_S = 0.01
_AGAIN_S = 0.5  # between two tries to open a port that went away
_LONGEST = 4096  # bytes of a line: a board that never ends one must not fill this machine's memory


class Console:
    """An open port. `gone`: it went away and is not back yet. `reopened`: what answers now may be another board."""

    def __init__(
        self,
        device: str,
        *,
        slow: float = 1.0,
        tell: Tell | None = None,
        tap: Callable[[str], None] | None = None,
        stop: Stop | None = None,
    ) -> None:
        """`device` as mpremote takes it: auto, a path, id:SERIAL, socket://…, u0; or mac:ADDRESS.

        `slow`: every time limit is so many times longer. `tell(what, left_s)`: once a second of a
        long wait. `tap`: gets each line of the console that was read. `stop`: Ctrl-C for a thread
        that is not the main one. Raises RigError.
        """
        self.device = device
        self.gone = self.reopened = False
        self.patience = Patience(slow, tell, stop)
        self._tap = tap
        self._transport = ports.opened(ports.candidates(device, slow), self.patience)
        self.path = str(self._transport.device_name)  # the port that was opened
        self._usb = ports.usb_serial(self.path)
        self._received = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the port back, and let others have the board."""
        self._shut()
        self._transport.hold.release()

    def _shut(self) -> None:
        port = self._transport.serial.port
        with contextlib.suppress(OSError, serial.SerialException):
            self._transport.serial = port
            self._transport.close()
        with contextlib.suppress(OSError, serial.SerialException):
            port.close()
        self._transport.serial = TimedPort(port, self.patience)

    def line(self, timeout_s: float) -> str | None:
        """The next line of the board's console; None when none comes in time, or `_over`.

        A port that goes away with a reset (USB in the chip itself) is opened again.
        """
        until = time.monotonic() + timeout_s
        while b"\n" not in self._received and len(self._received) < _LONGEST:
            if self._over() or time.monotonic() > until:
                return None
            self._receive()
            self.patience.tick()
        cut = self._received.find(b"\n") + 1 or _LONGEST
        taken, self._received = self._received[:cut], self._received[cut:]
        line = self._text(taken.decode(errors="replace"))
        if self._tap:
            self._tap(line)
        return line

    def _text(self, line: str) -> str:
        """A line without its end, and without a prompt before it."""
        return line.strip("\r\n> ")

    def lines(self, timeout_s: float) -> Iterator[str]:
        """Lines until none comes for `timeout_s`, or `_over`."""
        while (line := self.line(timeout_s)) is not None:
            yield line

    def _over(self) -> bool:
        """Whether nothing more is to be expected."""
        return False

    def _receive(self) -> None:
        port = self._transport.serial.port
        try:
            waiting = port.in_waiting
            data = port.read(waiting) if waiting else b""
        except (OSError, serial.SerialException, TypeError):  # TypeError: pyserial, once closed
            self._reopen()
            return
        if not data:
            time.sleep(_POLL_S)
        self._take(data)

    def _take(self, data: bytes) -> None:
        self._received += data

    def _reopen(self) -> None:
        self.gone = True
        self._shut()
        time.sleep(_AGAIN_S)
        with contextlib.suppress(RigError):
            before, self._transport = self._transport, ports.opened(self._places(), self.patience)
            before.hold.release()  # only now: the board was ours while its port was away
            self.gone = False
            self.reopened = self.reopened or not self._usb

    def _places(self) -> list[str]:
        """Where the port may be again: what has a serial number may come back under another name. Raises RigError."""
        if self._usb:
            return ports.candidates(f"id:{self._usb}")
        return ports.candidates(self.device) if self.device.startswith("id:") else [self.path]
