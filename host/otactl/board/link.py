"""The only door to mpremote: a board's REPL, with a time limit on everything (timed.py)."""

import base64
import contextlib
import io
import json
import re
import struct
import time
from collections.abc import Iterator
from hashlib import sha256
from types import TracebackType
from typing import Any, Self

import serial
from mpremote.transport import TransportError
from mpremote.transport_serial import SerialTransport

from otactl.board import ports
from otactl.board.timed import TimedPort
from otactl.errors import BoardError, RigError

_READ_S = 5.0  # a board that stops in the middle of a word
_WRITE_S = 5.0
# A program deep in a C call (a connect to a server that is not there) hears Ctrl-C only after it.
_ENTER_S = 40.0
_TRY_S = 1.5  # at first: what comes while a board resets is lost; each try waits twice as long
_CALL_S = 10.0
_POLL_S = 0.01
_END_S = 2.0  # from the last line of started code to its prompt
_CHUNK = 2048  # bytes of a file at a time: a third more as base64 in one command
_NO_ROOM = re.compile(r"ENOSPC|\[Errno 28\]|OSError: 28\b")
_BROKEN = (TransportError, OSError, serial.SerialException, struct.error)

_FOLDER = """
import os
try:
    os.mkdir({path!r})
except OSError as e:
    if e.args[0] != 17:  # EEXIST
        raise
"""
_OPEN = """
import os, hashlib
from binascii import a2b_base64 as _b
_f = open({part!r}, "wb")
_h = hashlib.sha256()
def _w(s):
    s = _b(s)
    _f.write(s)
    _h.update(s)
"""
_CLOSE = """
_f.close()
if _h.digest() != {digest!r}:
    raise ValueError("garbled on the way")
os.rename({part!r}, {path!r})  # onto a file that is there too: littlefs can, MicroPython's FAT does so
"""


class Link:
    """An open port, with the board at its raw REPL inside `with`.

    Leaving starts the board's program again by a soft reset, unless it is running.
    """

    def __init__(self, device: str) -> None:
        """`device` as mpremote takes it: auto, a path, id:SERIAL, socket://…, u0.

        Raises RigError.
        """
        self.device = device
        self._path = ""
        self._transport = self._open(ports.candidates(device))
        self._received = b""
        self._ends = 0  # of output and of errors, seen in what came from started code
        self._away = False  # whether the board runs by itself, not at our prompt

    def __enter__(self) -> Self:
        try:
            self.enter_repl()
        except BaseException:  # Ctrl-C as well: the program may have been interrupted already
            with contextlib.suppress(*_BROKEN):
                self.restart_program()
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._away or self.ended:
            with contextlib.suppress(*_BROKEN):
                self.restart_program()
        self.close()

    # --- the port ------------------------------------------------------------------------------

    def _open(self, paths: list[str]) -> SerialTransport:
        reasons = []
        for path in paths:
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    transport = SerialTransport(path, timeout=_READ_S)
                with contextlib.suppress(NotImplementedError):  # rfc2217:// has no such limit
                    transport.serial.write_timeout = _WRITE_S
            except (*_BROKEN, ValueError) as error:
                reasons.append(f"{path}: {ports.why_not(path, error)}")
                continue
            # else it reads a /dev/pts/ path without looking whether something came (facts 7.6)
            transport.is_pty = False
            transport.serial = TimedPort(transport.serial)
            self._path = path
            return transport
        raise RigError("cannot open " + "; ".join(reasons))

    def close(self) -> None:
        """Give the port back."""
        port = self._transport.serial.port
        with contextlib.suppress(OSError, serial.SerialException):
            self._transport.serial = port
            self._transport.close()
        with contextlib.suppress(OSError, serial.SerialException):
            port.close()
        self._transport.serial = TimedPort(port)

    def _within(self, timeout_s: float) -> None:
        self._transport.serial.until = time.monotonic() + timeout_s

    # --- the REPL ------------------------------------------------------------------------------

    def enter_repl(self) -> None:
        """Interrupt what runs and take the raw REPL by a soft reset: boot.py runs, main.py not.

        Without the reset an interrupted import would leave half a module behind, and the program
        its memory. Raises RigError.
        """
        self._within(_ENTER_S)
        give_up, patience_s = time.monotonic() + _ENTER_S, _TRY_S
        while True:
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    self._transport.enter_raw_repl(timeout_overall=patience_s)
                break
            except _BROKEN as error:
                if time.monotonic() > give_up or isinstance(error, serial.SerialException):
                    raise RigError(
                        f"the board at {self.device} does not answer ({error}): reset it, or see "
                        "whether it is a MicroPython board"
                    ) from None
                patience_s *= 2
        self._away, self._ends, self._received = False, 0, b""

    def run(self, code: str, *, timeout_s: float = _CALL_S) -> str:
        """Run `code` and give what it prints, within `timeout_s` in all.

        Raises BoardError with the last line of the board's traceback, RigError.
        """
        self._within(timeout_s)
        try:
            out, error = self._transport.exec_raw(code, timeout=timeout_s)
        except _BROKEN as problem:
            raise self._silent(problem) from None
        if error:
            raise BoardError((error.decode(errors="replace").strip() or "an error without words").splitlines()[-1])
        text: str = out.decode(errors="replace")
        return text

    def value(self, expression: str, setup: str = "", *, timeout_s: float = _CALL_S) -> Any:
        """What `expression` gives on the board after `setup`; it must fit in JSON."""
        code = f"{setup}\nimport json\nprint(json.dumps({expression}))"
        text = self.run(code, timeout_s=timeout_s)
        try:
            return json.loads(text.strip().splitlines()[-1])
        except (ValueError, IndexError):
            raise RigError(f"the board at {self.device} answered {text[-80:]!r}, which is no JSON") from None

    def start(self, code: str) -> None:
        """Run `code` and do not wait: read on with `line`. Raises RigError."""
        self._within(_CALL_S)
        try:
            self._transport.exec_raw_no_follow(code)
        except _BROKEN as problem:
            raise self._silent(problem) from None
        self._away, self._ends = True, 0

    def restart_program(self) -> None:
        """Leave the raw REPL and soft-reset: boot.py runs, and main.py too. Raises OSError."""
        self._within(_WRITE_S)
        # the first ends a command that was broken off half sent: the board would take the rest for more of it
        for word in (b"\r\x03", b"\r\x02", b"\x04"):
            self._transport.serial.write(word)
            time.sleep(0.1)  # the friendly prompt drops what comes while it prints its banner
        self._away, self._ends = True, 0

    def _silent(self, problem: BaseException) -> RigError:
        return RigError(f"the board at {self.device} stopped answering ({problem}): reset it")

    # --- the console ---------------------------------------------------------------------------

    @property
    def ended(self) -> bool:
        """Whether the code given to `start` has come to its end, well or by an exception."""
        return self._ends >= 2

    def line(self, timeout_s: float) -> str | None:
        """The next line of the board's console; None when none comes in time, or `ended`.

        A port that goes away with a reset (USB in the chip itself) is opened again.
        """
        until = time.monotonic() + timeout_s
        while b"\n" not in self._received:
            if self.ended or time.monotonic() > until:
                return None
            self._receive()
        line, _, self._received = self._received.partition(b"\n")
        return line.decode(errors="replace").strip("\r> ")

    def finish(self) -> None:
        """Wait for the end of code that has said its last line, so that leaving knows of it."""
        until = time.monotonic() + _END_S
        while not self.ended and time.monotonic() < until:
            self._receive()

    def lines(self, timeout_s: float) -> Iterator[str]:
        """Lines until none comes for `timeout_s`, or `ended`."""
        while (line := self.line(timeout_s)) is not None:
            yield line

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
        self._ends += data.count(b"\x04")
        self._received += data.replace(b"\x04", b"\n")

    def _reopen(self) -> None:
        self.close()
        time.sleep(0.5)
        with contextlib.suppress(RigError):
            self._transport = self._open([self._path])

    # --- files ---------------------------------------------------------------------------------

    def make_folder(self, path: str) -> None:
        """Make a folder unless it is there. Raises BoardError, RigError."""
        try:
            self.run(_FOLDER.format(path=path))
        except BoardError as error:
            raise _refusal(error, path) from None

    def put(self, path: str, data: bytes) -> None:
        """Write a file whole: under another name first, so that a cut leaves the old one.

        What arrived is held against its SHA-256. Raises BoardError, with the code vfs-full where
        there is no room; RigError.
        """
        part = path + ".new"
        try:
            self.run(_OPEN.format(part=part))
            for at in range(0, len(data), _CHUNK):
                self.run(f"_w({base64.b64encode(data[at : at + _CHUNK])!r})")
            self.run(_CLOSE.format(part=part, path=path, digest=sha256(data).digest()))
        except BoardError as error:
            for tidy in ("_f.close()", f"os.remove({part!r})"):
                with contextlib.suppress(BoardError):
                    self.run(tidy)
            raise _refusal(error, f"{path} ({len(data)} bytes)") from None


def _refusal(error: BoardError, what: str) -> BoardError:
    if _NO_ROOM.search(str(error)):
        said = f"vfs-full: no room on the board for {what}: delete files of yours there, then again"
        return BoardError(said, code="vfs-full")
    return BoardError(f"cannot write {what} on the board: {error}")
