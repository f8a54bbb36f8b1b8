"""A release that is withdrawn, as boards live through it: they go on only, never back, and end on the older image."""

from otactl.board import follow
from otactl.board.link import Link
from otactl.release import channels
from rig import NEW, Rig, started, status


def update(board) -> follow.Outcome:
    with Link(str(board.port)) as link:
        return follow.update(link, lambda _: None)


def test_a_board_that_has_a_withdrawn_release_takes_the_older_image_as_a_newer_release(rig: Rig) -> None:
    rig.publish("1.1.0", NEW)
    board = started(rig.board())
    assert update(board) == follow.Outcome("confirmed", "1.1.0")
    assert channels.withdraw(rig.workspace, "1.1.0") == [channels.Move("stable", "1.0.0", 3, "1.1.0", again=True)]
    assert update(board) == follow.Outcome("confirmed", "1.0.0")
    found = status(board)
    assert (found["installed"]["version"], found["installed"]["sequence"]) == ("1.0.0", 3)
    assert found["running"] == "ota_0"
    assert update(board).name == "up-to-date"


def test_a_board_that_runs_the_older_image_already_learns_the_new_sequence_without_a_download(rig: Rig) -> None:
    board = started(rig.board())
    assert update(board) == follow.Outcome("up-to-date", "1.0.0")
    assert status(board)["installed"]["sequence"] == 1  # it knows what it runs
    rig.publish("1.1.0", NEW)
    channels.withdraw(rig.workspace, "1.1.0")
    assert update(board) == follow.Outcome("up-to-date", "1.0.0")
    found = status(board)
    assert (found["installed"]["version"], found["installed"]["sequence"]) == ("1.0.0", 3)
    assert [t.path for t in rig.transfers if t.path.endswith(".bin")] == []
