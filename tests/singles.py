"""Boards without two slots for board tests: a stock ESP32 with its one app, and an ESP8266, which hears of releases over
plain HTTP. Judged by what lies in flash and what runs, not by the agent's word."""

import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rig as rigs
from otactl.board.deploy import deploy
from rig import Rig
from vboard.board import Board

PLAIN, PLAIN_ADDRESS = "plain.test", "10.0.0.8"
TRIAL = {"deadline_s": 10, "settle_s": 1, "checks": []}
CONFIG: dict[str, Any] = rigs.CONFIG | {
    "url": f"http://{PLAIN}/stable.json",
    "allow_http": True,
    "trial": TRIAL,
}
# An object takes twice as much here as on a chip, whose 35 KiB are 48 by what was measured of an ESP32 (chip/heap.py).
KINDS: dict[str, dict[str, Any]] = {
    "esp32": {"chip": "esp32", "layout": "factory", "app": rigs.OLD, "watchdog_factor": 5.0},
    "esp8266": {"chip": "esp8266", "heap_kib": 37, "watchdog_factor": 0.3},
}
APP = b"print('app: %s')\n"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(root: Path) -> Iterator[Rig]:
    """A workspace, its releases at the plain server that the boards know."""
    root.mkdir(exist_ok=True)
    made = Rig(root, root / "none", rigs.make_workspace(root, CONFIG))
    handler = functools.partial(_Quiet, directory=str(made.workspace.releases))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        made.network.hosts[PLAIN] = PLAIN_ADDRESS
        made.network.routes[PLAIN_ADDRESS, 80] = ("127.0.0.1", server.server_port)
        try:
            yield made
        finally:
            server.shutdown()
            made.close()


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
