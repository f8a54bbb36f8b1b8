"""What a board says of itself in the requests that it makes anyway, heard by the project's own server."""

from collections.abc import Iterator

import pytest
import rig as rigs
from otactl.fleet import look
from otactl.fleet.store import Store
from otactl.fleet.table import Row
from otactl.server.hub import Hub
from otactl.server.server import Server
from rig import Rig, image, started
from vboard.board import Board

ID = 'import machine\nprint("ID", machine.unique_id().hex())'
UP = """
from ota import config
from ota.boot import record
settings, record.load().up_ms = config.load(), 0
for ms in (5000, (1 << 30) - 3000, 8000, 3000):
    from ota.net import checkin
    checkin.time = type("", (), {"ticks_ms": staticmethod(lambda: ms)})
    print(checkin.own(settings)[1][1].split(";up=")[1].split(";")[0])
"""
AWKWARD = "lamp; have=9\r\nOta-Evil: 1 \u00e4"
GONE = "import os\nos.remove('/lib/ota/net/checkin.mpy')"


class Heard:
    """A server with a memory, and what it holds."""

    def __init__(self, rig: Rig, store: Store) -> None:
        self._rig, self._store = rig, store

    def row(self) -> Row:
        (one,) = look.rows(self._rig.workspace, self._store, self._store.now())
        return one

    def events(self) -> list[tuple[str, int, str]]:
        return [(event.event, event.sequence, event.reason) for _, event in self._store.events()]

    def forget(self) -> None:
        for seen in self._store.boards():
            self._store.forget(seen.said.id)

    def nobody(self) -> bool:
        return not self._store.boards()


@pytest.fixture
def heard(rig: Rig) -> Iterator[Heard]:
    with Store(rig.workspace.root / "fleet.db") as store:
        trouble: list[str] = []
        hub = Hub(rig.workspace, store, trouble.append)
        with Server(rig.workspace.releases, rig.workspace.tls, "127.0.0.1", 0, rig._watch, rooms=[hub.room]) as server:
            rig.route(server.port)
            yield Heard(rig, store)
        assert trouble == []


def looks(board: Board, until: str) -> None:
    seen = len(board.text)
    board.reset()
    board.wait_text(until, 40, since=seen)


def test_a_board_is_heard_through_trials_that_fail_meet_no_network_and_go_well(rig: Rig, heard: Heard) -> None:
    board = started(rig.board())
    board.wait_text("ota: up-to-date 1.0.0", 20)
    looks(board, "ota: up-to-date 1.0.0")
    first = heard.row()
    said = first.seen_board.said
    assert (first.state, first.version, said.product, said.have, said.phase) == ("current", "1.0.0", "demo", 1, "idle")
    assert said.heap and said.heap > 20_000
    assert said.rssi and -60 <= said.rssi <= -40

    rig.publish("1.1.0", image(2, panic=True))
    looks(board, "ota: error failed-before 1.1.0")
    failed = heard.row()
    assert (failed.state, failed.version, failed.seen_board.said.reason) == ("rolled-back", "1.0.0", "trial-crash")
    looks(board, "ota: error failed-before 1.1.0")
    assert heard.row().state == "rolled-back"

    rig.publish("1.2.0", image(3, no_wifi=True))
    looks(board, "ota: error on-hold 1")
    said = heard.row().seen_board.said
    assert (heard.row().state, said.have, said.phase, said.sequence, said.reason) == (
        "on-hold",
        1,
        "held",
        3,
        "check-wifi",
    )
    rig.publish("1.3.0", image(4))
    looks(board, "ota: up-to-date 1.3.0")
    assert (heard.row().state, heard.row().version) == ("current", "1.3.0")
    assert [one for one in heard.events() if one[0] not in ("new", "offered", "changed")] == [
        ("downloading", 2, ""),
        ("rolled-back", 2, "trial-crash"),  # once, though it was said twice
        ("downloading", 3, ""),
        ("held", 3, "check-wifi"),  # nobody has judged it
        ("downloading", 4, ""),
        ("confirmed", 4, ""),
    ]
    assert rigs.ask(board, ID).strip() == f"ID {first.id}"

    rigs.configure(board, product=AWKWARD)
    looks(board, "ota: error wrong-product")
    looks(board, "ota: error wrong-product")
    odd = heard.row().seen_board.said
    assert (odd.product, odd.have, odd.phase, odd.reason) == ("lamp__have=9__Ota-Evil:_1__", 4, "idle", "wrong-product")

    assert rigs.ask(board, UP).split() == ["5", "1073738", "1073749", "2147486"]

    rigs.configure(board, product="demo")
    rigs.ask(board, GONE)
    heard.forget()
    looks(board, "ota: up-to-date 1.3.0")  # without the module it says nothing, and looks all the same
    assert heard.nobody()


def test_a_board_that_is_told_to_says_nothing(rig: Rig, heard: Heard) -> None:
    board = started(rig.board())
    rigs.configure(board, checkin=False)
    heard.forget()
    looks(board, "ota: up-to-date 1.0.0")
    assert heard.nobody()
