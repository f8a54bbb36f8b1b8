"""A board whose releases come from the fault server, shared by tests/board/test_faults.py and test_soak.py."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rig as rigs
from faultserver import faults
from faultserver.exchange import Folder
from faultserver.server import Event, FaultServer
from otactl.board.link import Link
from otactl.workspace import tls
from otactl.workspace.workspace import Workspace
from rig import ADDRESS, HOST, OLD, Rig, image, started

INSTALLED = "installed"
MIRROR, STRANGER = "mirror.test", "stranger.test"  # the certificate is for the first
SIZE = 80 << 10
LEAK = 192  # bytes: a pass gives back all that it took, but for a few small objects; test_memory.py counts a hundred passes

# update() as it is, but for the reset at its end, as the memory is looked at first, and with shorter pauses.
SETUP = """
import gc
from ota import agent
from ota.errors import OtaError
import time
class machine:
    reset = staticmethod(lambda: None)
class short:
    sleep_ms = staticmethod(lambda ms: time.sleep_ms(ms // 10))
agent.machine, agent.time = machine, short
def go():
    try:
        agent.update(lambda *_: None)
        print("installed")
    except OtaError as e:
        print(e.code)
"""
# In a command of its own: what go() had on the stack is no longer looked at by the collector. Without the record, which
# stays loaded and holds other words after another end, and without the modules that a look leaves behind or lets go, as it ends.
TAKEN = """
import micropython
from ota import install, release
from ota.boot import record
record._loaded = None
release.let_go("envelope", "signature", "keys", "trust", "fresh", "policy", "unchanged")
install.let_go("look", "parts", "job", "firmware", "pipeline", "source", "sectors", "application", "archive", "tree", "carried")
gc.collect()
print(gc.mem_alloc())
micropython.qstr_info()
"""


class Bench:
    """A board, its releases, and the server that fails."""

    def __init__(self, rig: Rig, **settings: Any) -> None:
        """`settings`: of the board, as Board has them."""
        tls.make_server(rig.workspace.tls, [HOST, MIRROR])
        rig.network.hosts.update({MIRROR: ADDRESS, STRANGER: ADDRESS})
        self.rig, self.events, self._count = rig, list[Event](), 0
        certificates = rig.workspace.tls
        self.server = FaultServer(
            Folder(rig.workspace.releases),
            certificates / "server.pem",
            certificates / "server.key",
            watch=self.events.append,
            other_host=MIRROR,
        )
        rig.publish("1.0.0", OLD)
        rig.route(self.server.port)
        self.board = rig.board(**settings)

    def next_image(self) -> tuple[str, bytes]:
        """A version and its image, which no slot holds."""
        self._count += 1
        return f"2.{self._count}.0", image(100 + self._count, size=SIZE)

    def publish(self) -> tuple[str, bytes]:
        """The next release."""
        version, data = self.next_image()
        self.rig.publish(version, data)
        return version, data

    def warm_up(self, link: Link) -> None:
        """Two passes that end early: all modules are in by then, and those that a look lets go have come back once."""
        link.run(SETUP)
        for _ in range(2):
            assert self.run(link, ["status:404"])[0] == "http-status"

    def run(self, link: Link, script: list[str], match: str = "*.bin") -> tuple[str, int]:
        """One update with what goes wrong: its code, and the bytes that it has not given back."""
        self.events.clear()
        self.server.match = match
        self.server.script([faults.parse(text) for text in script])
        before = taken(link)
        code = link.run("go()", timeout_s=60).split()[-1]
        self.server.settle()
        return code, taken(link) - before


def taken(link: Link, before: str = "") -> int:
    """Bytes of the heap in use after the commands `before`, less the names that MicroPython has met: each stays for good, once.

    The least of three: the collector also keeps what an old word on the stack happens to point at, which may be a module.
    What is lost for good is there each time."""
    found = []
    for _ in range(3):
        allocated, names = link.run(before + TAKEN).split(maxsplit=1)
        found.append(int(allocated) - int(names.rpartition("n_total_bytes=")[2]))
    return min(found)


@contextmanager
def opened(root: Path, place: Workspace, template: Path, **settings: Any) -> Iterator[Bench]:
    """A bench whose board runs OLD, with short time limits. `settings`: of the board, as Board has them."""
    shutil.copytree(place.root, root / "workspace")
    rig = Rig(root, template, Workspace.find(root / "workspace"))
    made = Bench(rig, **settings)
    try:
        with made.server:
            started(made.board).wait_text("ota: up-to-date 1.0.0", 20)
            rigs.configure(
                made.board,
                read_timeout_s=1,
                connect_timeout_s=2,
                trial=dict(rigs.TRIAL, settle_s=0),
            )
            yield made
    finally:
        rig.close()
