"""`otactl dev --wifi` on virtual boards with the project's own server: saves come as signed releases, and Ctrl-C brings back what ran.

Judged by what each board's flash holds, and by what its program says. The boards look once an hour: sooner only as they are asked to."""

import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import apps
import pytest
from otactl.cli.main import main
from otactl.fleet.store import FILE, Store
from otactl.release import drafts
from otactl.server.hub import Hub
from otactl.server.server import Server
from otactl.workspace import tls
from rig import HOST, PORT, Rig, boots, started
from vboard import factory
from vboard.board import Board
from vboard.flash.otadata import State

TOOLS = Path(__file__).resolve().parents[2] / "host"
APP = "import words\nfrom ota import agent\nprint('says', words.hello)\ndef main():\n    agent.loop()\n"


class Desk:
    """A served workspace with a program in its channel, a folder to develop in, and `otactl dev --wifi`. `said`: all of its lines."""

    def __init__(self, rig: Rig, port: int) -> None:
        self.rig, self.place, self.said = rig, rig.workspace, list[str]()
        settings = self.place.root / "otactl.toml"  # this machine has another way there than the boards
        settings.write_text(settings.read_text().replace(f"{HOST}:{PORT}", f"localhost:{port}"))
        self.folder = rig.root / "lesson"
        self.folder.mkdir()
        self.save("app.py", APP)
        self.save("words.py", "hello = 'lesson'")
        self._lines: queue.Queue[str] = queue.Queue()

    def save(self, name: str, text: str) -> None:
        """As an editor does: another file takes the name."""
        (self.folder / ".new").write_text(text)
        os.replace(self.folder / ".new", self.folder / name)

    def publish(self, version: str) -> None:
        assert main(["publish", "-w", str(self.place.root), "--app", str(self.folder), "--version", version]) == 0

    def dev(self, *words: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "otactl", "dev", *words, "-w", str(self.place.root), "--wifi"],
            env={**os.environ, "PYTHONPATH": str(TOOLS), "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))

    def wait(self, pattern: str, timeout_s: float = 60) -> str:
        """The next line that has it."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            try:
                line = self._lines.get(timeout=0.2)
            except queue.Empty:
                continue
            self.said.append(line)
            if re.search(pattern, line):
                return line
        raise AssertionError(f"no {pattern!r} in {self.said[-30:]}")


@pytest.fixture
def desk(rig: Rig) -> Iterator[Desk]:
    place = rig.workspace
    tls.make_server(place.tls, [HOST, "localhost"])
    with Store(place.root / FILE) as store:
        hub = Hub(place, store)
        with Server(place.releases, place.tls, "127.0.0.1", 0, lambda _: None, rooms=[hub.room]) as server:
            rig.route(server.port)
            made = Desk(rig, server.port)
            try:
                yield made
            finally:
                if hasattr(made, "process"):
                    made.process.kill()
                    made.process.wait()


def looks(board: Board, until: str) -> None:
    seen = len(board.text)
    board.reset()
    board.wait_text(until, 60, since=seen)


def name(desk: Desk, number: int) -> None:
    """The board of that number is called desk-NUMBER."""
    mac = factory.mac(desk.rig.root / f"board-{number}").hex(":")
    with (desk.place.root / "boards.csv").open("a") as file:
        file.write(f"{mac},desk-{number}\n")


@pytest.mark.timeout(300)
def test_saves_run_a_broken_one_goes_back_and_ctrl_c_brings_back_what_ran(desk: Desk) -> None:
    desk.publish("1.1.0")
    board = started(desk.rig.board())
    other = started(desk.rig.board())
    for n, one in enumerate((board, other)):
        one.wait_text("ota: up-to-date 1.1.0", 60)
        name(desk, n)
    before, elsewhere = apps.trees(board)["ota_1"], other.flash.read(0, other.flash.size)

    desk.save("words.py", "hello = 'one'")
    desk.dev(str(desk.folder), "desk-0")
    desk.wait("desk-0: the first look is awaited")
    desk.wait("is offered")
    looks(board, "ota: trial 1.1.0+dev.3")
    print("\n".join(desk.said))
    desk.wait("is on trial", 30)
    desk.wait("runs, confirmed", 60)
    board.wait_text("says one", 30, since=board.text.rindex("rst:"))
    desk.save("words.py", "hello = 'two'")
    desk.wait("runs, confirmed", 60)
    desk.save("words.py", "hello = = 'two'")
    desk.wait("SyntaxError", 60)
    desk.save("words.py", "hello = 1 / 0")
    desk.wait("What ran before runs on", 60)
    desk.save("words.py", "hello = 'three'")
    desk.wait("runs, confirmed", 60)
    desk.process.send_signal(signal.SIGINT)
    desk.wait("drafts that are kept", 100)
    print("\n".join(desk.said))
    print(apps.trees(board), boots(board), os.listdir(desk.place.root / "drafts"), os.listdir(desk.place.releases))
