"""One board that all attacks of a session are tried on, and the outside look at what they have come to."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import rig as rigs
from faultbench import LEAK, STRANGER, taken
from otactl.board.link import Link
from otactl.release.sequence import next_sequence
from otactl.workspace import keys, tls
from otactl.workspace.workspace import Workspace
from rig import ADDRESS, FORGED, HOST, NEW, OLD, Rig, started
from trusting import Ring

from attacks import forgery
from attacks.flashed import Flashed, flashed, unchanged
from attacks.villain import Answer, Villain

CHANNEL, FILE = "stable.json", FORGED

# What a look needs, or not: taken() counts without it.
LET_GO = """
import sys
from ota import install, net, release
release.let_go("envelope", "signature", "keys", "trust", "fresh", "policy", "encryption", "p256", "unchanged")
for room, name in (
    (net, "guard"), (install, "decrypt"), (install, "job"), (install, "firmware"), (install, "sectors"), (install, "look"),
):
    sys.modules.pop(room.__name__ + "." + name, None)
    if hasattr(room, name):
        delattr(room, name)
for name in ("source", "pipeline"):
    __import__("ota.install." + name)
"""
# Parts that most boards have not: the names in them stay on the heap.
PARTS = """
from ota.entries import client, encryption, pins
del client, encryption, pins
from ota.install import decrypt
from ota.net import guard
from ota.release import encryption, p256
del decrypt, guard, encryption, p256
"""

# What only rows load that come to a download: the names in it stay too.
DOWNLOAD = """
from ota.install import firmware, job, sectors
del firmware, job, sectors
"""

# What an earlier row's well signed release has made the board hear of is no matter of this row's.
FORGET = """
from ota.boot import record
record.load().note("heard", None)
"""

# update() as it is, but for the reset at its end; how it ends is told as agent.loop() tells it.
SETUP = """
import gc
from ota import agent
from ota.errors import OtaError
from ota.net import timeserver
class machine:
    reset = staticmethod(lambda: None)
agent.machine = machine
def go():
    try:
        agent.update(lambda *_: None)
        print("ota: installed")
    except OtaError as e:
        agent._report(e)
"""


@dataclass(frozen=True)
class Row:
    """`code`: what the look ends in. `gains`: what it would have gained him. `begin`: what he does before the look.

    `reaches`: how far it comes. "look": the record says why the look ended, no more. "file": it also says that a
    download was begun. "slot": the slot that does not run has been written to. `config`: of the board, other than
    usual. `after`: what else must be so. `parts`: whether the board uses pins, a certificate of its own or a device key."""

    code: str
    gains: str
    begin: "Callable[[Bench], None]"
    reaches: Literal["look", "file", "slot"] = "look"
    config: dict[str, Any] = field(default_factory=dict)
    after: "Callable[[Bench], None] | None" = None
    parts: bool = False


class Bench:
    """A board that runs 1.0.0, the villain that its releases come from, and the keys of both sides."""

    def __init__(self, rig: Rig) -> None:
        self.rig, self.network = rig, rig.network
        rig.publish("1.0.0", OLD)
        self.key = keys.load(rig.workspace.key_file)
        self.keyid = keys.keyid(self.key.public_key())
        self.heard: list[str] = []  # what the last attack's server was asked for
        self.heard_next_door: list[str] = []  # the same of its neighbour
        self.ring = Ring(a=self.key)  # x: his
        self.his_key = self.ring["x"]
        self._changed = False  # whether the configuration is another than the usual one
        self.villain = Villain(rig.workspace.releases, rig.workspace.tls)
        self.neighbour = Villain(rig.workspace.releases, None)  # a device on the board's network, without TLS
        rig.network.hosts[STRANGER] = ADDRESS
        rig.route(self.villain.port)
        self._hosts = dict(rig.network.hosts)
        # more than a chip has, for what the bench itself holds: its code, and the names of parts that no board has together
        self.board = started(rig.board(heap_kib=172))
        self.board.wait_text("ota: up-to-date 1.0.0", 20)
        self._good = rig.workspace.channel_file.read_bytes()
        rigs.configure(self.board, pins=["ab" * 32], client={}, encryption={})  # brings what these take
        rigs.configure(
            self.board, read_timeout_s=2, connect_timeout_s=3, tries=1, pins=None, client=None, encryption=None
        )
        self._config = rigs.ask(self.board, "print(open('/etc/ota/config.json').read())").strip()
        self._version, self._parts = "1.0.0", False
        self._link = self._entered()

    def _entered(self) -> Link:
        link = Link(str(self.board.port))
        link.enter_repl()
        link.run(SETUP)
        link.run(FORGET)
        link.put("/put", b"")  # as rows do: the names of that stay too
        for _ in range(2):  # then all modules are in, and have been in a second time
            link.run(DOWNLOAD)
            if self._parts:
                link.run(PARTS)
            link.run(LET_GO)
            self.channel(b"{}")  # which loads what looks for newer keys
            refused = self._look(link)
            assert refused == "envelope-not-json", refused
            self.channel(self._good)
            found = self._look(link)
            assert found == f"up-to-date {self._version}", found
        return link

    def close(self) -> None:
        self._link.close()
        self.villain.close()
        self.neighbour.close()

    # --- what rows do ---------------------------------------------------------------------------------------------

    def next(self) -> int:
        """The sequence of the next release."""
        return next_sequence(self.rig.workspace)

    def channel(self, data: bytes) -> None:
        """Serve this in place of the newest release."""
        self.rig.workspace.channel_file.write_bytes(data)

    def release(self, data: bytes = NEW, **changes: Any) -> None:
        """Serve a release that is well signed: somebody has the key, or `publish` has made a slip."""
        self.rig.forge(data, **changes)

    def payload(self, content: bytes) -> None:
        """Serve a payload of these bytes, well signed."""
        self.channel(forgery.sealed(content, self.key))

    def answer(self, path: str, answer: Answer) -> None:
        """Answer requests for `path` so."""
        self.villain.answers[path] = answer

    def install(self, version: str, data: bytes) -> None:
        """Publish a release, and follow the board through its trial."""
        self.reform()
        self.rig.publish(version, data)
        self._good = self.rig.workspace.channel_file.read_bytes()
        self._link.close()
        seen = len(self.board.text)
        self.board.reset()
        self.board.wait_text(f"ota: up-to-date {version}", 60, since=seen)
        self._version = version
        self._link = self._entered()

    def reform(self) -> None:
        """The villain is sound again, and serves the newest good release."""
        self.villain.reform()
        self.neighbour.reform()
        self.channel(self._good)
        self.network.ntp_off_s, self.network.hosts = 0.0, dict(self._hosts)
        if self._changed:
            self.configure()
            self._changed = False

    def run(self, code: str) -> str:
        """What this prints on the board."""
        return self._link.run(code).strip()

    def put(self, path: str, data: "bytes | str") -> None:
        """A file of the board's, as its owner has put it there."""
        self._link.put(path, data.encode() if isinstance(data, str) else data)

    def configure(self, **changes: Any) -> None:
        """The board's configuration is the usual one with these changes, until the attack is over."""
        if changes or self._changed:
            self._changed = True
            self._link.run(
                f"import json\nc = json.loads({self._config!r})\nc.update({changes!r})\n"
                "with open('/etc/ota/config.json', 'w') as f:\n    json.dump(c, f)\ndel c, f, json"
            )

    # --- what comes of it -----------------------------------------------------------------------------------------

    def look(self) -> str:
        """One look: how it ended."""
        return self._look(self._link)

    @staticmethod
    def _look(link: Link) -> str:
        out = link.run("go()", timeout_s=30)
        lines = [line for line in out.replace("\r\n", "\n").split("\n") if line]
        events = [line for line in lines if not line.startswith(("ota: release ", "ota: again ", "ota: switch "))]
        assert len(events) == 1, out
        assert events[0].isascii() and events[0].isprintable(), out  # nothing of his is taken for the board's words
        return events[0].removeprefix("ota: error ").removeprefix("ota: ")

    def taken(self) -> int:
        """Bytes of the heap that are in use, without what judges a release: whether it is loaded hangs on the last look."""
        return taken(self._link, LET_GO)

    def flashed(self) -> Flashed:
        """What lies in flash now."""
        return flashed(self.board, self.rig.root / "nvs.bin")

    def attacked(self, row: Row) -> None:
        """The row's attack ends in its code, and nothing that boots has changed, nor what the board has come to."""
        if row.parts != self._parts:  # a prompt of its own: boards without them have more memory
            self._link.close()
            self._parts = row.parts
            self._link = self._entered()
        heap = self.taken()
        self.villain.asked.clear()
        self.neighbour.asked.clear()
        self._link.run(FORGET)
        try:
            self.configure(**row.config)
            row.begin(self)
            before = self.flashed()
            said = self.look()
            after = self.flashed()
        finally:
            self.heard, self.heard_next_door = list(self.villain.asked), list(self.neighbour.asked)
            self.reform()
        assert said.split()[0] == row.code, said
        unchanged(before, after, str(self.board.slot), row.code, row.reaches)
        if row.after:
            row.after(self)
        assert abs(self.taken() - heap) <= LEAK, self.taken() - heap


@contextmanager
def opened(root: Path, place: Workspace, template: Path) -> Iterator[Bench]:
    """A bench in `root`."""
    shutil.copytree(place.root, root / "workspace")
    with ExitStack() as stack:
        rig = Rig(root, template, Workspace.find(root / "workspace"))
        stack.callback(rig.close)
        tls.make_server(rig.workspace.tls, [HOST])
        made = Bench(rig)
        stack.callback(made.close)
        yield made
