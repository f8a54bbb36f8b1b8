"""The firmware that a board runs, as the suite's releases: measured on the board, fetched once, and made other images of.

Over a cable of 115,200 baud 1.7 MB take three minutes, over Wi-Fi half of one. So the board sends what it runs to this
machine by a plain connection, which shows as well that it reaches this machine at all.
"""

import contextlib
import os
import socket
import threading
import time
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from otactl.board import slots_image
from otactl.errors import BoardError, RigError
from otactl.files import write_atomic
from otactl.hil import slots

if TYPE_CHECKING:
    from otactl_pytest.board import Board

_JOIN_S = 60.0
_SEND_S = 180.0
_SLOWEST_S = 20.0  # between two pieces

_JOIN = """
from ota import config, steps
from ota.net import link
from ota.errors import OtaError
try:
    steps.run(link.join(config.load()))
    print("joined")
except OtaError as e:
    print(e.code, e.detail)
"""
_SEND = """
import socket
from esp32 import Partition
s = socket.socket()
try:
    s.settimeout({timeout})
    s.connect(socket.getaddrinfo({host!r}, {port})[0][-1])
    b = bytearray(4096)
    done = 0
    while done < {size}:
        m = memoryview(b)[:min(4096, {size} - done)]
        Partition(Partition.RUNNING).readblocks(0, m, done)
        s.sendall(m) if hasattr(s, "sendall") else s.write(m)
        done += len(m)
    print("sent")
except OSError as e:
    print("errno", e)
finally:
    s.close()
"""
_READ = """
from esp32 import Partition
from binascii import hexlify
b = bytearray({size})
Partition(Partition.RUNNING).readblocks(0, b, {at})
print(hexlify(b).decode())
"""


def measure(board: "Board", running: str, size: int) -> tuple[int, str]:
    """Bytes and SHA-256 (hex) of the image that runs, in a slot of `size` bytes. Raises BoardError, RigError."""
    board.to_prompt()

    def read(at: int, count: int) -> bytes:
        return bytes.fromhex(board.link.run(_READ.format(at=at, size=count)).strip())

    length = slots_image.length(read, size)
    if length is None:
        raise BoardError(f"the image in {running} of {board.name} has no end: was it written whole?")
    return length, slots.digest(board, running, length)


def join(board: "Board") -> None:
    """The board is on its network, by the agent's own means. Raises RigError with the agent's reason."""
    board.to_prompt()
    said = board.link.run(_JOIN, timeout_s=_JOIN_S).strip().splitlines()[-1:]
    if said != ["joined"]:
        raise RigError(
            f"{board.name} does not get onto its network ({said[0] if said else 'no word'}): is it in reach, and are "
            "the name and the password right (OTACTL_HIL_SSID, OTACTL_HIL_PASSWORD)?"
        )


def fetch(board: "Board", address: str, length: int, digest: str) -> bytes:
    """The image that runs, from this machine's store or off the board, which has joined its network.

    `address`: what the board calls this machine. Raises RigError where it does not reach it.
    """
    kept = store() / f"{digest}.bin"
    with contextlib.suppress(OSError):
        data = kept.read_bytes()
        if sha256(data).hexdigest() == digest:
            return data
    board.console.note(f"the board sends the firmware that it runs, {length} bytes")
    data = _received(board, address, length)
    if sha256(data).hexdigest() != digest:
        raise RigError(
            f"{board.name} sent {len(data)} of {length} bytes, or others than it runs: is the network sound?"
        )
    with contextlib.suppress(OSError):  # the next run reads it again
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(kept, data)
    return data


def store() -> Path:
    """Where firmware that was fetched is kept: $XDG_CACHE_HOME or ~/.cache, otactl/hil."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "otactl" / "hil"


def _received(board: "Board", address: str, length: int) -> bytes:
    came = bytearray()
    with socket.create_server(("", 0)) as listener:
        listener.settimeout(board.slow * _SEND_S)
        port = listener.getsockname()[1]
        taker = threading.Thread(target=_take, args=(listener, length, came), name="hil-image", daemon=True)
        taker.start()
        code = _SEND.format(host=address, port=port, size=length, timeout=_SLOWEST_S * board.slow)
        try:
            said = board.link.run(code, timeout_s=_SEND_S).strip().splitlines()[-1:]
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
            taker.join(_SLOWEST_S)
    if said != ["sent"]:
        raise RigError(
            f"{board.name} does not reach this machine at {address} port {port} ({said[0] if said else 'no word'}): are "
            "both on one network, and does a firewall let it in? --address names another way here"
        )
    return bytes(came)


def _take(listener: socket.socket, length: int, came: bytearray) -> None:
    with contextlib.suppress(OSError):
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(_SLOWEST_S)
            until = time.monotonic() + _SEND_S
            while len(came) < length and time.monotonic() < until:
                piece = connection.recv(65536)
                if not piece:
                    return
                came += piece
