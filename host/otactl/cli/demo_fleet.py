"""`otactl demo --fleet`: eight boards, a release that stops itself at two of them, and its successor that goes through.

The boards are virtual, each with its own flash and MicroPython; the server, its memory and its page are those of `otactl serve`.
What came of it is checked in the flash images (demo.boots()), and in what the page tells a browser."""

import contextlib
import json
import shutil
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from rich.live import Live
from vboard import factory
from vboard.board import Board
from vboard.flash import images
from vboard.link.wlan import Network

from otactl.board.deploy import deploy
from otactl.board.link import Link
from otactl.cli import display, fleet_shown
from otactl.cli.demo import boots
from otactl.cli.demo_steps import Step, StepFailed, empty, otactl, prompt, require, title, told
from otactl.fleet import look, rollout, table
from otactl.fleet.names import CSV
from otactl.fleet.store import FILE, Store
from otactl.fleet.table import Row
from otactl.server.hub import Hub
from otactl.server.page.page import Page, new_token
from otactl.server.server import Server
from otactl.workspace.workspace import Workspace

_BOARDS, _CANARY = 8, 2  # of these, `_CANARY` get a release first
_SPEED = 60_000  # bytes a second of each board's link: so that a download can be seen
_APP_SIZE = 200_000
_PROGRAM = b"""from ota import agent
def main():
    agent.loop()
"""
_PATIENCE_S = 120
_LOOK_S = 0.5
_SETTINGS = {
    "deadline_s = 180": "deadline_s = 60\nsettle_s = 2",
    '{ check = "wifi" }': '{ check = "wifi", timeout_s = 6 }',
    "[board.trial]": "[board]\ninterval_s = 5\njitter_s = 0\n\n[board.trial]",
}


@dataclass(slots=True)
class _Class:
    """The boards, and the server that they look at. `images`: by version."""

    folder: Path
    images: dict[str, bytes]
    boards: list[Board] = field(default_factory=list)

    def place(self) -> Workspace:
        return Workspace.find(self.folder / "workspace")

    def file(self, version: str) -> Path:
        return self.folder / f"firmware-{version}.bin"

    def home(self, number: int) -> Path:
        return self.folder / f"desk-{number}"


def run(folder: Path, stay: bool = False) -> list[Step]:
    """The whole story in `folder`. `stay`: the page is there until Ctrl-C. Raises StepFailed, OtactlError, TimeoutError."""
    steps: list[Step] = []

    def step(text: str, action: Callable[[], str]) -> None:
        began = time.monotonic()
        proof = action()
        steps.append(Step(text, time.monotonic() - began, proof))

    made = _Class(folder, _images())
    empty(folder, made.file("1.0.0"), None)
    for version, image in made.images.items():
        made.file(version).write_bytes(image)
    with contextlib.ExitStack() as opened:
        title(f"1  {_BOARDS} virtual boards with 1.0.0, and a server that remembers them")
        words = ("localhost", "--ssid", "virtual", "--password", "password")
        otactl("init", "-w", folder / "workspace", *words)
        _prepare(made)
        store = opened.enter_context(Store(folder / "workspace" / FILE))
        seen = _Seen(made, store)
        server = opened.enter_context(_serving(made, store))
        seen.port = server.port
        _settle(made, server.port)
        otactl("publish", "-w", folder / "workspace", made.file("1.0.0"), "--version", "1.0.0")
        step("eight boards deployed", lambda: _deploy(made, opened))
        step("they are seen", lambda: seen.wait(f"all {_BOARDS} on 1.0.0", lambda: seen.on("1.0.0")))
        display.show(f"the page meanwhile: https://localhost:{server.port}/")

        title("2  Release 1.1.0, which crashes on its trial, to two boards first")
        _begin(made, "1.1.0")
        step("1.1.0 stops itself", lambda: _halted(made, seen))

        title("3  Its successor 1.1.1, by the same way")
        _begin(made, "1.1.1")
        step("1.1.1 on all eight", lambda: _through(made, seen))
        step("the page says so", seen.page)
        if stay:
            display.show(f"the page stays: https://localhost:{server.port}/ (Ctrl-C ends)")
            with contextlib.suppress(KeyboardInterrupt):
                threading.Event().wait()
    return steps


def _images() -> dict[str, bytes]:
    says: dict[str, dict[str, object]] = {"1.0.0": {}, "1.1.0": {"panic": True}, "1.1.1": {}}
    return {
        version: images.with_behaviour(
            images.build_app("esp32", size=_APP_SIZE, seed=seed), release=version, **behaviour
        )
        for seed, (version, behaviour) in enumerate(says.items())
    }


def _prepare(made: _Class) -> None:
    """The boards' names: an address belongs to a virtual board's folder."""
    lines = ["mac,name,cohort"]
    for number in range(1, _BOARDS + 1):
        mac = factory.mac(made.home(number)).hex(":")
        lines.append(f"{mac},desk-{number},{'canary' if number <= _CANARY else 'class'}")
    (made.folder / "workspace" / CSV).write_text("\n".join(lines) + "\n")


def _settle(made: _Class, port: int) -> None:
    """Where the server is, and less patience than a school needs."""
    settings = made.folder / "workspace" / "otactl.toml"
    text = settings.read_text().replace("localhost:8443", f"localhost:{port}")
    for before, after in _SETTINGS.items():
        text = text.replace(before, after)
    settings.write_text(text)


def _serving(made: _Class, store: Store) -> Server:
    """As `otactl serve` does it; boards find it at the port that it got."""
    place = made.place()
    rooms = [Hub(place, store).room, Page(place, store, new_token()).room]
    return Server(place.releases, place.tls, "127.0.0.1", 0, lambda _: None, rooms=rooms)


def _deploy(made: _Class, opened: contextlib.ExitStack) -> str:
    """The agent on one board, whose flash the others get; each has an address, a name and a link of its own."""
    first = _board(made, 1, opened)
    first.power_on()
    first.wait_repl()
    with Link(str(first.port)) as link:
        link.enter_repl()
        deploy(link, made.place())
        link.put("/app.py", _PROGRAM)
    first.power_off()
    display.done("the agent is on desk-1, whose flash the others get")
    for number in range(2, _BOARDS + 1):
        made.home(number).mkdir()
        shutil.copy(made.home(1) / "flash.bin", made.home(number) / "flash.bin")
        _board(made, number, opened)
    for board in made.boards:
        board.power_on()
    return "the agent runs"


def _board(made: _Class, number: int, opened: contextlib.ExitStack) -> Board:
    network = Network(bytes_per_s=_SPEED)
    board = opened.enter_context(Board(made.home(number), chip="esp32", app=made.images["1.0.0"], network=network))
    made.boards.append(board)
    return board


def _begin(made: _Class, version: str) -> None:
    place = made.folder / "workspace"
    otactl("publish", "-w", place, made.file(version), "--version", version, "--no-channel")
    otactl("rollout", "start", "-w", place, version, "--to", "canary", "--soak", "10s", "--halt-at", str(_CANARY))


def _halted(made: _Class, seen: "_Seen") -> str:
    seen.wait("1.1.0 halted", lambda: seen.rollout() == "halted")
    otactl("rollout", "status", "-w", made.folder / "workspace")
    tried = [board for board in made.boards if "ota_1" in [boot.slot for boot in board.boots]]
    require(tried == made.boards[:_CANARY], "the canaries tried it, and no other board")
    for board in made.boards:
        boots(board, "ota_0", made.images["1.0.0"])
    return f"{_CANARY} tried it, all {_BOARDS} boot 1.0.0 (ota_0 VALID)"


def _through(made: _Class, seen: "_Seen") -> str:
    seen.wait("1.1.1 done", lambda: seen.rollout() == "done" and seen.on("1.1.1"))
    otactl("rollout", "status", "-w", made.folder / "workspace")
    for board in made.boards:
        boots(board, "ota_1", made.images["1.1.1"])
    return f"all {_BOARDS}: ota_1 VALID, image byte for byte"


class _Seen:
    """What `otactl boards --watch` and the page show."""

    def __init__(self, made: _Class, store: Store) -> None:
        self._made, self._store, self._last = made, store, 0
        self.port = 0

    def rows(self) -> list[Row]:
        return look.rows(self._made.place(), self._store, time.time())

    def on(self, version: str) -> bool:
        """Whether all boards run that release, and are content with it."""
        now = [(row.version, row.state) for row in self.rows()]
        return now == [(version, "current")] * _BOARDS

    def rollout(self) -> str:
        """The state that it is in."""
        found = rollout.current(self._made.place(), self._store)
        return found.state if found else ""

    def wait(self, what: str, is_so: Callable[[], bool]) -> str:
        """Show the fleet as it goes, until `what`; its line on top then. Raises StepFailed."""
        prompt("boards --watch")
        give_up = time.monotonic() + _PATIENCE_S
        terminal = display.console().is_terminal
        drawn = Live(console=display.console(), auto_refresh=False) if terminal else contextlib.nullcontext()
        with drawn as live:
            while True:
                rows, over = self.rows(), is_so()
                if live:
                    live.update(fleet_shown.page(rows, time.time()), refresh=True)
                else:
                    self._told(rows)
                if over:
                    break
                if time.monotonic() > give_up:
                    raise StepFailed(f"not in {_PATIENCE_S} s: {what}; there are {table.headline(rows)}")
                time.sleep(_LOOK_S)
        if not terminal:
            display.show_page(fleet_shown.page(rows, time.time()))
        return table.headline(rows)

    def _told(self, rows: list[Row]) -> None:
        """A line for each thing that happened since."""
        names, versions = {row.id: row.name for row in rows}, look.versions(self._made.place(), self._store)
        for number, event in self._store.events(after=self._last):
            self._last = number
            display.show(f"{names.get(event.board, event.board)}  {table.told(event, versions)}")

    def page(self) -> str:
        """What the page has from its server: the line on top."""
        trusting = ssl.create_default_context(cafile=str(self._made.place().tls / "ca.pem"))
        address = f"https://localhost:{self.port}/api/fleet"
        with urllib.request.urlopen(address, context=trusting, timeout=30) as answer:
            said = json.load(answer)
        require(len(said["boards"]) == _BOARDS, f"the page has {_BOARDS} boards")
        require(said["rollout"]["state"] == "done", "the page has the rollout, which is done")
        return str(said["headline"])


def show(folder: Path, stay: bool) -> int:
    """Tell the story in `folder`; 1 where it did not go as it must."""
    return told(
        lambda: run(folder.resolve(), stay),
        "the flash images and by the page",
        "what they say",
        lambda seconds: f"All of it in {seconds:.0f} s; the boards' consoles are in {folder}/desk-*/console.log",
    )
