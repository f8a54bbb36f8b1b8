"""`otactl demo --fleet`: eight boards, a release that stops itself at two of them, and its successor that goes through.

The boards are virtual, each with its own flash and MicroPython; the server, its memory and its page are those of `otactl serve`.
What came of it is checked in the flash images (demo.boots()), and in what the page tells a browser."""

import contextlib
import json
import ssl
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from rich.live import Live

from otactl.cli import display, fleet_shown
from otactl.cli.demo_boards import BOARDS, CANARY, Classroom, Told, begin, classroom, group, name
from otactl.cli.demo_steps import Step, StepFailed, otactl, prompt, require, title, told, wait_for_ctrl_c
from otactl.fleet import look, rollout, table
from otactl.fleet.names import CSV
from otactl.fleet.store import FILE, Store
from otactl.fleet.table import Row
from otactl.server.hub import Hub
from otactl.server.page.page import Page, new_token
from otactl.server.server import Server

_PATIENCE_S = 120
_LOOK_S = 0.5


def run(folder: Path, stay: bool = False) -> list[Step]:
    """The whole story in `folder`. `stay`: the page is there until Ctrl-C. Raises StepFailed, OtactlError, TimeoutError."""
    steps, made = Told(), classroom(folder)
    with contextlib.ExitStack() as opened:
        title(f"1  {BOARDS} virtual boards with 1.0.0, and a server that remembers them")
        begin(made)
        _prepare(made)
        store = opened.enter_context(Store(made.root / FILE))
        seen = _Seen(made, store)
        server = opened.enter_context(_serving(made, store))
        seen.port = server.port
        made.settle(server.port)
        otactl("publish", "-w", made.root, made.file("1.0.0"), "--version", "1.0.0")
        steps.step("eight boards deployed", lambda: made.deploy(opened))
        for board in made.boards:
            board.power_on()
        steps.step("they are seen", lambda: seen.wait(f"all {BOARDS} on 1.0.0", lambda: seen.on("1.0.0")))
        display.show(f"the page meanwhile: https://localhost:{server.port}/")

        title("2  Release 1.1.0, which crashes on its trial, to two boards first")
        _begin(made, "1.1.0")
        steps.step("1.1.0 stops itself", lambda: _halted(made, seen))

        title("3  Its successor 1.1.1, by the same way")
        _begin(made, "1.1.1")
        steps.step("1.1.1 on all eight", lambda: _through(made, seen))
        steps.step("the page says so", seen.page)
        if stay:
            display.show(f"the page stays: https://localhost:{server.port}/ (Ctrl-C ends)")
            wait_for_ctrl_c()
    return steps


def _prepare(made: Classroom) -> None:
    """The boards' names."""
    lines = [f"{made.mac(number)},{name(number)},{group(number)}" for number in range(1, BOARDS + 1)]
    (made.root / CSV).write_text("\n".join(["mac,name,cohort", *lines]) + "\n")


def _serving(made: Classroom, store: Store) -> Server:
    """As `otactl serve` does it; boards find it at the port that it got."""
    place = made.place()
    rooms = [Hub(place, store).room, Page(place, store, new_token()).room]
    return Server(place.releases, place.tls, "127.0.0.1", 0, lambda _: None, rooms=rooms)


def _begin(made: Classroom, version: str) -> None:
    otactl("publish", "-w", made.root, made.file(version), "--version", version, "--no-channel")
    otactl("rollout", "start", "-w", made.root, version, "--to", "canary", "--soak", "10s", "--halt-at", str(CANARY))


def _halted(made: Classroom, seen: "_Seen") -> str:
    seen.wait("1.1.0 halted", lambda: seen.rollout() == "halted")
    otactl("rollout", "status", "-w", made.root)
    return made.halted()


def _through(made: Classroom, seen: "_Seen") -> str:
    seen.wait("1.1.1 done", lambda: seen.rollout() == "done" and seen.on("1.1.1"))
    otactl("rollout", "status", "-w", made.root)
    return made.all_have("1.1.1", "ota_1")


class _Seen:
    """What `otactl boards --watch` and the page show."""

    def __init__(self, made: Classroom, store: Store) -> None:
        self._made, self._store, self._last = made, store, 0
        self.port = 0

    def rows(self) -> list[Row]:
        return look.rows(self._made.place(), self._store, time.time())

    def on(self, version: str) -> bool:
        """Whether all boards run that release, and are content with it."""
        now = [(row.version, row.state) for row in self.rows()]
        return now == [(version, "current")] * BOARDS

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
        require(len(said["boards"]) == BOARDS, f"the page has {BOARDS} boards")
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
