"""Whether a board that was reset comes to MicroPython's prompt: what runs on it may be anything, or nothing."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

import serial

from otactl.board import lock, ports
from otactl.errors import RigError

_RAW = b"raw REPL; CTRL-B to exit"
_ASK = b"\r\x03\x03\r\x01"
_ASK_EVERY_S = 1.0
_OPEN_AGAIN_S = 0.5  # a port without modem lines tells by its closing that the loader is left
_OPEN_FOR_S = 5.0
_LAST = 400  # bytes of what it says, for an error


@dataclass(frozen=True, slots=True)
class Heard:
    """`at_prompt`: MicroPython answered. `there`: its port opened. `said`: the last that came, on one line."""

    at_prompt: bool
    there: bool
    said: str


def wait(device: str, seconds: float, check: Callable[[], None] = lambda: None) -> Heard:
    """Ask for the raw prompt for so long, through resets and a USB port that goes away and comes back.

    What runs is interrupted, and not started again: a Link comes after this. `check` may raise, to stop it.
    """
    until = time.monotonic() + seconds
    said, there = b"", False
    while time.monotonic() < until:
        check()
        time.sleep(_OPEN_AGAIN_S)
        try:
            path = ports.candidates(device)[0]
            with (
                lock.take(path),
                serial.serial_for_url(path, 115200, timeout=0.1, exclusive=True) as port,
            ):
                there = True
                with contextlib.suppress(NotImplementedError):  # rfc2217:// has no such limit
                    port.write_timeout = 1
                said = _ask(port, min(until, time.monotonic() + _OPEN_FOR_S), said)
        except (RigError, serial.SerialException, OSError):
            continue
        if _RAW in said:
            return Heard(True, True, "")
    return Heard(False, there, " ".join(said.decode("latin-1").split())[-_LAST:])


def _ask(port: serial.Serial, until: float, said: bytes) -> bytes:
    """Until the prompt came or time is up. Raises SerialException, OSError where the port goes away."""
    again = 0.0
    while time.monotonic() < until and _RAW not in said:
        if time.monotonic() >= again:
            port.write(_ASK)
            again = time.monotonic() + _ASK_EVERY_S
        said = (said + port.read(256))[-4 * _LAST :]
    return said
