"""Boards that have been through something: what scenarios start from."""

import shutil
from pathlib import Path

import apps
from otactl.board.deploy import deploy
from otactl.release import publish
from otactl.release.data import Asked as Model
from otactl.release.delta import offer
from otactl.release.encrypted import Asked
from otactl.release.resign import resign
from otactl.workspace import device_key, keyfiles, keys, trust
from otactl.workspace.workspace import Workspace
from rig import CONFIG, make_workspace, repl
from vboard.board import Board
from vboard.flash.table import Table

from powercut.flash import with_files
from powercut.program import ALONE, APP, SELFTEST, TREES
from powercut.scenario import DATA, FLASH_MIB, IMAGES, TABLES
from powercut.stage import Stage

TRIAL = {
    "deadline_s": 20,
    "watchdog_s": 5,
    "settle_s": 0,
    "checks": [
        {"check": "filesystem"},
        {"check": "call", "function": "selftest:passes", "timeout_s": 5},
        {"check": "server", "timeout_s": 10},
    ],
}


class Boards:
    """Flashes of boards that are off, and the workspaces they look at; all in `folder`.

    `encrypted`: they have a device key, and take encrypted images alone. `deltas`: they take deltas, and get them. `data`: they take data, and get it.
    """

    def __init__(self, folder: Path, *, encrypted: bool = False, deltas: bool = False, data: bool = False) -> None:
        self._folder = folder
        config = CONFIG | {"trial": TRIAL, "read_timeout_s": 5} | ({"encryption": {}} if encrypted else {})
        config |= ({"deltas": True} if deltas else {}) | ({"data": ["model"]} if data else {})
        self._base = make_workspace(folder / "base", config)
        self._encryption = Asked(public=device_key.keep(self._base, None, "ecc256").public) if encrypted else None
        self._deltas = offer.Asked() if deltas else None
        self._data = DATA if data else {}
        self._deployed: dict[str, tuple[bytes, Table]] = {}
        self._rested: dict[tuple[str, ...], bytes] = {}

    def place(self, *versions: str) -> Workspace:
        """A workspace with these versions published, the last one newest; made once."""
        folder = self._folder / "-".join(("place", *versions))
        if folder.exists():
            return Workspace.find(folder)
        shutil.copytree(self._base.root, folder)
        place = Workspace.find(folder)
        for version in versions:
            if version in TREES:
                apps.release(place, version, TREES[version], None if version in ALONE else IMAGES[version])
                continue
            file = folder / f"{version}.bin"
            file.write_bytes(IMAGES[version])
            data = None
            if version in self._data:
                (folder / "data.bin").write_bytes(self._data[version])
                data = Model("model", folder / "data.bin")
            publish.publish(place, [file], version, encryption=self._encryption, deltas=self._deltas, partition=data)
        return place

    def rotated(self, *versions: str) -> Workspace:
        """The same, but a new key signs the releases: a trust document, which brings the CA certificates again, says so."""
        folder = self._folder / "-".join(("rotated", *versions))
        if folder.exists():
            return Workspace.find(folder)
        shutil.copytree(self.place(*versions).root, folder)
        place = Workspace.find(folder)
        before, old = trust.current(place), keys.load(place.key_file)
        keyfiles.new(place)
        new = keys.load(place.key_file)
        mine = trust.Role((keys.keyid(new.public_key()),))
        ca = (place.tls / "ca.pem").read_text()
        document = before.next_version(keys={mine.keyids[0]: new.public_key()}, root=mine, release=mine, ca=ca)
        trust.publish(place, trust.seal(document, before, [old, new]), before)
        resign(place)
        return place

    def table(self, layout: str) -> Table:
        """With what MicroPython adds to it."""
        return self._deploy(layout)[1]

    def rested(self, layout: str, *versions: str) -> bytes:
        """The flash of a board that has tried these one after the other and has nothing to do."""
        name = (layout, *versions)
        if name not in self._rested:
            before = self.rested(layout, *versions[:-1]) if len(versions) > 1 else self._deploy(layout)[0]
            with Stage(self.place(*versions)) as stage:
                run = stage.run(before, done=lambda status: _tried(status, versions[-1]))
            assert not run.trouble, run.trouble
            self._rested[name] = run.end
        return self._rested[name]

    def wishing(self, layout: str, *versions: str) -> bytes:
        """The same, and its program is going to want a rollback."""
        return with_files(self.table(layout), self.rested(layout, *versions), {"back": b""})

    def _deploy(self, layout: str) -> tuple[bytes, Table]:
        if layout not in self._deployed:
            folder, app = self._folder / f"deploy-{layout}", IMAGES["1.0.0"]
            with Board(folder, layout=TABLES[layout], flash_mib=FLASH_MIB, app=app) as board:
                board.power_on()
                board.wait_repl()
                with repl(board) as link:
                    deploy(link, self._base)
                    link.run("import os; os.mkdir('/data')")
                    link.put("/app.py", APP)
                    link.put("/selftest.py", SELFTEST)
                    link.put("/notes.txt", bytes(range(256)) * 20)
                board.power_off()
                self._deployed[layout] = board.flash.read(0, board.flash.size), board.table
        return self._deployed[layout]


def _tried(status: dict[str, object], version: str) -> bool:
    installed, job = status["installed"], status["job"]
    assert isinstance(installed, dict) and isinstance(job, dict)
    return version in (installed["version"], job["version"] if job["phase"] == "failed" else None)
