"""A rig whose boards ask an engine at engine.test, and the operator at it."""

import json
from typing import Any

import rig as rigs
from otactl.engine.calls import Calls
from otactl.engine.goosebit import Goosebit as Client
from otactl.engine.model import Board as Told
from otactl.release import swu
from rig import Rig
from vboard.board import Board

from engine.goosebit import ADDRESS, HOST, PASSWORD, USER

TOKEN = "mark-of-the-token-of-32-letters-"


class Fleet:
    """`port`: of this machine, where the engine listens."""

    def __init__(self, rig: Rig, port: int) -> None:
        self.rig = rig
        rig.network.hosts[HOST] = ADDRESS
        rig.network.routes[ADDRESS, rigs.PORT] = ("127.0.0.1", port)
        calls = Calls(f"https://127.0.0.1:{port}", (rig.workspace.tls / "ca.pem").read_bytes())
        self.calls = calls
        self.client = Client(calls, USER, PASSWORD)

    def board(self, name: str, **settings: Any) -> Board:
        """One that asks the engine, in a group of its own name; it has not looked yet."""
        self.client.add(name, TOKEN, name)
        board = self.rig.board(**settings)
        board.power_on()
        board.wait_text("ota: up-to-date 1.0.0", 20)  # it was deployed with that release
        rigs.configure(board, ddi={"url": f"https://{HOST}:{rigs.PORT}", "id": name, "token": TOKEN})
        return board

    def release(self, version: str, data: bytes, group: str, *, with_files: bool = False) -> None:
        """Publish it on the server, in no channel that anybody looks at, and roll it out to a group."""
        self.rig.publish(version, data)
        made = swu.write(self.rig.workspace, version, with_files=with_files)
        self.client.roll_out(self.client.take(made, upload=True), version, group)

    def told(self, name: str) -> Told:
        """What the engine knows of a board."""
        return next(one for one in self.client.boards() if one.name == name)

    def log(self, name: str) -> str:
        """What a board has told of its action."""
        return json.dumps(self.calls.json("GET", f"/api/v1/devices/{name}/log"))
