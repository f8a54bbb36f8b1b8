"""Boards without two slots for board tests: a stock ESP32 with its one app, and an ESP8266, which hears of releases over
plain HTTP. Judged by what lies in flash and what runs, not by the agent's word."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rig as rigs
from otactl.board.deploy import deploy
from otactl.fleet.store import FILE, Event, Seen, Store
from otactl.server.hub import Hub
from otactl.server.server import Server
from rig import Rig
from vboard.board import Board

PLAIN, OTHER = "plain.test", "other.test"  # names of the same server
TRIAL = {"deadline_s": 10, "settle_s": 1, "checks": []}
CONFIG: dict[str, Any] = rigs.CONFIG | {
    "url": f"http://{PLAIN}/stable.json",
    "allow_http": True,
    "trial": TRIAL,
}
# An object takes twice as much here as on a chip, whose 35 KiB are 48 by what was measured of an ESP32 (chip/heap.py).
KINDS: dict[str, dict[str, Any]] = {
    "esp32": {"chip": "esp32", "layout": "factory", "app": rigs.OLD, "watchdog_factor": 5.0},
    "esp8266": {"chip": "esp8266", "heap_kib": 38, "watchdog_factor": 0.3},
}
APP = b"print('app: %s')\n"


@contextmanager
def served(root: Path) -> Iterator[Rig]:
    """A workspace, its releases at the plain server that the boards know, which remembers them."""
    root.mkdir(exist_ok=True)
    made = Rig(root, root / "none", rigs.make_workspace(root, CONFIG))
    place = made.workspace
    with Store(place.root / FILE) as store:
        room = Hub(place, store).room
        with Server(place.releases, None, "127.0.0.1", 0, made.transfers.append, rooms=[room]) as server:
            for number, name in enumerate((PLAIN, OTHER)):
                made.network.hosts[name] = f"10.0.0.{8 + number}"
                made.network.routes[f"10.0.0.{8 + number}", 80] = ("127.0.0.1", server.port)
            try:
                yield made
            finally:
                made.close()


def heard(rig: Rig) -> tuple[list[Seen], list[Event]]:
    """The boards that the server knows, and what became of them since the last call, which it forgets."""
    with Store(rig.workspace.root / FILE) as store:
        seen, events = store.boards(), [event for _, event in store.events()]
        for one in seen:
            store.forget(one.said.id)
    return seen, events


def template(rig: Rig, folder: Path, kind: str) -> Path:
    """The flash of a board with the agent, and a program of its own in /app.py, switched off."""
    with Board(folder, **KINDS[kind]) as board:
        board.power_on()
        board.wait_repl()
        with rigs.repl(board) as link:
            deploy(link, rig.workspace)
            link.put("/app.py", APP % b"own")
        board.power_off()
    return folder


def board(rig: Rig, made: Path, kind: str, **settings: Any) -> Board:
    """A board of `template`'s flash, off."""
    folder = rig.root / f"single-{len(list(rig.root.glob('single-*')))}"
    shutil.copytree(made, folder, ignore=lambda *_: ["port", ".lock", "console.log"])
    return Board(folder, **(KINDS[kind] | {"network": rig.network} | settings))
