"""Which port a device string means, how it is opened, and why one does not open."""

import contextlib
import io
import os
import re
import stat
import struct

import serial.tools.list_ports
from mpremote.transport import TransportError

from otactl.board.timed import Patience, PatientTransport, TimedPort
from otactl.errors import RigError

BROKEN = (TransportError, OSError, serial.SerialException, struct.error)  # what a port or a board raises
_READ_S = 5.0  # a board that stops in the middle of a word
_WRITE_S = 5.0
_ESPRESSIF = 0x303A  # the chip's own USB: its serial number is the chip's address, a USB bridge's is not
_SHORT = re.compile(r"([auc])(\d+)\Z")
_SHORT_PREFIX = {"a": "/dev/ttyACM", "u": "/dev/ttyUSB", "c": "COM"}


def candidates(device: str) -> list[str]:
    """What to try to open for a device string of mpremote's, in order. Raises RigError."""
    if device == "auto" or device.startswith("id:"):
        return _search(device)
    if short := _SHORT.match(device):
        return [_SHORT_PREFIX[short[1]] + short[2]]
    return [device.removeprefix("port:")]


def _search(device: str) -> list[str]:
    found = [port for port in serial.tools.list_ports.comports() if port.vid is not None]
    if device != "auto":
        found = [port for port in found if port.serial_number == device.removeprefix("id:")]
    if not found:
        raise RigError(
            f"no board found for {device!r}: plug one in, or name its port (`mpremote connect list` shows them)"
        )
    return sorted(str(port.device) for port in found)


def opened(paths: list[str], patience: Patience) -> PatientTransport:
    """The first of `paths` that opens, within `patience`. Raises RigError."""
    reasons = []
    for path in paths:
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                # one try more, a second later, for a port that another program is just about to let go
                wait = int(os.path.exists(path))
                transport = PatientTransport(path, wait=wait, timeout=patience.limit(_READ_S))
            with contextlib.suppress(NotImplementedError):  # rfc2217:// has no such limit
                transport.serial.write_timeout = patience.limit(_WRITE_S)
        except (*BROKEN, ValueError) as error:
            reasons.append(f"{path}: {why_not(path, error)}")
            continue
        # else it reads a /dev/pts/ path without looking whether something came (facts 7.6)
        transport.is_pty = False
        transport.patience = patience
        transport.serial = TimedPort(transport.serial, patience)
        return transport
    raise RigError("cannot open " + "; ".join(reasons))


def usb_serial(path: str) -> str:
    """The serial number of a chip that has its own USB, at `path`; empty where the port does not tell which board it is."""
    for port in serial.tools.list_ports.comports():
        if port.device == os.path.realpath(path) and port.vid == _ESPRESSIF:
            return port.serial_number or ""
    return ""


def why_not(path: str, error: Exception) -> str:
    """Why `path` did not open, and what to do: mpremote drops the reason, so it is looked for."""
    if "://" in path:
        return f"{error}; is that server up?"
    if os.name == "posix" and not os.path.exists(path):
        return "there is no such port; is the board plugged in?"
    if os.name == "posix" and not stat.S_ISCHR(os.stat(path).st_mode):
        return "that is no serial port"
    if os.name == "posix" and not os.access(path, os.R_OK | os.W_OK):
        return (
            "no permission; add yourself to its group (often dialout): sudo usermod -aG dialout $USER, and log in again"
        )
    return f"{error}; does another program hold it (a terminal, Thonny, mpremote)?"
