"""Which port a device string means, how it is opened, and why one does not open."""

import contextlib
import os
import stat
import struct
import time
from collections.abc import Iterator

import serial.tools.list_ports
from mpremote.transport import TransportError

from otactl.board import lock
from otactl.board.timed import Patience, PatientTransport, TimedPort
from otactl.errors import RigError
from otactl.workspace.roster_file import long_form

BROKEN = (TransportError, OSError, serial.SerialException, struct.error)  # what a port or a board raises
_READ_S = 5.0  # a board that stops in the middle of a word
_WRITE_S = 5.0
_ESPRESSIF = 0x303A  # the chip's own USB: its serial number is the chip's address, a USB bridge's is not
_AGAIN_S = 1.0  # for a port that another program is just about to let go
_LOOK_S = 6.0  # for a look at whose port it is
_KEY_S = 0.1
NOT_THERE = "not there"
_REMEDIES = {
    "": "it does not open; is that server up?",
    NOT_THERE: "there is no such port; is the board plugged in?",
    "no serial port": "that is no serial port",
    "no permission": (
        "no permission; add yourself to its group (often dialout): sudo usermod -aG dialout $USER, and log in again"
    ),
    "busy": "{error}; does another program hold it (a terminal, Thonny, mpremote)?",
}
_WHO = "import machine, binascii\nprint(binascii.hexlify(machine.unique_id()).decode())"


def candidates(device: str, slow: float = 1.0) -> list[str]:
    """What to try to open for a device string of mpremote's, or mac:ADDRESS, in order. Raises RigError.

    For an address that no chip's own USB has, a look is taken at each USB port (`owner`), `slow` times as long.
    """
    if device == "auto" or device.startswith("id:"):
        return _search(device)
    if device.startswith("mac:"):
        return [_with_address(device.removeprefix("mac:"), slow)]
    return [long_form(device)]


def on_usb() -> dict[str, str]:
    """The USB serial ports of this machine, in order, and what each says of itself."""
    found = [port for port in serial.tools.list_ports.comports() if port.vid is not None]
    return {str(port.device): str(port.description) for port in sorted(found, key=lambda port: str(port.device))}


def _search(device: str) -> list[str]:
    found = [port for port in serial.tools.list_ports.comports() if port.vid is not None]
    if device != "auto":
        found = [port for port in found if port.serial_number == device.removeprefix("id:")]
    if not found:
        raise RigError(
            f"no board found for {device!r}: plug one in, or name its port (`mpremote connect list` shows them)"
        )
    return sorted(str(port.device) for port in found)


def _with_address(mac: str, slow: float) -> str:
    """The port of the board with that address. Raises RigError."""
    for port in serial.tools.list_ports.comports():
        if port.vid == _ESPRESSIF and _digits(port.serial_number or "") == _digits(mac):
            return str(port.device)
    unclear = [port for port in on_usb() if not usb_serial(port)]
    for path in unclear:
        if _digits(owner(path, slow)) == _digits(mac):
            return path
    raise RigError(
        f"no board with the address {mac} answers at a USB port ({len(unclear)} looked at): plug it in, or give "
        "its port in boards.toml"
    )


def _digits(mac: str) -> str:
    return mac.replace(":", "").lower()


def owner(path: str, slow: float = 1.0) -> str:
    """The address of the chip at a port, as 24:0a:c4:12:34:56; empty where none says it at a MicroPython prompt.

    Its program is interrupted for that, and started again.
    """
    try:
        transport = opened([path], patience := Patience(slow))
    except RigError:
        return ""
    port = transport.serial
    try:
        patience.begin("", _LOOK_S)
        transport.enter_raw_repl(soft_reset=False, timeout_overall=_LOOK_S)
        said, _ = transport.exec_raw(_WHO, timeout=_LOOK_S)
        found = said.decode(errors="replace").strip()
        for word in (b"\r\x02", b"\x04"):  # the friendly prompt, and its soft reset
            port.write(word)
            time.sleep(patience.limit(_KEY_S))
    except BROKEN:
        return ""
    finally:
        transport.serial = port.port
        with contextlib.suppress(*BROKEN):
            transport.close()
        transport.hold.release()
    return spelled(found) if len(found) == 12 else ""


def spelled(digits: str) -> str:
    """An address as boards.toml has it, from its twelve digits."""
    return ":".join(digits[at : at + 2] for at in range(0, len(digits), 2))


def opened(paths: list[str], patience: Patience) -> PatientTransport:
    """The first of `paths` that opens, within `patience`; its `hold` is to be released. Raises RigError."""
    reasons = []
    for path in paths:
        try:
            hold = taken(path)
        except lock.InUse as error:
            reasons.append(f"{path}: {error}")
            continue
        try:
            transport = _transport(path, patience.limit(_READ_S))
            with contextlib.suppress(NotImplementedError):  # rfc2217:// has no such limit
                transport.serial.write_timeout = patience.limit(_WRITE_S)
        except (*BROKEN, ValueError) as error:
            hold.release()
            reasons.append(f"{path}: {why_not(path, error)}")
            continue
        # else it reads a /dev/pts/ path without looking whether something came (facts 7.6)
        transport.is_pty = False
        transport.hold, transport.patience = hold, patience
        transport.serial = TimedPort(transport.serial, patience)
        return transport
    raise RigError("cannot open " + "; ".join(reasons))


def taken(path: str) -> lock.Hold:
    """Two tries, as at the port itself. Raises InUse."""
    with contextlib.suppress(lock.InUse):
        return lock.take(path)
    time.sleep(_AGAIN_S)
    return lock.take(path)


@contextlib.contextmanager
def held(device: str) -> Iterator[None]:
    """Keep a board for several things one after the other. Raises RigError."""
    path = candidates(device)[0]
    try:
        hold = taken(path)
    except lock.InUse as error:
        raise RigError(f"cannot open {path}: {error}") from None
    with hold:
        yield


def _transport(path: str, timeout_s: float) -> PatientTransport:
    """Two tries where there is such a port. mpremote's own way of waiting writes to stdout, so it is not asked to."""
    try:
        return PatientTransport(path, timeout=timeout_s)
    except BROKEN:
        if not os.path.exists(path):
            raise
    time.sleep(_AGAIN_S)
    return PatientTransport(path, timeout=timeout_s)


def usb_serial(path: str) -> str:
    """The serial number of a chip that has its own USB, at `path`; empty where the port does not tell which board it is."""
    for port in serial.tools.list_ports.comports():
        if port.device == os.path.realpath(path) and port.vid == _ESPRESSIF:
            return port.serial_number or ""
    return ""


def trouble(path: str) -> str:
    """In a word or two, why a port that is there does not open, or that it is not there; empty for an address."""
    if "://" in path:
        return ""
    if os.name == "posix" and not os.path.exists(path):
        return NOT_THERE
    if os.name == "posix" and not stat.S_ISCHR(os.stat(path).st_mode):
        return "no serial port"
    if os.name == "posix" and not os.access(path, os.R_OK | os.W_OK):
        return "no permission"
    return "busy"


def why_not(path: str, error: Exception) -> str:
    """Why `path` did not open, and what to do: mpremote drops the reason, so it is looked for."""
    return _REMEDIES[trouble(path)].format(error=error)
