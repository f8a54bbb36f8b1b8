"""The only door to mpremote: a board's REPL, with a time limit on everything."""

import base64
import contextlib
import io
import json
import re
import struct
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import serial
import serial.tools.list_ports
from mpremote.transport import TransportError, TransportExecError
from mpremote.transport_serial import SerialTransport

from otactl.errors import BoardError, RigError

_READ_S = 5.0  # a board that stops in the middle of a word
_CHUNK = 2048  # bytes of a file at a time: a quarter more as base64 in one command
_SHORT = re.compile(r"([auc])(\d+)\Z")
_SHORT_PREFIX = {"a": "/dev/ttyACM", "u": "/dev/ttyUSB", "c": "COM"}


class Link:
    """An open port with the board at its raw REPL; leaving starts the board's program again by a soft reset."""

    def __init__(self, device: str, *, timeout_s: float = 10) -> None:
        """`device` as mpremote takes it: auto, a path, id:SERIAL, socket://…, u0. Raises RigError."""
        self.device = device
        self._timeout_s = timeout_s
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._serial = self._open()
        self._lines = b""

    def __enter__(self) -> "Link":
        self.enter_repl()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError, serial.SerialException):
            self.restart_program()
        self.close()

    # --- the port -------------------------------------------------------------------------------------------------

    def _open(self) -> SerialTransport:
        path = self._path()
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                return SerialTransport(path, timeout=_READ_S)
        except (TransportError, OSError, serial.SerialException) as error:
            raise RigError(
                f"cannot open {self.device}: {error}; is it plugged in, and no other program at it?"
            ) from None

    def _path(self) -> str:
        if self.device == "auto" or self.device.startswith("id:"):
            return self._search()
        if short := _SHORT.match(self.device):
            return _SHORT_PREFIX[short[1]] + short[2]
        path = self.device.removeprefix("port:")
        if path.startswith("/dev/pts/"):
            # mpremote reads such a path without time limits (facts 7.6); by another name it does not
            self._folder = tempfile.TemporaryDirectory(prefix="otactl-")
            link = Path(self._folder.name) / "port"
            link.symlink_to(path)
            return str(link)
        return path

    def _search(self) -> str:
        ports = sorted(serial.tools.list_ports.comports(), key=lambda port: port.device)
        found = [p for p in ports if p.vid is not None]
        if self.device != "auto":
            found = [p for p in found if p.serial_number == self.device[3:]]
        if not found:
            raise RigError(f"no board found for {self.device!r}: plug one in, or name its port")
        return str(found[0].device)

    def close(self) -> None:
        with contextlib.suppress(OSError, serial.SerialException):
            self._serial.close()
        if self._folder:
            self._folder.cleanup()
            self._folder = None

    # --- the REPL -------------------------------------------------------------------------------------------------

    def enter_repl(self) -> None:
        """Interrupt what runs and take the raw REPL by a soft reset: boot.py runs again, main.py does not.

        Without the reset an interrupted import would leave half a module behind, and the program its memory.
        Raises RigError.
        """
        for attempt in (1, 2, 3):
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    self._serial.enter_raw_repl(timeout_overall=self._timeout_s / 3)
                return
            except (TransportError, OSError, serial.SerialException) as error:
                problem = error
                time.sleep(0.2 * attempt)
        raise RigError(
            f"the board at {self.device} does not answer ({problem}): reset it, or see whether it is a MicroPython board"
        )

    def run(self, code: str, *, timeout_s: float | None = None) -> str:
        """Run `code`, give what it prints. Raises BoardError with the last line of the board's traceback, RigError."""
        limit = timeout_s or self._timeout_s
        try:
            out, error = self._serial.exec_raw(code, timeout=limit)
        except (TransportError, OSError, serial.SerialException, struct.error) as problem:
            raise RigError(f"the board at {self.device} stopped answering ({problem}): reset it") from None
        if error:
            raise BoardError(error.decode(errors="replace").strip().splitlines()[-1])
        text: str = out.decode(errors="replace")
        return text

    def value(self, expression: str, setup: str = "", *, timeout_s: float | None = None) -> Any:
        """A JSON-able value from the board."""
        text = self.run(f"{setup}\nimport json\nprint(json.dumps({expression}))", timeout_s=timeout_s)
        try:
            return json.loads(text.strip().splitlines()[-1])
        except (ValueError, IndexError):
            raise RigError(f"the board at {self.device} answered {text[-80:]!r}, which is no JSON") from None

    def start(self, code: str) -> None:
        """Run `code` and do not wait: its lines come out of `lines`. Raises RigError."""
        try:
            self._serial.exec_raw_no_follow(code)
        except (TransportError, OSError, serial.SerialException, struct.error) as problem:
            raise RigError(f"the board at {self.device} stopped answering ({problem}): reset it") from None

    def restart_program(self) -> None:
        """Leave the raw REPL and soft-reset: boot.py and main.py run, as mpremote's own soft reset does not."""
        self._serial.serial.write(b"\r\x02")
        time.sleep(0.1)
        self._serial.serial.write(b"\x04")
        self._serial.serial.flush()

    # --- the console ----------------------------------------------------------------------------------------------

    def lines(self, silence_s: float) -> Iterator[str]:
        """What the board says, line by line, until it says nothing for `silence_s` seconds.

        A port that goes away with a reset (USB in the chip itself) is opened again.
        """
        heard = time.monotonic()
        while time.monotonic() < heard + silence_s:
            try:
                waiting = self._serial.serial.in_waiting
                data = self._serial.serial.read(waiting) if waiting else b""
            except (OSError, serial.SerialException):
                self._reopen()
                continue
            if not data:
                time.sleep(0.02)
                continue
            heard = time.monotonic()
            *whole, self._lines = (self._lines + data).replace(b"\x04", b"\n").split(b"\n")
            for line in whole:
                yield line.decode(errors="replace").strip("\r> ")

    def _reopen(self) -> None:
        self.close()
        time.sleep(0.5)
        with contextlib.suppress(RigError):
            self._serial = self._open()

    # --- files ----------------------------------------------------------------------------------------------------

    def put(self, path: str, data: bytes) -> None:
        """Write a file whole: under another name first, so that a cut leaves the old one.

        Raises BoardError with the code vfs-full where there is no room.
        """
        part = path + ".new"
        try:
            self.run(f"f = open({part!r}, 'wb')\nfrom binascii import a2b_base64 as _b")
            for at in range(0, len(data), _CHUNK):
                self.run(f"f.write(_b({base64.b64encode(data[at : at + _CHUNK])!r})) and None")
            self.run(f"f.close()\nimport os\nos.rename({part!r}, {path!r})")
        except BoardError as error:
            with contextlib.suppress(BoardError):
                self.run(f"f.close()\nimport os\nos.remove({part!r})")
            if "ENOSPC" in str(error) or "28" in str(error):
                raise BoardError(
                    f"vfs-full: no room on the board for {path} ({len(data)} bytes): delete files of yours, then again"
                ) from None
            raise BoardError(f"cannot write {path} on the board: {error}") from None


__all__ = ["Link", "TransportExecError"]
