"""A rig whose boards ask an engine at engine.test, and the operator at it, who works with `otactl engine`."""

import json
from pathlib import Path
from typing import Any

import pytest
import rig as rigs
import tomlkit
from otactl.board import settings as told_to_boards
from otactl.cli.main import main
from otactl.engine import opened
from otactl.engine.model import Board as Told
from otactl.engine.model import Rollout
from otactl.workspace.workspace import SETTINGS, Workspace
from rig import Rig
from vboard.board import Board

HOST, ADDRESS = "engine.test", "10.0.0.8"
USER, PASSWORD = "operator", "mark-of-the-operator"


class Fleet:
    """`port`: of this machine, where the engine listens."""

    def __init__(self, rig: Rig, port: int, monkeypatch: pytest.MonkeyPatch, kind: str = "goosebit") -> None:
        self.rig = rig
        served = rig.network.routes[rigs.ADDRESS, rigs.PORT]
        rig.network.routes[rigs.ADDRESS, served[1]] = served  # where the engine finds it too
        rig.network.hosts[HOST] = ADDRESS
        rig.network.routes[ADDRESS, rigs.PORT] = ("127.0.0.1", port)
        monkeypatch.setenv(opened.PASSWORD, PASSWORD)
        path = rig.workspace.root / SETTINGS
        said = tomlkit.parse(path.read_text())
        said["url"] = f"https://{rigs.HOST}:{served[1]}"
        said["board"]["ddi"] = {"url": f"https://{HOST}:{rigs.PORT}"}  # type: ignore[index]
        said["engine"] = {"kind": kind, "url": f"https://127.0.0.1:{port}", "user": USER}
        path.write_text(tomlkit.dumps(said))
        self.place = rig.workspace = Workspace.find(rig.workspace.root)
        self._engine: Any = None

    @property
    def engine(self) -> Any:
        if self._engine is None:
            self._engine = opened.engine(self.place)
        return self._engine

    def otactl(self, *words: str) -> None:
        assert main([*words, "-w", str(self.place.root)]) == 0, words

    def board(self, name: str, **settings: Any) -> Board:
        """One that asks the engine, in a group of its own name; it has not looked yet."""
        self.otactl("engine", "add", name, "--group", name)
        board = self.rig.board(**settings)
        board.power_on()
        board.wait_text("ota: up-to-date 1.0.0", 20)  # it was deployed with that release
        rigs.configure(board, ddi=told_to_boards.config(self.place, name)["ddi"])
        return board

    def release(self, version: str, data: bytes, group: str, *how: str, app: Path | None = None) -> None:
        """Publish it, and roll it out to a group."""
        image = Path(self.rig.root) / f"{version}.bin"
        image.write_bytes(data)
        program = ["--app", str(app)] if app else []
        self.otactl("publish", str(image), "--version", version, "--no-deltas", "--swu", *program)
        self.otactl("engine", "push", version, "--group", group, *how)

    def told(self, name: str) -> Told:
        """What the engine knows of a board."""
        found: Told = next(one for one in self.engine.boards() if one.name == name)
        return found

    def rollouts(self, group: str) -> list[Rollout]:
        return [one for one in self.engine.rollouts() if one.group == group]

    def log(self, name: str) -> str:
        """What a board has told gooseBit of its action."""
        return json.dumps(self.engine._calls.json("GET", f"/api/v1/devices/{name}/log"))
