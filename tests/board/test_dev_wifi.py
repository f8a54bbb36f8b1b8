"""`otactl dev --wifi` on virtual boards with the project's own server: saves come as signed releases, and Ctrl-C brings back what ran.

Judged by what each board's flash holds, and by what its program says. The boards look once an hour: sooner only as they are asked to."""

import json
import ssl
import urllib.request
from collections.abc import Iterator

import apps
import pytest
from devloop import Loop
from otactl.cli.main import main
from otactl.fleet.store import FILE, Store
from otactl.release import drafts, envelope
from otactl.server.hub import Hub
from otactl.server.server import Server
from otactl.workspace import dsse, tls
from otactl.workspace.workspace import Workspace
from rig import HOST, NEW, PORT, Rig, boots, started, touched
from vboard import factory
from vboard.board import Board
from vboard.flash.otadata import State

APP = "import words\nfrom ota import agent\nprint('says', words.hello)\ndef main():\n    agent.loop()\n"


class Desk(Loop):
    """A served workspace with a program in its channel, a folder to develop in, and `otactl dev --wifi`."""

    patience_s = 60

    def __init__(self, rig: Rig, port: int) -> None:
        super().__init__(rig.root / "lesson")
        self.rig = rig
        settings = rig.workspace.root / "otactl.toml"  # this machine has another way there than the boards
        settings.write_text(settings.read_text().replace(f"{HOST}:{PORT}", f"localhost:{port}"))
        self.place = Workspace.find(rig.workspace.root)
        self.folder.mkdir()
        self.save("app.py", APP)
        self.save("words.py", "hello = 'lesson'")

    def publish(self, version: str, firmware: bytes) -> None:
        file = self.rig.root / f"{version}.bin"
        file.write_bytes(firmware)
        words = [str(file), "--app", str(self.folder), "--version", version]
        assert main(["publish", "-w", str(self.place.root), *words]) == 0

    def offered(self, board: str) -> str:
        """What another board of the channel is answered with."""
        request = urllib.request.Request(f"{self.place.url}/stable.json", headers={"Ota-Board": f"id={board};have=2"})
        context = ssl.create_default_context(cafile=str(self.place.tls / "ca.pem"))
        with urllib.request.urlopen(request, context=context, timeout=20) as answer:
            content, _ = dsse.unwrap(answer.read(), envelope.PAYLOAD_TYPE, "release")
            assert "Ota-Look" not in answer.headers
        return str(json.loads(content)["version"])

    def develop(self, *words: str) -> None:
        self.dev(*words, "-w", self.place.root, "--wifi")


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
                made.kill()


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
    desk.publish("1.1.0", NEW)
    board = started(desk.rig.board())
    board.wait_text("ota: up-to-date 1.1.0", 60)
    name(desk, 0)
    lesson = apps.trees(board)["ota_1"]

    desk.save("words.py", "hello = 'one'")
    desk.develop(str(desk.folder), "desk-0")
    desk.wait("desk-0: its first look is awaited")
    desk.wait(r"all files: 1\.1\.0\+dev\.3 is offered")
    looks(board, "says one")  # from here on nobody touches the board
    desk.wait(r"all files: on trial \d+\.\d s after the save")
    desk.wait(r"all files: runs, confirmed \d+\.\d s after the save")
    written = len(board.flash.trace)
    desk.save("words.py", "x = 1\nhello = = 'two'")
    desk.wait(r"words\.py, line 2: SyntaxError: invalid syntax; what ran before runs on")
    desk.save("words.py", "hello = 1 / 0")
    desk.wait(r"words\.py: app-crashed, ZeroDivisionError\('divide by zero',\): .*; what ran before runs on")
    assert (boots(board), desk.offered("240ac4000001")) == (("ota_0", State.VALID), "1.1.0")
    desk.save("words.py", "hello = 'three'")
    desk.wait(r"words\.py: runs, confirmed")
    board.wait_text("says three", 20)

    desk.interrupt()
    desk.wait("desk-0: 1.1.0 is offered again")
    desk.wait("desk-0: given back, it runs 1.1.0")
    assert desk.ended(20) == 0
    slot, state = boots(board)
    assert (apps.trees(board)[slot], state) == (lesson, State.VALID)
    assert [touched(board, one, written) for one in ("ota_0", "ota_1")] == [[], []]  # its firmware was there already
    assert drafts.sequences(desk.place) == [6]
    assert sorted(path.name for path in desk.place.releases.iterdir()) == ["1.0.0", "1.1.0", "stable.json"]
    looks(board, "ota: up-to-date 1.1.0")
