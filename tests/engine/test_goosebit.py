"""Boards that ask a real gooseBit which release is theirs, judged by their flash and by what gooseBit's operator sees."""

import pytest
from apps import trees
from otactl.cli.main import main
from otactl.workspace import fleet_tokens
from rig import NEW, OLD, boots, image, slot_bytes
from vboard.flash.otadata import State

from engine.fleet import PASSWORD, Fleet


@pytest.mark.parametrize(
    ("version", "how"),
    [("1.1.0", []), ("1.2.0", ["--upload"]), ("1.3.0", ["--with-files"])],
    ids=["by its address", "uploaded", "uploaded with its files"],
)
def test_release_is_installed_and_told_of_once_it_is_confirmed(fleet: Fleet, version: str, how: list[str]) -> None:
    name = f"kitchen-{version}"
    board = fleet.board(name)
    board.reset()
    board.wait_text("ota: up-to-date 1.0.0", 20, since=len(board.text))
    assert fleet.told(name).state == "Registered"
    fleet.release(version, NEW, name, *how)
    served = len(fleet.rig.transfers)
    board.reset()
    board.wait_text(f"ota: switch {version}", 40)
    assert fleet.told(name).state == "Running"
    board.wait_text(f"ota: confirmed {version}", 40)
    assert fleet.told(name).state == "Running"
    board.wait_text(f"ota: up-to-date {version}", 20)
    board.wait_text("app: runs", 20)
    told = fleet.told(name)
    assert (told.state, told.version, told.progress) == ("Finished", version, 100)
    assert [(one.done, one.failed) for one in fleet.rollouts(name)] == [(1, 0)]
    assert boots(board) == ("ota_1", State.VALID)
    assert slot_bytes(board, "ota_1", len(NEW)) == NEW
    images = [one for one in fleet.rig.transfers[served:] if one.path.endswith(".bin")]
    assert bool(images) == ("--with-files" not in how)  # the engine carries what it was told to, and nothing more


def test_board_in_error_gets_its_next_release(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    board = fleet.board("hall")
    fleet.release("2.1.0", image(2, panic=True), "hall")
    board.reset()
    board.wait_text("ota: rolled-back 2.1.0 trial-crash", 60)
    board.wait_text("ota: error failed-before 2.1.0", 20)
    board.wait_text("app: runs", 20)
    assert fleet.told("hall").failed
    assert "trial-crash" in fleet.log("hall")
    said = capsys.readouterr()
    fleet.release("2.2.0", NEW, "hall")
    more = capsys.readouterr()
    assert "offered again, as their last release had failed: hall" in more.out
    secrets = [PASSWORD, fleet_tokens.of(fleet.place, "hall")]
    assert not [one for one in secrets if one is None or one in "".join((*said, *more, board.text))]
    seen = len(board.text)
    board.reset()
    board.wait_text("ota: confirmed 2.2.0", 60)
    board.wait_text("ota: up-to-date 2.2.0", 20)
    board.wait_text("app: runs", 20, since=seen)
    assert fleet.told("hall").state == "Finished"
    assert boots(board) == ("ota_1", State.VALID)


def test_paused_rollout_is_offered_to_nobody(fleet: Fleet) -> None:
    board = fleet.board("shed")
    fleet.release("3.1.0", NEW, "shed")
    number = str(fleet.rollouts("shed")[0].id)
    fleet.otactl("engine", "rollout", number, "--pause")
    seen = len(board.text)
    board.reset()
    board.wait_text("ota: up-to-date 1.0.0", 20, since=seen)
    fleet.otactl("engine", "rollout", number, "--resume")
    board.reset()
    board.wait_text("ota: switch 3.1.0", 40, since=seen)


def test_board_that_has_a_release_is_not_offered_the_one_before_when_that_is_paused(fleet: Fleet) -> None:
    board = fleet.board("porch")
    fleet.release("5.0.0", OLD, "porch")  # which it runs
    board.reset()
    board.wait_text("ota: up-to-date 5.0.0", 20)
    fleet.release("5.1.0", NEW, "porch")
    board.reset()
    board.wait_text("ota: confirmed 5.1.0", 60)
    board.wait_text("ota: up-to-date 5.1.0", 20)
    second = fleet.rollouts("porch")[-1]
    fleet.otactl("engine", "rollout", str(second.id), "--pause")
    seen = len(board.text)
    board.reset()
    board.wait_text("app: runs", 40, since=seen)
    assert (fleet.told("porch").state, fleet.told("porch").version) == ("Finished", "5.1.0")
    fleet.otactl("engine", "rollout", str(second.id), "--resume")
    assert [one.paused for one in fleet.rollouts("porch")] == [True, False]


def test_rollout_goes_on_where_a_newer_one_is_paused(fleet: Fleet) -> None:
    fleet.otactl("engine", "add", "loft", "--group", "loft")
    fleet.release("6.0.0", OLD, "loft")
    fleet.release("6.1.0", NEW, "loft")
    first, second = fleet.rollouts("loft")
    fleet.engine._calls.json("PATCH", "/api/v1/rollouts", {"ids": [second.id], "paused": True})  # as by its page
    assert [(one.paused, one.waiting) for one in fleet.rollouts("loft")] == [(False, 1), (True, 1)]
    words = ["engine", "rollout", str(first.id), "--halt-at", "1", "--for", "0s", "-w", str(fleet.place.root)]
    assert main(words) == 1  # its board is still to come


def test_group_without_a_board_is_no_canary(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    fleet.otactl("engine", "add", "cellar", "--group", "cellar")
    fleet.release("7.0.0", OLD, "cellar")
    to = ["--group", "celar,cellar", "--halt-at", "1", "--for", "0s", "-w", str(fleet.place.root)]
    assert main(["engine", "push", "7.0.0", *to]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "no board of group celar has it, as none is in it" in said
    assert "not offered to cellar" in said
    assert len(fleet.rollouts("cellar")) == 1  # the one of before


def test_push_by_cable_asks_no_engine(fleet: Fleet) -> None:
    board = fleet.board("desk")
    data = image(9)
    (fleet.rig.root / "desk.bin").write_bytes(data)
    fleet.otactl("push", str(board.port), str(fleet.rig.root / "desk.bin"))
    assert boots(board) == ("ota_1", State.VALID)
    assert slot_bytes(board, "ota_1", len(data)) == data


def test_firmware_and_application_come_out_of_the_swu(fleet: Fleet) -> None:
    board = fleet.board("attic")
    program = fleet.rig.root / "program"
    program.mkdir()
    (program / "app.py").write_text("print('app: of the engine')\n")
    served = len(fleet.rig.transfers)
    fleet.release("4.1.0", NEW, "attic", "--with-files", app=program)
    board.reset()
    board.wait_text("ota: confirmed 4.1.0", 60)
    board.wait_text("ota: up-to-date 4.1.0", 20)
    board.wait_text("app: of the engine", 20)
    assert slot_bytes(board, "ota_1", len(NEW)) == NEW
    assert list(trees(board)["ota_1"]) == ["app.mpy"]
    assert not [one for one in fleet.rig.transfers[served:] if "/4.1.0/" in one.path]
