"""Updates end to end on the virtual board, judged from the flash image."""

import pytest
import rig as rigs
from rig import NEW, OLD, Rig, boots, image, slot_bytes, started, status, update_code
from vboard.flash.otadata import State


def test_update_is_tried_confirmed_and_booted(rig: Rig) -> None:
    board = started(rig.board())
    rig.publish("1.1.0", NEW)
    board.reset()
    board.wait_text("ota: confirmed 1.1.0", 40)
    board.wait_text("ota: up-to-date 1.1.0", 20)
    assert boots(board) == ("ota_1", State.VALID)
    assert slot_bytes(board, "ota_1", len(NEW)) == NEW
    assert slot_bytes(board, "ota_0", len(OLD)) == OLD
    assert status(board)["installed"] == {"version": "1.1.0", "sequence": 2, "security_version": 0}


def test_a_name_that_micropython_does_not_take_ends_no_trial(rig: Rig) -> None:
    board = started(rig.board())
    rigs.configure(board, hostname="\xfc" * 17)  # 34 bytes
    rig.publish("1.1.0", NEW)
    board.reset()
    board.wait_text("ota: confirmed 1.1.0", 60)


def test_board_that_came_with_the_release_adopts_it_without_an_erase(rig: Rig) -> None:
    board = started(rig.board())
    board.wait_text("ota: up-to-date 1.0.0", 20)
    assert not rigs.touched(board, "ota_1")
    assert status(board)["installed"]["version"] == "1.0.0"


def test_two_updates_use_the_slots_in_turn(rig: Rig) -> None:
    board = started(rig.board())
    rig.publish("1.1.0", NEW)
    board.reset()
    board.wait_text("ota: up-to-date 1.1.0", 40)
    third = image(3)
    rig.publish("1.2.0", third)
    board.reset()
    board.wait_text("ota: up-to-date 1.2.0", 40)
    assert boots(board) == ("ota_0", State.VALID)
    assert slot_bytes(board, "ota_0", len(third)) == third
    assert slot_bytes(board, "ota_1", len(NEW)) == NEW


def test_release_that_fails_its_trial_is_rolled_back_and_not_tried_again(rig: Rig) -> None:
    reason = "trial-crash"
    board = started(rig.board())
    rig.publish("1.1.0", image(2, panic=True))
    board.reset()
    board.wait_text("ota: rolled-back 1.1.0 " + reason, 40)
    board.wait_text("ota: error failed-before 1.1.0", 20)
    assert boots(board) == ("ota_0", State.VALID)
    assert board.slot == "ota_0"
    assert status(board)["failed"] == [{"sequence": 2, "reason": reason}]
    assert update_code(board) == "failed-before"  # P6
    rig.publish("1.2.0", NEW)
    board.reset()
    board.wait_text("ota: up-to-date 1.2.0", 40)  # the next sequence is


def test_release_whose_trial_finds_no_network_is_tried_again_at_growing_distances(rig: Rig) -> None:
    """P6: an access point that was off must not put a good release on the list; a broken radio is no loop either."""
    board = started(rig.board())
    rig.publish("1.1.0", image(2, no_wifi=True))
    board.reset()
    board.wait_text("ota: rolled-back 1.1.0 check-wifi", 40)
    board.wait_text("ota: error on-hold 1", 20)
    assert boots(board) == ("ota_0", State.VALID)
    assert status(board)["failed"] == []
    fetched = len(rig.transfers)
    seen = len(board.text)
    board.reset()  # the hold was for one look
    board.wait_text("ota: rolled-back 1.1.0 check-wifi", 40, since=seen)
    for left in (3, 2, 1):
        board.wait_text(f"ota: error on-hold {left}", 20, since=seen)
        board.reset()
    assert not [t for t in rig.transfers[fetched:] if t.path.endswith(".bin")]  # the slot was whole
    rig.publish("1.2.0", NEW)
    board.reset()
    board.wait_text("ota: up-to-date 1.2.0", 40)


HANGS = {
    "application hangs in Python": ("while True: pass", "healthy", "deadline"),
    "application raises": ("raise RuntimeError('broken')", "settle", "app-crashed"),
    "application never says that it is healthy": ("print('up')", "healthy", "deadline"),
}


@pytest.mark.parametrize(("program", "ends", "reason"), HANGS.values(), ids=HANGS)
def test_application_that_fails_on_trial_rolls_back(rig: Rig, program: str, ends: str, reason: str) -> None:
    board = started(rig.board())
    with rigs.repl(board) as link:  # the old release runs it well: it fails under the new one only
        code = f"import esp32\nif esp32.Partition(1).info()[4] == 'ota_1':\n    {program}\n"
        link.put("/app.py", code.encode())
    checks = [{"check": "healthy", "timeout_s": 4}] if ends == "healthy" else []
    rigs.configure(board, trial={**rigs.TRIAL, "checks": checks})
    rig.publish("1.1.0", NEW)
    board.reset()
    board.wait_text("ota: rolled-back 1.1.0 " + reason, 40)
    assert boots(board) == ("ota_0", State.VALID)


def test_healthy_ends_the_trial_well(rig: Rig) -> None:
    board = started(rig.board())
    with rigs.repl(board) as link:
        link.put("/app.py", b"from ota import agent\nimport time\ntime.sleep(2)\nagent.healthy()\n")
    rigs.configure(board, trial={**rigs.TRIAL, "checks": [{"check": "healthy", "timeout_s": 10}]})
    rig.publish("1.1.0", NEW)
    board.reset()
    board.wait_text("ota: confirmed 1.1.0", 40)
    board.wait_text("ota: up-to-date 1.1.0", 20)
    assert boots(board) == ("ota_1", State.VALID)


def test_watchdog_rolls_back_a_trial_that_hangs_where_no_callback_runs(rig: Rig) -> None:
    board = started(rig.board())
    with rigs.repl(board) as link:
        # a C call that never comes back: nothing of Python runs any more, timers neither
        code = b"import esp32\nif esp32.Partition(1).info()[4] == 'ota_1':\n    max(range(1 << 40))\n"
        link.put("/app.py", code)
    rig.publish("1.1.0", NEW)
    rigs.configure(board, trial={**rigs.TRIAL, "settle_s": 15})
    board.reset()
    board.wait_text("Task watchdog got triggered", 60)
    board.wait_text("ota: rolled-back 1.1.0 trial-watchdog", 20)
    assert boots(board) == ("ota_0", State.VALID)


def test_nothing_is_downloaded_while_a_trial_runs(rig: Rig) -> None:
    board = started(rig.board())
    rigs.configure(board, trial={**rigs.TRIAL, "settle_s": 15})
    rig.publish("1.1.0", NEW)
    board.reset()
    board.wait_text("ota: check server ok", 40)
    before = len(board.flash.trace)
    rig.publish("1.2.0", image(3))
    assert update_code(board) == "unconfirmed"  # P2
    assert not rigs.touched(board, "ota_0", before)


def test_rollback_on_request_is_a_trial_of_the_old_release(rig: Rig) -> None:
    board = started(rig.board())
    rig.publish("1.1.0", NEW)
    board.reset()
    board.wait_text("ota: up-to-date 1.1.0", 40)
    seen = len(board.text)
    with rigs.repl(board) as link:
        link.start("from ota import agent\nagent.rollback()")
        board.wait_text("ota: confirmed 1.0.0", 40, since=seen)
        board.wait_text("ota: error failed-before 1.1.0", 20, since=seen)
    assert boots(board) == ("ota_0", State.VALID)
    assert status(board)["installed"]["version"] == "1.0.0"


def test_rollback_never_boots_a_failed_release_under_the_old_ones_name(rig: Rig) -> None:
    board = started(rig.board())
    rig.publish("1.1.0", NEW)
    board.reset()
    board.wait_text("ota: up-to-date 1.1.0", 40)
    rig.publish("1.2.0", image(3, panic=True))  # overwrites 1.0.0 in ota_0
    board.reset()
    board.wait_text("ota: rolled-back 1.2.0", 40)
    board.wait_text("ota: error failed-before 1.2.0", 20)
    out = rigs.ask(
        board,
        "from ota import agent\nfrom ota.errors import OtaError\n"
        "try:\n    agent.rollback()\nexcept OtaError as e:\n    print(e.code)",
    )
    assert out.strip() == "no-rollback"
    assert boots(board) == ("ota_1", State.VALID)


def test_refusal_is_kept_across_a_reset_for_status(rig: Rig) -> None:
    board = started(rig.board())
    rig.forge(product="toaster")
    seen = len(board.text)
    board.reset()
    board.wait_text("ota: error wrong-product toaster", 20, since=seen)
    board.power_off()
    rig.network.access_points.clear()
    board.power_on()
    board.wait_repl()
    assert status(board)["refused"] == ["wifi-not-found", "virtual"]
