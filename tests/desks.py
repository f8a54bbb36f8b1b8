"""A desk at which somebody develops over the network: a workspace that is served with its hub, and `otactl dev --wifi`."""

import json
import ssl
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from devloop import Loop
from otactl.cli.main import main
from otactl.fleet.store import FILE, Store
from otactl.release import envelope
from otactl.server.files import Room
from otactl.server.hub import Hub
from otactl.server.server import Server
from otactl.workspace import dsse, tls
from otactl.workspace.workspace import Workspace
from rig import HOST, PORT, Rig
from vboard import factory

APP = "import words\nfrom ota import agent\nprint('says', words.hello)\ndef main():\n    agent.loop()\n"


class Desk(Loop):
    """A served workspace with a program in its channel, a folder to develop in, and `otactl dev --wifi`."""

    patience_s = 60

    def __init__(self, rig: Rig, hub: Hub, port: int) -> None:
        super().__init__(rig.root / "lesson")
        self.rig, self.hub = rig, hub
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


@contextmanager
def opened(rig: Rig, *rooms: Room) -> Iterator[Desk]:
    """A desk whose server has its hub, and `rooms` before that."""
    place = rig.workspace
    tls.make_server(place.tls, [HOST, "localhost"])
    with Store(place.root / FILE) as store:
        hub = Hub(place, store)
        with Server(place.releases, place.tls, "127.0.0.1", 0, lambda _: None, rooms=[*rooms, hub.room]) as server:
            rig.route(server.port)
            made = Desk(rig, hub, server.port)
            try:
                yield made
            finally:
                made.kill()


def name(desk: Desk, number: int) -> None:
    """The board of that number is called desk-NUMBER."""
    mac = factory.mac(desk.rig.root / f"board-{number}").hex(":")
    with (desk.place.root / "boards.csv").open("a") as file:
        file.write(f"{mac},desk-{number}\n")
