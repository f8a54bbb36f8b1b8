"""Factory and two slots, three slots: what an update, a failed trial and a rollback come to there (P14)."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import rig as rigs
from rig import NEW, OLD, Rig, boots, image, slot_bytes, started, status
from vboard.board import Board
from vboard.flash.otadata import State

QUICK = {**rigs.TRIAL, "settle_s": 0, "checks": []}
NEVER = {**rigs.TRIAL, "deadline_s": 10, "checks": [{"check": "healthy", "timeout_s": 2}]}
Template = Callable[..., Path]


@pytest.fixture
def on(rig: Rig, templates: Template) -> Callable[..., Board]:
    """on(layout, trial, **settings): a board that runs 1.0.0 in its first app slot and knows it."""

    def made(layout: str, trial: dict[str, object], **settings: object) -> Board:
        board = rig.board(flash=templates(layout=layout), **settings)
        started(board).wait_text("app: runs")
        rigs.configure(board, trial=trial)
        return board

    return made


def update(rig: Rig, board: Board, version: str, data: bytes) -> None:
    rig.publish(version, data)
    seen = len(board.text)
    board.reset()
    board.wait_text(f"ota: up-to-date {version}", 40, since=seen)


def roll_back(board: Board, to: str) -> None:
    seen = len(board.text)
    with rigs.repl(board) as link:
        link.start("from ota import agent\nagent.rollback()")
        board.wait_text(f"ota: confirmed {to}", 40, since=seen)
        board.wait_text("app: runs", 20, since=board.text.rindex("ota: confirmed"))


def test_first_update_leaves_the_factory_app_and_a_rollback_goes_back_to_it(rig: Rig, on: Callable[..., Board]) -> None:
    board = on("factory-ota", QUICK)
    update(rig, board, "1.1.0", NEW)
    assert boots(board) == ("ota_0", State.VALID)
    assert slot_bytes(board, "factory", len(OLD)) == OLD
    roll_back(board, "1.0.0")
    assert board.slot == "factory"
    assert all(entry.blank for entry in rigs.otadata(board))
    assert status(board)["installed"]["version"] == "1.0.0"
    assert status(board)["failed"] == [{"sequence": 2, "reason": "rollback"}]


@pytest.mark.parametrize("rollback", [True, False], ids=["bootloader with rollback", "bootloader from before v1.21"])
@pytest.mark.parametrize("layout", ["factory-ota", "three"])
def test_failed_trial_goes_back_to_the_slot_that_it_came_from(
    rig: Rig, on: Callable[..., Board], layout: str, rollback: bool
) -> None:
    """The slot after it is empty: there is nothing to start."""
    board = on(layout, NEVER, rollback=rollback)
    home = board.slot
    rig.publish("1.1.0", NEW)
    seen = len(board.text)
    board.reset()
    board.wait_text("ota: rolled-back 1.1.0 deadline", 40, since=seen)
    board.wait_text("app: runs", 20, since=board.text.rindex("ota: rolled-back"))
    assert board.slot == home
    assert status(board)["failed"] == [{"sequence": 2, "reason": "deadline"}]
    count, seen = len(board.boots), len(board.text)
    board.reset(2)
    board.wait_text("ota: error failed-before 1.1.0", 20, since=seen)
    assert [boot.slot for boot in board.boots[count:]] == [home]  # P6, and no endless reset


def test_where_nothing_else_starts_the_program_runs(rig: Rig, on: Callable[..., Board]) -> None:
    """A bootloader without rollback, and the slot that the update came from is gone: no endless reset."""
    board = on("three", NEVER, rollback=False)
    rig.publish("1.1.0", NEW)
    seen = len(board.text)
    board.reset()
    board.wait_text("ota: trial 1.1.0 in ota_1", 40, since=seen)
    home = board.table.find("ota_0")
    assert home
    board.flash.erase(home.offset, home.size, actor="host")
    board.wait_text("ota: kept ota_1", 40, since=seen)
    board.wait_text("app: runs", 20, since=board.text.rindex("ota: kept"))
    rigs.configure(board, trial=QUICK)
    update(rig, board, "1.2.0", image(3))  # and the way is not closed
    assert boots(board) == ("ota_2", State.VALID)


def test_three_slots_are_used_in_turn_and_a_rollback_goes_to_the_release_before(
    rig: Rig, on: Callable[..., Board]
) -> None:
    board = on("three", QUICK)
    update(rig, board, "1.1.0", NEW)
    assert boots(board) == ("ota_1", State.VALID)
    roll_back(board, "1.0.0")  # never to ota_2, which is next and empty
    assert board.slot == "ota_0"
    third = image(3)
    update(rig, board, "1.2.0", third)
    assert boots(board) == ("ota_1", State.VALID)
    update(rig, board, "1.3.0", image(4))
    assert boots(board) == ("ota_2", State.VALID)
    roll_back(board, "1.2.0")
    assert boots(board) == ("ota_1", State.VALID)
    assert slot_bytes(board, "ota_1", len(third)) == third


def test_slot_that_something_else_wrote_is_unknown_and_nothing_to_go_back_to(
    rig: Rig, on: Callable[..., Board]
) -> None:
    board = on("three", QUICK)
    update(rig, board, "1.1.0", NEW)
    home = board.table.find("ota_0")
    assert home
    board.power_off()
    board.program(home.offset, image(77))
    board.power_on()
    told = {slot["name"]: (slot["image"] or {}).get("release") for slot in status(board)["slots"]}
    assert told == {"ota_0": None, "ota_1": "1.1.0", "ota_2": None}
    out = rigs.ask(
        board,
        "from ota import agent\nfrom ota.errors import OtaError\n"
        "try:\n    agent.rollback()\nexcept OtaError as e:\n    print(e.code)",
    )
    assert out.strip() == "no-rollback"
    assert boots(board) == ("ota_1", State.VALID)


def test_another_program_switches_and_status_tells_the_truth(rig: Rig, on: Callable[..., Board]) -> None:
    board = on("three", NEVER)
    spare = board.table.find("ota_2")
    assert spare
    board.power_off()
    board.program(spare.offset, image(55))
    board.power_on()
    seen = len(board.text)
    with rigs.repl(board) as link:
        link.start("from esp32 import Partition\nimport machine\nPartition('ota_2').set_boot()\nmachine.reset()")
        board.wait_text("ota: trial unknown in ota_2", 20, since=seen)
        board.wait_text("ota: rolled-back unknown deadline", 30, since=seen)
    told = status(board)
    assert (told["running"], told["installed"]["version"]) == ("ota_0", "1.0.0")
    assert (told["job"]["phase"], told["job"]["reason"]) == ("failed", "deadline")
    assert told["slots"][2]["image"]["release"] is None


@pytest.mark.parametrize(("layout", "slot"), [("ota", "ota_1"), ("three", "ota_2")])
def test_another_program_switches_after_a_download_that_failed(
    rig: Rig, on: Callable[..., Board], layout: str, slot: str
) -> None:
    """It is on trial (P4): the failure of before says nothing of what that program has put there."""
    board = on(layout, NEVER)
    rig.forge(target__sha256="00" * 32)
    assert rigs.update_code(board) == "hash-mismatch"
    spare = board.table.find(slot)
    assert spare
    board.power_off()
    board.program(spare.offset, image(55))
    board.power_on()
    seen = len(board.text)
    with rigs.repl(board) as link:
        link.start(f"from esp32 import Partition\nimport machine\nPartition({slot!r}).set_boot()\nmachine.reset()")
        board.wait_text(f"ota: trial unknown in {slot}", 20, since=seen)
        board.wait_text("ota: rolled-back unknown deadline", 30, since=seen)
    assert board.slot == "ota_0"


FORGET = (
    "from esp32 import NVS\nn = NVS('ota')\nfor key in ('job0', 'job1', 'state0', 'state1'):\n"
    "    try:\n        n.erase_key(key)\n    except OSError:\n        pass\nn.commit()\n"
)


def hand_over(board: Board, slot: str, first: str = "") -> None:
    """What another program does: it switches to a slot that it has written, and resets. Until the trial there runs."""
    seen = len(board.text)
    with rigs.repl(board) as link:
        link.start(
            f"{first}from esp32 import Partition\nimport machine\nPartition({slot!r}).set_boot()\nmachine.reset()"
        )
        board.wait_text(f"ota: trial unknown in {slot}", 20, since=seen)


def program(board: Board, **images: bytes) -> None:
    board.power_off()
    for slot, data in images.items():
        row = board.table.find(slot)
        assert row
        board.program(row.offset, data)
    board.power_on()
    board.wait_repl()


def test_without_a_record_the_way_back_is_what_otadata_named_before(rig: Rig, on: Callable[..., Board]) -> None:
    """An older release lies whole in ota_0; no bootloader goes back for us."""
    board = on("three", QUICK, rollback=False)
    update(rig, board, "1.1.0", NEW)
    rigs.configure(board, trial=NEVER)
    program(board, ota_2=image(55))
    hand_over(board, "ota_2", FORGET)
    board.wait_text("ota: rolled-back unknown deadline", 30, since=board.text.rindex("ota: trial unknown in ota_2"))
    assert boots(board) == ("ota_1", State.VALID)


def test_what_another_program_left_on_trial_is_not_confirmed_on_the_way_back(
    rig: Rig, on: Callable[..., Board]
) -> None:
    """P4: it switched twice; what it switched to first never passed a trial."""
    board = on("three", NEVER, rollback=False)
    program(board, ota_1=image(54), ota_2=image(55))
    hand_over(board, "ota_1")
    hand_over(board, "ota_2")
    board.wait_text("ota: rolled-back unknown deadline", 30, since=board.text.rindex("ota: trial unknown in ota_2"))
    assert boots(board) == ("ota_0", State.VALID)


HANG = "import machine\nmachine.disable_irq()\nwhile True: pass\n"


@pytest.mark.parametrize("rollback", [True, False], ids=["bootloader with rollback", "bootloader from before v1.21"])
@pytest.mark.parametrize("then", ["", HANG], ids=["a check fails", "the watchdog bites"])
def test_failed_trial_goes_back_where_nvs_is_full(
    rig: Rig, on: Callable[..., Board], then: str, rollback: bool
) -> None:
    """What would be remembered is lost; the way back is not, and no reset follows another for ever."""
    board = on("three", NEVER, rollback=rollback)
    with rigs.repl(board) as link:
        program = f"import esp32\nif esp32.Partition(1).info()[4] == 'ota_1':\n    exec({rigs.FILL + then!r})\n"
        link.put("/app.py", program.encode())
    rig.publish("1.1.0", NEW)
    seen = len(board.text)
    board.reset()
    board.wait_text("ota: trial 1.1.0 in ota_1", 40, since=seen)
    rig.workspace.channel_file.unlink()
    board.wait(lambda: board.slot == "ota_0", 60, "the old slot")
    count = len(board.boots)
    board.wait_text("ota: error http-status 404", 40, since=seen)
    time.sleep(2)
    assert len(board.boots) == count, board.text[seen:]


def test_failed_release_is_remembered_where_nvs_has_room_for_half_of_the_record(
    rig: Rig, on: Callable[..., Board]
) -> None:
    """Of its two documents only the job gets in: the next boot remembers the release from that."""
    board = on("three", NEVER, rollback=False)
    with rigs.repl(board) as link:
        link.put("/app.py", HALF.encode())
    rig.publish("1.1.0", NEW)
    seen = len(board.text)
    board.reset()
    board.wait_text("ota: failed 1.1.0 deadline", 60, since=seen)
    board.wait_text("ota: error record", 20, since=seen)
    board.wait(lambda: board.slot == "ota_0", 20, "the old slot")
    board.wait_text("ota: error failed-before 1.1.0", 20, since=seen)


HALF = """
import esp32
if esp32.Partition(1).info()[4] == 'ota_1':
    from ota.boot import store
    class Full:
        def __getattr__(self, name):
            return getattr(kept, name)
        def set_blob(self, key, value):
            if key[:5] == 'state':
                raise OSError(-4357)
            kept.set_blob(key, value)
    kept = store.handle()
    store._open = Full()
"""


def test_confirmed_image_that_rots_is_installed_again(rig: Rig) -> None:
    board = started(rig.board())
    update(rig, board, "1.1.0", NEW)
    slot = board.table.find("ota_1")
    assert slot
    board.power_off()
    board.flash.program(slot.offset + 9000, bytes(64), actor="host")  # flash loses its charge
    seen = len(board.text)
    board.power_on()
    board.wait_text("ota: reclaimed ota_0", 30, since=seen)
    board.wait_text("ota: up-to-date 1.1.0", 60, since=seen)
    assert boots(board) == ("ota_1", State.VALID)
    assert slot_bytes(board, "ota_1", len(NEW)) == NEW
