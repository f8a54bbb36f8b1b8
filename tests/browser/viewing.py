"""What the browser tests look at: a workspace with boards that are named, its server, and boards that ask it over real HTTPS."""

import contextlib
import http.client
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from otactl.fleet import store
from otactl.release.publish import publish
from otactl.server.hub import Hub
from otactl.server.page.page import Page
from otactl.server.server import Server
from otactl.workspace.workspace import Workspace
from vboard.flash.images import build_app

TOKEN = "the-token-of-this-test"
HOST = "127.0.0.1"
PRODUCT = "demo"  # of rig.make_workspace
ROSTER = """
[[board]]
name = "{name}"
mac = "{mac}"
cohort = "{cohort}"
"""


def expect(found: Any) -> Any:
    """Playwright's, which waits for what a page comes to show."""
    from playwright.sync_api import expect as waits

    return waits(found)


def board_id(number: int) -> str:
    return f"240ac4{number:06x}"


def fill(root: Path, boards: dict[int, tuple[str, str]]) -> Workspace:
    """A workspace with 1.0.0 in its channel (sequence 1), 1.1.0 for a rollout (sequence 2), and boards of these names and
    cohorts, by number."""
    place = Workspace.find(root)
    for number, version in enumerate(("1.0.0", "1.1.0")):
        image = root / f"{version}.bin"
        image.write_bytes(build_app("esp32", seed=number, size=20_000))
        publish(place, [image], version, named=not number)
    rows = [ROSTER.format(name=name, mac=board_id(number), cohort=cohort) for number, (name, cohort) in boards.items()]
    (root / "boards.toml").write_text("".join(rows))
    return place


class Fleet:
    """Its server runs between start() and stop()."""

    def __init__(self, place: Workspace) -> None:
        self.place = place
        self.store = store.Store(place.root / store.FILE)
        self._server: Server | None = None
        self.port = 0
        # what a rollout that is done changes
        self._channel = {path: path.read_bytes() for path in (place.channel_file, place.root / "channels.json")}

    @property
    def url(self) -> str:
        return f"https://{HOST}:{self.port}"

    def start(self) -> None:
        """At the port that it had."""
        rooms = [Hub(self.place, self.store).room, Page(self.place, self.store, TOKEN).room]
        self._server = Server(self.place.releases, self.place.tls, HOST, self.port, lambda seen: None, rooms=rooms)
        self._server.__enter__()
        self.port = self._server.port

    def stop(self) -> None:
        if self._server:
            self._server.__exit__(None, None, None)
        self._server = None

    def asks(
        self, number: int, *, have: int = 1, phase: str = "confirmed", seq: int = 1, why: str = "", **more
    ) -> None:
        """A board looks at its channel, as device/ota/fleet/checkin.py says it."""
        said = f"id={board_id(number)};product={more.get('product', PRODUCT)};have={have};phase={phase};seq={seq};why={why}"
        context = ssl.create_default_context(cafile=str(self.place.tls / "ca.pem"))
        context.check_hostname = False  # it is for the address by which virtual boards call this machine
        with contextlib.closing(http.client.HTTPSConnection(HOST, self.port, context=context, timeout=10)) as there:
            there.request("GET", "/stable.json", headers={"Ota-Board": f"{said};up=75;heap=81234;rssi=-61"})
            answer = there.getresponse()
            answer.read()
            assert answer.status == 200

    def fresh(self) -> None:
        """As if nobody had ever asked, and nothing had been rolled out."""
        for path, data in self._channel.items():
            path.write_bytes(data)
        for seen in self.store.boards():
            self.store.forget(seen.said.id)
        with self.store.transaction() as db:
            for (name,) in db.execute("SELECT name FROM sqlite_master WHERE name LIKE 'rollout%'").fetchall():
                db.execute(f"DELETE FROM {name}")


@contextlib.contextmanager
def running(place: Workspace) -> Iterator[Fleet]:
    made = Fleet(place)
    made.start()
    try:
        yield made
    finally:
        made.stop()
        made.store.close()
        assert not [one for one in threading.enumerate() if one.name == "otactl-serve"]
