"""A release that waits for a press of a button (`otactl serve --mqtt-install`), and a board that never sees an older file."""

import os

import pytest
from otactl.board import follow
from otactl.board.link import Link
from otactl.fleet import approval
from otactl.fleet.store import FILE, Store
from otactl.release import channels
from otactl.server.hub import Hub
from otactl.server.server import Server
from rig import NEW, Rig, boots, started
from vboard.flash.otadata import State


def look(board) -> follow.Outcome:
    with Link(str(board.port)) as link:
        return follow.update(link, lambda _: None)


@pytest.mark.skipif(
    os.environ.get("MATRICES") != "all", reason="its rows are unit tests: make matrices has it with a board"
)
def test_a_board_takes_a_release_once_its_button_was_pressed(rig: Rig) -> None:
    place, board = rig.workspace, started(rig.board())
    with Store(place.root / FILE) as store:
        approval.hold(store, True)
        with Server(
            place.releases, place.tls, "127.0.0.1", 0, lambda _: None, rooms=[Hub(place, store).room]
        ) as server:
            rig.route(server.port)
            assert look(board) == follow.Outcome("up-to-date", "1.0.0")
            (said,) = store.boards()
            (place.root / "boards.csv").write_text(f"{bytes.fromhex(said.said.id).hex(':')},lamp\n")
            channels.renew(place)
            assert look(board) == follow.Outcome("up-to-date", "1.0.0")
            rig.publish("1.1.0", NEW)
            assert look(board) == follow.Outcome("up-to-date", "1.0.0")
            assert approval.waits(store, said.said.id) == (2, False)
            assert approval.want(store, said.said.id) == 2
            assert look(board) == follow.Outcome("confirmed", "1.1.0")
            assert look(board) == follow.Outcome("up-to-date", "1.1.0")
    board.power_off()
    assert boots(board) == ("ota_1", State.VALID)
