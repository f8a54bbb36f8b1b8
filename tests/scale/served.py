"""`otactl serve` as a process of its own, with a release to hand out, and what it costs (proc(5))."""

import contextlib
import os
import random
import re
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from otactl.release import publish
from otactl.workspace.create import create
from otactl.workspace.workspace import Workspace
from vboard.flash import images

_TICK = os.sysconf("SC_CLK_TCK")
_START_S = 60


def workspace(root: Path, size: int) -> Workspace:
    """With 1.1.0, an image of `size` bytes, published."""
    place = create(root, product="lamp", names=["localhost"])
    image = root / "firmware.bin"
    image.write_bytes(images.build_app("esp32", size=size, seed=random.Random(size).randrange(1000)))
    publish.publish(place, [image], "1.0.0")
    publish.publish(place, [image], "1.1.0")
    return place


class Serving:
    """The process. `port`: where it listens."""

    def __init__(self, place: Workspace, *more: str) -> None:
        words = [sys.executable, "-m", "otactl", "serve", "-w", str(place.root), "--host", "127.0.0.1", "--port", "0"]
        self._log = (place.root / "serve.log").open("w+")
        self._process = subprocess.Popen([*words, *more], stdout=self._log, stderr=subprocess.STDOUT)
        self.pid = self._process.pid
        self.port = self._listening(place.root / "serve.log")

    def _listening(self, log: Path) -> int:
        give_up = time.monotonic() + _START_S
        while time.monotonic() < give_up and self._process.poll() is None:
            if found := re.search(r"https://[^\s:]+:(\d+)", log.read_text()):
                return int(found[1])
            time.sleep(0.05)
        raise RuntimeError(f"otactl serve did not start:\n{log.read_text()}")

    def cpu_s(self) -> float:
        """Seconds of processor time so far."""
        return cpu_s(self.pid)

    def rss(self, most: bool = False) -> int:
        """Bytes of memory now, or the most that it was."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(rf"{'VmHWM' if most else 'VmRSS'}:\s+(\d+) kB", text)
        assert found, text
        return int(found[1]) << 10

    def close(self) -> None:
        self._process.send_signal(signal.SIGINT)
        self._process.wait(30)
        self._log.close()


@contextlib.contextmanager
def serving(place: Workspace, *more: str) -> Iterator[Serving]:
    made = Serving(place, *more)
    try:
        yield made
    finally:
        made.close()


def cpu_s(pid: int) -> float:
    """Seconds of processor time that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def trusting(place: Workspace) -> ssl.SSLContext:
    """As a board has it: our CA, nobody else."""
    return ssl.create_default_context(cafile=str(place.tls / "ca.pem"))
