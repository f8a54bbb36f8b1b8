"""Boards that ask a real gooseBit which release is theirs, judged by their flash and by what gooseBit's operator sees."""

from rig import NEW, boots, image, slot_bytes
from vboard.flash.otadata import State

from engine.fleet import Fleet


def test_release_that_is_rolled_out_is_installed_and_told_of_once_it_is_confirmed(fleet: Fleet) -> None:
    board = fleet.board("kitchen")
    board.reset()
    board.wait_text("ota: up-to-date 1.0.0", 20, since=len(board.text))
    assert fleet.told("kitchen").state == "Registered"
    fleet.release("1.1.0", NEW, "kitchen")
    board.reset()
    board.wait_text("ota: switch 1.1.0", 40)
    assert fleet.told("kitchen").state == "Running"
    board.wait_text("ota: confirmed 1.1.0", 40)
    assert fleet.told("kitchen").state == "Running"
    board.wait_text("ota: up-to-date 1.1.0", 20)
    board.wait_text("app: runs", 20)
    told = fleet.told("kitchen")
    assert (told.state, told.version, told.progress) == ("Finished", "1.1.0", 100)
    assert [(one.done, one.failed) for one in fleet.client.rollouts() if one.group == "kitchen"] == [(1, 0)]
    assert boots(board) == ("ota_1", State.VALID)
    assert slot_bytes(board, "ota_1", len(NEW)) == NEW


def test_board_in_error_gets_its_next_release_once_it_is_offered_again(fleet: Fleet) -> None:
    board = fleet.board("hall")
    fleet.release("2.1.0", image(2, panic=True), "hall")
    board.reset()
    board.wait_text("ota: rolled-back 2.1.0 trial-crash", 60)
    board.wait_text("ota: error failed-before 2.1.0", 20)
    board.wait_text("app: runs", 20)
    assert fleet.told("hall").failed
    assert "trial-crash" in fleet.log("hall")
    fleet.release("2.2.0", NEW, "hall")
    seen = len(board.text)
    board.reset()
    board.wait_text("ota: up-to-date 1.0.0", 20, since=seen)  # gooseBit offers it nothing
    fleet.client.again(["hall"])
    board.reset()
    board.wait_text("ota: confirmed 2.2.0", 60)
    board.wait_text("ota: up-to-date 2.2.0", 20)
    board.wait_text("app: runs", 20, since=seen)
    assert fleet.told("hall").state == "Finished"
    assert boots(board) == ("ota_1", State.VALID)
