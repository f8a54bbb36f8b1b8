"""A stock ESP32 with one app, on which somebody develops over the network: a draft, and what ran before, come by a reset each."""

from dataclasses import replace
from pathlib import Path

import apps
import singles
from otactl.fleet import borrowing, developing, lending
from otactl.fleet.store import FILE, Store
from otactl.release import drafting
from otactl.release.application import Asked
from otactl.release.drafts import Draft
from otactl.release.publish import publish
from vboard.board import Board


def boots(board: Board, until: str) -> None:
    seen = len(board.text)
    if board.boots:
        board.reset()
    else:
        board.power_on()
    board.wait_text(until, 40, since=seen)


def test_a_board_without_two_slots_takes_a_draft_and_comes_back_at_its_starts(tmp_path: Path) -> None:
    folder = tmp_path / "app"
    folder.mkdir()
    program = Asked(folder, source=True)
    with singles.served(tmp_path / "place") as rig, Store(rig.workspace.root / FILE) as store:
        place = rig.workspace
        with singles.board(rig, singles.template(rig, tmp_path / "made", "esp32"), "esp32") as board:
            (folder / "app.py").write_bytes(singles.APP % b"lesson")
            publish(place, [], "1.1.0", app=program)
            boots(board, "ota: up-to-date 1.1.0")
            (seen,) = store.boards()
            (guest,) = borrowing.borrow(place, store, {seen.said.id: "desk"})
            (folder / "app.py").write_bytes(singles.APP % b"draft")
            made = drafting.application(place, program, Draft("1.1.0", [guest.id]))
            lending.put(store, replace(guest.lent, sequence=made.sequence))
            boots(board, f"ota: up-to-date {made.version}")
            assert apps.trees(board)["b"] == {"app.py": singles.APP % b"draft"}
            given = developing.give_back(place, store, [guest.id])
            boots(board, "ota: up-to-date 1.1.0")
            assert apps.trees(board)["a"] == {"app.py": singles.APP % b"lesson"}
            assert developing.await_back(store, given, 0, lambda *_: None) == []
