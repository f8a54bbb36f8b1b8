"""Which port a device string means, and why one does not open."""

import os
import re
import stat

import serial.tools.list_ports

from otactl.errors import RigError

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
