"""A rollout from end to end: the real server, one virtual board, and seven that are only their requests. A release that boards roll
back stops itself at two, the rest never see it, and its successor goes through."""

import json
import ssl
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from otactl.board import follow
from otactl.board.link import Link
from otactl.fleet import look, rollout
from otactl.fleet.known import known_boards
from otactl.fleet.plan import steps
from otactl.fleet.store import FILE, Store
from otactl.release import envelope
from otactl.server.hub import Hub
from otactl.server.server import Server
from otactl.workspace import dsse
from rig import NEW, Rig, boots, image, started
from vboard.flash.otadata import State

HOUR = 3600
REQUESTS = [f"240ac400000{number}" for number in range(7)]  # the boards that are only requests
CANARIES, REST = REQUESTS[:2], REQUESTS[2:]


@dataclass
class Site:
    """A served workspace whose clock is the test's own."""

    rig: Rig
    store: Store
    port: int
    now: float = 1.8e9

    def says(self, board: str, have: int, phase: str = "idle", sequence: int = 0, reason: str = "") -> int:
        """A board's look, over TLS; the sequence of the release that it gets."""
        header = f"id={board};product=demo;have={have};phase={phase};seq={sequence};why={reason};up=9;heap=80000"
        asked = urllib.request.Request(f"https://127.0.0.1:{self.port}/stable.json", headers={"Ota-Board": header})
        context = ssl.create_default_context(cafile=str(self.rig.workspace.tls / "ca.pem"))
        context.check_hostname = False  # it is HOST's certificate
        with urllib.request.urlopen(asked, context=context, timeout=20) as answer:
            content, _ = dsse.unwrap(answer.read(), envelope.PAYLOAD_TYPE, "release")
        return int(json.loads(content)["sequence"])

    def start(self, version: str) -> None:
        place = self.rig.workspace
        asked = rollout.Asked(steps("canary", None), soak=HOUR, halt_at=2)
        rollout.start(place, self.store, version, asked, known_boards(place, self.store))

    def name_canaries(self, *boards: str) -> None:
        (self.rig.workspace.root / "boards.csv").write_text(
            "".join(f"{board},one-{board},canary\n" for board in boards)
        )

    def state(self) -> str:
        found = rollout.current(self.rig.workspace, self.store)
        assert found
        return found.state


@pytest.fixture
def site(rig: Rig) -> Iterator[Site]:
    place = rig.workspace
    made = Site(rig, Store(place.root / FILE, lambda: made.now), 0)
    hub = Hub(place, Store(place.root / FILE, lambda: made.now))
    with Server(place.releases, place.tls, "127.0.0.1", 0, lambda _: None, rooms=[hub.room]) as server:
        made.port = server.port
        rig.route(server.port)
        yield made


def update(board) -> follow.Outcome:
    with Link(str(board.port)) as link:
        return follow.update(link, lambda _: None)


def test_a_bad_release_stops_at_two_boards_and_its_successor_goes_through(site: Site, rig: Rig) -> None:
    place, board = rig.workspace, started(rig.board())
    assert update(board) == follow.Outcome("up-to-date", "1.0.0")
    (own,) = {seen.said.id for seen in site.store.boards()}
    assert {site.says(one, have=1) for one in REQUESTS} == {1}
    site.name_canaries(own, *CANARIES)
    site.now += HOUR

    rig.publish("1.1.0", image(3, panic=True), named=False)
    site.start("1.1.0")
    assert {site.says(one, have=1) for one in CANARIES} == {2}
    assert {site.says(one, have=1) for one in REST} == {1}
    ended = update(board)
    assert ended.name == "rolled-back", ended
    assert update(board).name == "refused"  # its look tells the server
    assert site.state() == "running"
    assert site.says(CANARIES[0], 1, "failed", 2, "deadline") == 2
    assert site.state() == "halted"
    site.now += 10 * HOUR
    assert {site.says(one, have=1) for one in REQUESTS[1:]} == {1}
    assert update(board).reason == "failed-before"
    assert look.named_in(place.channel_file) == (1, "1.0.0")

    rig.publish("1.2.0", NEW, named=False)
    site.start("1.2.0")
    assert {site.says(one, have=1) for one in CANARIES} == {3}
    assert update(board) == follow.Outcome("confirmed", "1.2.0")
    assert update(board) == follow.Outcome("up-to-date", "1.2.0")
    for one in CANARIES:
        site.says(one, 3, "confirmed", 3)
    assert {site.says(one, have=1) for one in REST} == {1}
    site.now += HOUR
    assert {site.says(one, have=1) for one in REST} == {3}
    for one in REST:
        site.says(one, 3, "confirmed", 3)
    site.now += HOUR
    assert site.says(REST[0], 3, "confirmed", 3) == 3
    assert site.state() == "done"
    assert place.channel_file.read_bytes() == (place.releases / "1.2.0" / "release.json").read_bytes()
    board.power_off()
    assert boots(board) == ("ota_1", State.VALID)
