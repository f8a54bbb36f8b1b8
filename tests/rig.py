"""What board tests are built from: a workspace with its server, and virtual boards that have the agent already.

Making a key and deploying take seconds, so both are done once a session; each board starts from a copy of the flash.
All boards believe that releases come from https://releases.test:8443; where that really is, the network says.
"""

import json
import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from otactl.board import agent
from otactl.board import deploy as deploying
from otactl.board.deploy import deploy
from otactl.board.link import Link
from otactl.release import channels, envelope, publish
from otactl.release.sequence import next_sequence
from otactl.server.files import Transfer
from otactl.server.server import Server
from otactl.workspace import keys, tls
from otactl.workspace.create import create
from otactl.workspace.workspace import Workspace
from vboard.board import Board
from vboard.flash import images
from vboard.flash.appimage import measure
from vboard.flash.nvs import Nvs, NvsError
from vboard.flash.otadata import Entry, State, active, read_entries, slot_of
from vboard.link.wlan import Network

HOST, ADDRESS, PORT = "releases.test", "10.0.0.9", 8443
TRIAL = {
    "deadline_s": 20,
    "watchdog_s": 25,  # the least; rig.board() has watchdogs that bite in a fifth of it
    "settle_s": 1,
    "checks": [{"check": "wifi", "timeout_s": 6}, {"check": "server", "timeout_s": 6}],
}
CONFIG: dict[str, Any] = {
    "wifi": {"ssid": "virtual", "password": "password"},
    "trial": TRIAL,
    "tries": 3,
    "connect_timeout_s": 3,
    "read_timeout_s": 2,
}
SIZE = 96 << 10
# a program that leaves no room in NVS
FILL = """
from esp32 import NVS
n = NVS("user")
for size in (1000, 200, 32):
    i = 0
    while True:
        try:
            n.set_blob("k%d_%d" % (size, i), bytes(size))
            i += 1
        except OSError:
            break
"""


def image(seed: int, chip: str = "esp32", size: int = SIZE, **behaviour: Any) -> bytes:
    """A small sound app image; `behaviour` is what its firmware does on the virtual board."""
    return images.with_behaviour(images.build_app(chip, size=size, seed=seed), **behaviour)


def rebuilt(data: bytes, *sectors: int) -> bytes:
    """The same app image with two bytes changed in each of these sectors, as sound: its checksum holds, its hash is made anew."""
    end = measure(data) - 32
    body = bytearray(data[:end])
    for sector in sectors:
        for at in (1000, 3000):  # the same bits in both: the checksum is what all bytes come to by XOR
            body[sector * 4096 + at] ^= 0x55
    return bytes(body) + sha256(body).digest() + data[end + 32 :]


OLD = image(1)
NEW = image(2)


FORGED = "forged/esp32.bin"


def forged(data: bytes, **changes: Any) -> dict[str, Any]:
    """The payload of a release that `publish` would not make, of `data` at FORGED. A change of None takes a field away;
    target__NAME changes the target."""
    target: dict[str, Any] = {
        "kind": "firmware",
        "chip": "esp32",
        "url": FORGED,
        "size": len(data),
        "sha256": sha256(data).hexdigest(),
    }
    payload: dict[str, Any] = {
        "schema": 1,
        "product": "demo",
        "version": "6.6.6",
        "sequence": 1,
        "security_version": 0,
        "published": channels.now(),
        "targets": [target],
    }
    for name, value in changes.items():
        where, key = (target, name[8:]) if name.startswith("target__") else (payload, name)
        if value is None:
            where.pop(key, None)
        else:
            where[key] = value
    return payload


class Rig:
    """A workspace that is served, and the boards that look at it."""

    def __init__(self, root: Path, template: Path, place: Workspace) -> None:
        self.root = root
        self.workspace = place
        self.network = Network(hosts={HOST: ADDRESS}, join_s=0.02)
        self.transfers: list[Transfer] = []
        self._template = template
        self._opened = ExitStack()

    def serve(self) -> None:
        """Start the project's own server."""
        server = Server(self.workspace.releases, self.workspace.tls, "127.0.0.1", 0, self._watch)
        self.route(self._opened.enter_context(server).port)

    def route(self, port: int) -> None:
        """Let the boards' release host be this port of this machine."""
        self.network.routes[ADDRESS, PORT] = ("127.0.0.1", port)

    def _watch(self, transfer: Transfer) -> None:
        if transfer.over:
            self.transfers.append(transfer)

    def publish(self, version: str, data: bytes, **more: Any) -> publish.Published:
        path = self.root / f"{version}.bin"
        path.write_bytes(data)
        return publish.publish(self.workspace, [path], version, **more)

    def forge(self, data: bytes = NEW, *, sign: Any = None, **changes: Any) -> dict[str, Any]:
        """Put a release into the channel that `publish` would not make: a payload with `changes`.

        A change of None takes the field away; target__NAME changes the target. `sign` is another key to sign with.
        """
        own = {"product": self.workspace.product, "sequence": next_sequence(self.workspace)}
        payload = forged(data, **(own | changes))
        folder = self.workspace.releases / "forged"
        folder.mkdir(exist_ok=True)
        (folder / "esp32.bin").write_bytes(data)
        self.workspace.channel_file.write_bytes(envelope.seal(payload, [sign or keys.load(self.workspace.key_file)]))
        return payload

    def board(self, *, deployed: bool = True, **settings: Any) -> Board:
        """A board, off. `deployed`: with the agent, OLD in ota_0 and room for NEW in ota_1."""
        folder = self.root / f"board-{len(list(self.root.glob('board-*')))}"
        folder.mkdir()
        flash = settings.pop("flash", self._template)
        if deployed:
            shutil.copy(flash, folder / "flash.bin")
        board = Board(
            folder,
            app=settings.pop("app", OLD),
            watchdog_factor=settings.pop("watchdog_factor", 5.0),
            network=settings.pop("network", self.network),
            **settings,
        )
        return self._opened.enter_context(board)

    def close(self) -> None:
        self._opened.close()


def started(board: Board, *, clock: bool = True) -> Board:
    """Power on and wait until the program runs or the prompt waits."""
    seen = len(board.text)
    board.power_on()
    board.wait_text("ota: ", 20, since=seen)
    return board


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def repl(board: Board) -> Iterator[Link]:
    """The board's raw REPL, main.py not run. The board stays there: nothing restarts its program."""
    link = Link(str(board.port))
    link.enter_repl()
    try:
        yield link
    finally:
        link.close()


def ask(board: Board, code: str, timeout_s: float = 30) -> str:
    with repl(board) as link:
        return link.run(code, timeout_s=timeout_s)


def configure(board: Board, **changes: Any) -> None:
    """Change the board's configuration."""
    with repl(board) as link:
        path = "/etc/ota/config.json"
        raw = json.loads(link.run(f"print(open({path!r}).read())"))
        raw.update(changes)
        link.put(path, json.dumps(raw).encode())
        have = link.value("_walk('/lib/ota')", deploying._ASK)
        needed = agent.sources(raw)
        new = {name: data for name, data in _compiled().items() if name.replace(".mpy", ".py") in needed}
        for folder in {Path(name).parent for name in new} - {Path(name).parent for name in have}:
            link.run(f"import os\nos.mkdir('/lib/ota/{folder}')")
        for name in new.keys() - set(have):  # what a deployment would install with it
            link.put(f"/lib/ota/{name}", new[name])


@lru_cache
def _compiled() -> dict[str, bytes]:
    return agent.compiled()


def update_code(board: Board, *, timeout_s: float = 60) -> str:
    """Have the agent update; the code with which it refuses (it must)."""
    out = ask(
        board,
        "from ota import agent\nfrom ota.errors import OtaError\n"
        "try:\n    agent.update(lambda *_: None)\nexcept OtaError as e:\n    print('CODE', e.code, e.detail)",
        timeout_s,
    )
    return out.rpartition("CODE ")[2].split()[0]


def status(board: Board) -> dict[str, Any]:
    with repl(board) as link:
        found: dict[str, Any] = link.value("agent.status()", "from ota import agent")
        return found


def slot_bytes(board: Board, label: str, n: int) -> bytes:
    row = board.table.find(label)
    assert row, label
    return board.flash.read(row.offset, n)


def otadata(board: Board) -> tuple[Entry, Entry]:
    row = board.table.otadata
    assert row
    return read_entries(board.flash, row)


def boots(board: Board) -> tuple[str, State]:
    """What the bootloader will start by otadata: (slot, state of its entry)."""
    entries = otadata(board)
    entry = entries[active(*entries)]
    slots = board.table.ota_slots
    return slots[slot_of(entry.seq, len(slots))].label, State(entry.state)


def nvs(board: Board) -> Nvs:
    """The store of a board that is off."""
    row = board.table.find("nvs")
    assert row
    return Nvs(board.flash, row.offset, row.size)


def recorded(store: Nvs, which: str) -> dict[str, Any]:
    """`job` or `state` of the agent's record: the newer of its two copies, as it lies in flash."""
    turns = []
    for key in (which + "0", which + "1"):
        try:
            turns.append(json.loads(store.get_blob(store.namespace("ota"), key)))
        except (NvsError, ValueError):
            pass
    return dict(max(turns, key=lambda pair: pair[0])[1]) if turns else {}


def touched(board: Board, label: str, since: int = 0) -> list[str]:
    """The flash operations in a partition after the first `since` of the trace."""
    row = board.table.find(label)
    assert row, label
    return [
        f"{op.kind} {op.address:#x}"
        for op in board.flash.trace[since:]
        if row.offset <= op.address < row.offset + row.size
    ]


def make_workspace(root: Path, config: dict[str, Any] = CONFIG) -> Workspace:
    """`config`: what the agent of its boards is told."""
    made = create(root, product="demo", names=[HOST], port=PORT)
    settings = root / "otactl.toml"
    head = settings.read_text().partition("# Goes into")[0]
    settings.write_text(head + "[board]\n" + _toml(config))
    tls.make_server(made.tls, [HOST])
    return Workspace.find(root)


def _toml(table: dict[str, Any]) -> str:
    def value(v: Any) -> str:
        if isinstance(v, dict):
            return "{ " + ", ".join(f"{k} = {value(x)}" for k, x in v.items()) + " }"
        if isinstance(v, list):
            return "[" + ", ".join(value(x) for x in v) + "]"
        return json.dumps(v)

    return "".join(f"{key} = {value(item)}\n" for key, item in table.items())


def make_template(folder: Path, place: Workspace, chip: str = "esp32", **settings: Any) -> Path:
    """The flash of a board with the agent deployed, switched off."""
    with Board(folder, chip=chip, app=image(1, chip), **settings) as board:
        board.power_on()
        board.wait_repl()
        with repl(board) as link:
            deploy(link, place)
            link.put("/app.py", b"print('app: runs')\n")
        board.power_off()
    return folder / "flash.bin"
