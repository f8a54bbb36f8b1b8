"""Data partitions over the air: what a release may write, and what lies there at each moment, judged by what is in flash."""

import json
import re
from binascii import crc32
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import rig as rigs
from otactl.release.application import Asked as Program
from otactl.release.data import Asked
from otactl.workspace.workspace import Workspace
from powercut.flash import files, with_files
from rig import NEW, OLD, Rig, boots, image, slot_bytes, started, touched
from vboard.board import Board
from vboard.flash.nor import Operation, PowerLost
from vboard.flash.otadata import State
from vboard.flash.table import Table

KIB = 1024
TABLE = Table.from_csv("""
    nvs,      data, nvs,   0x9000, 0x4000
    otadata,  data, ota,   0xd000, 0x2000
    phy_init, data, phy,   0xf000, 0x1000
    ota_0,    app,  ota_0, ,       0x40000
    ota_1,    app,  ota_1, ,       0x40000
    model,    data, 0x40,  ,       0x30000
    little,   data, 0x40,  ,       0x1000
    other,    data, 0x40,  ,       0x1000
    rest,     data, 0x41,  ,       0x2ae000
""")  # a slot has 160 KiB behind an image, and files as many as the stock layout with two slots gives them
NAMES = ["model", "little", "gone", "nvs", "otadata", "phy_init", "ota_0", "ota_1", "vfs"]
FIRST, SECOND = bytes(range(256)) * 100, bytes(range(255, -1, -1)) * 90 + b"end"
STAGED = -(-len(NEW) // 4096) * 4096  # where it lies in the other slot
FILE = "etc/ota/staged"  # and where, if the image leaves no room for it there
LARGE = image(2, size=0x3C000)
SEEN = 20480  # bytes of it that the program reads
APP = f"""
import binascii
from esp32 import Partition
model, buf, seen = Partition.find(Partition.TYPE_DATA, label="model")[0], bytearray(512), 0
for at in range(0, {SEEN}, 512):
    model.readblocks(0, buf, at)
    seen = binascii.crc32(buf, seen)
print("app: sees", seen)
"""
TRIAL = {**rigs.TRIAL, "settle_s": 1, "checks": []}


@pytest.fixture(scope="module")
def flash(tmp_path_factory: pytest.TempPathFactory, place: Workspace) -> Path:
    """Of a board that allows more than it ever may, with FIRST in `model`."""
    folder = tmp_path_factory.mktemp("data")
    path = rigs.make_template(folder / "board", place, layout=TABLE)
    with Board(folder / "board") as board:
        board.power_on()
        board.wait_text("ota: ", 20)
        rigs.configure(board, data=NAMES, trial=TRIAL)
        with rigs.repl(board) as link:
            link.put("/app.py", APP.encode())
        board.power_off()
        row = board.table.find("model")
        assert row
        board.flash.program(row.offset, FIRST, actor="host")
    return path


@pytest.fixture
def board(rig: Rig, flash: Path) -> Board:
    return started(rig.board(flash=flash))


def publish(
    rig: Rig, version: str, data: bytes, firmware: bytes | None = NEW, *, app: bool = False, unsafe: bool = False
) -> None:
    file, built = rig.root / "data.bin", rig.root / f"{version}.bin"
    file.write_bytes(data)
    built.write_bytes(firmware or b"")
    folder = rig.root / "program"
    folder.mkdir(exist_ok=True)
    (folder / "app.py").write_text(APP)
    rigs.publish.publish(
        rig.workspace,
        [built] if firmware else [],
        version,
        app=Program(folder) if app else None,
        partition=Asked("model", file, unsafe),
    )


def holds(board: Board, data: bytes) -> bool:
    return slot_bytes(board, "model", len(data)) == data


def test_data_stays_until_the_release_is_confirmed_and_is_there_before_the_program_runs_again(
    rig: Rig, flash: Path
) -> None:
    """With firmware and an application beside it: a stock board's memory has room for the three (P9)."""
    board = started(rig.board(flash=flash))
    publish(rig, "1.1.0", SECOND, app=True)
    board.reset()
    board.wait_text("ota: up-to-date 1.1.0", 60)
    board.wait_text(f"app: sees {crc32(SECOND[:SEEN])}", 20)
    assert boots(board) == ("ota_1", State.VALID)
    assert holds(board, SECOND)
    on_trial = board.text[board.text.index("ota: trial 1.1.0") : board.text.index("ota: confirmed 1.1.0")]
    assert f"app: sees {crc32(FIRST[:SEEN])}" in on_trial
    assert len(set(re.findall(r"app: sees (\d+)", board.text))) == 2
    before = len(board.flash.trace)
    publish(rig, "1.2.0", SECOND, None)  # nothing of it is new
    assert rigs.update_code(board) == "up-to-date"
    assert not touched(board, "model", before)


def in_files(board: Board) -> bytes | None:
    """What is staged in a file, as it lies in flash."""
    return files(board.table, board.flash.read(0, board.flash.size)).get(FILE)


def test_data_without_room_behind_the_image_wait_in_a_file(rig: Rig, board: Board) -> None:
    """A failed trial lets go of it; a good one has it copied. With an application beside it."""
    rigs.configure(board, trial={**TRIAL, "checks": [{"check": "call", "function": "nowhere:f"}]})
    publish(rig, "1.1.0", SECOND, LARGE, app=True)
    seen = len(board.text)
    board.reset()
    board.wait_text("ota: trial 1.1.0", 60)
    assert in_files(board) == SECOND
    board.wait_text("ota: error failed-before", 60, since=seen)
    assert in_files(board) is None and holds(board, FIRST)
    rigs.configure(board, trial=TRIAL)
    publish(rig, "1.2.0", SECOND, LARGE, app=True)
    board.reset()
    board.wait_text("ota: up-to-date 1.2.0", 60)
    assert boots(board) == ("ota_1", State.VALID) and holds(board, SECOND)
    assert in_files(board) is None


def test_file_of_a_release_that_was_left_is_removed_at_the_next_look(rig: Rig, board: Board) -> None:
    publish(rig, "1.1.0", SECOND, LARGE, app=True)
    (archive,) = (rig.workspace.releases / "1.1.0").glob("*.cpio")
    archive.unlink()
    assert rigs.update_code(board) == "http-status"
    assert in_files(board) == SECOND
    assert rigs.ask(board, "from ota import agent\nprint(agent.check()['version'])", 60).split() == ["1.1.0"]
    assert in_files(board) == SECOND  # who only asks takes nothing away from a job that goes on
    rig.forge(product="another")
    assert rigs.update_code(board) == "wrong-product"
    assert in_files(board) is None
    with rigs.repl(board) as link:
        link.put(f"/{FILE}", SECOND)  # of a job that nobody knows any more: after a rollback, or with an erased NVS
    assert rigs.update_code(board) == "wrong-product"
    assert in_files(board) is None


def test_failed_trial_leaves_the_data_of_before(rig: Rig, board: Board) -> None:
    rigs.configure(board, trial={**TRIAL, "checks": [{"check": "call", "function": "nowhere:f"}]})
    before = len(board.flash.trace)
    publish(rig, "1.1.0", SECOND, None)
    seen = len(board.text)
    board.reset()
    board.wait_text("ota: rolled-back 1.1.0 check-call", 60, since=seen)
    board.wait_text("app: sees", 20, since=board.text.rindex("ota: rolled-back"))
    assert boots(board) == ("ota_0", State.VALID)
    assert holds(board, FIRST) and not touched(board, "model", before)


def test_staged_data_that_is_spoilt_is_not_copied(rig: Rig, board: Board) -> None:
    publish(rig, "1.1.0", SECOND)
    board.reset()
    board.wait_text("ota: trial 1.1.0", 60)
    row = board.table.find("ota_1")
    assert row
    board.flash.program(row.offset + STAGED + 10, b"\0" * 20, actor="host")
    board.wait_text("ota: error hash-mismatch", 60)
    board.wait_text("ota: up-to-date 1.1.0", 40)
    assert holds(board, FIRST)
    assert rigs.status(board)["job"]["reason"] == "hash-mismatch"


def cut_in_the_copy(rig: Rig, board: Board, at: int, changes: dict[str, bytes | None], firmware: bytes = NEW) -> None:
    """1.1.0 is confirmed, and power goes before operation `at` on the partition; then the board starts with these files."""
    row, seen = board.table.find("model"), [0]
    assert row

    def watch(operation: Operation, _: bytes | None) -> None:
        seen[0] += row.offset <= operation.address < row.end
        if seen[0] > at:
            raise PowerLost

    publish(rig, "1.1.0", SECOND, firmware)
    board.flash.before = watch
    board.reset()
    board.wait(lambda: seen[0] > at and board.soc is None, 40, "power cut")
    board.flash.before = None
    board.flash.force(0, with_files(board.table, board.flash.read(0, board.flash.size), changes))
    board.power_on()


def test_rollback_by_cable_leaves_no_data_half_copied(rig: Rig, board: Board) -> None:
    cut_in_the_copy(rig, board, 3, {"main.py": b"print('main: nothing')\n"})
    assert not holds(board, FIRST) and not holds(board, SECOND)
    board.wait_text("main: nothing", 20)
    with rigs.repl(board) as link:
        link.start("from ota import agent\nagent.rollback()")
        board.wait(lambda: boots(board)[0] == "ota_0" and board.slot == "ota_0", 40, "rollback")
    assert holds(board, SECOND)  # as after a rollback that comes later


def test_copy_is_let_go_with_a_line_where_the_configuration_names_no_data_any_more(rig: Rig, board: Board) -> None:
    settings = json.loads(files(board.table, board.flash.read(0, board.flash.size))["etc/ota/config.json"])
    settings.pop("data")
    changes = {"etc/ota/config.json": json.dumps(settings).encode(), "lib/ota/install/data.mpy": None}
    cut_in_the_copy(rig, board, 0, changes, LARGE)
    assert in_files(board) == SECOND
    board.wait_text("ota: error partition model", 20)
    board.wait_text(f"app: sees {crc32(FIRST[:SEEN])}", 40, since=board.text.rindex("ota: error partition"))
    told = rigs.status(board)
    assert (told["job"]["reason"], told["job"]["detail"]) == ("partition", "model")
    assert told["refused"] == ["unknown-kind", "data"]  # the look goes on, and the channel has that release still
    assert holds(board, FIRST) and in_files(board) is None


@pytest.mark.parametrize("cut_at", [20 * 4096, STAGED + 8192], ids=["in the image's last block", "behind the image"])
def test_image_and_staged_data_are_whole_at_the_switch_wherever_power_went(rig: Rig, board: Board, cut_at: int) -> None:
    slot, otadata = board.table.find("ota_1"), board.table.find("otadata")
    assert slot and otadata
    assert STAGED % 65536  # the block that is erased ahead of the image's end has data in it too
    cut: list[Operation] = []
    at_switch: list[bytes] = []

    def watch(operation: Operation, _: bytes | None) -> None:
        if not cut and (operation.kind, operation.address) == ("program", slot.offset + cut_at):
            cut.append(operation)
            raise PowerLost
        if not at_switch and otadata.offset <= operation.address < otadata.end:
            at_switch.append(slot_bytes(board, "ota_1", STAGED + len(SECOND)))

    publish(rig, "1.1.0", SECOND)
    board.flash.before = watch
    board.reset()
    board.wait(lambda: bool(cut) and board.soc is None, 40, "power cut")
    board.power_on()
    board.wait_text("ota: up-to-date 1.1.0", 60)
    assert at_switch == [NEW.ljust(STAGED, b"\xff") + SECOND]
    assert boots(board) == ("ota_1", State.VALID) and holds(board, SECOND)


def test_what_has_no_room_anywhere_is_written_in_place_where_the_release_says_so(rig: Rig, board: Board) -> None:
    large = bytes(range(251)) * 760  # 186 KiB
    publish(rig, "1.1.0", large)
    before = len(board.flash.trace)
    assert rigs.update_code(board) == "data-room"
    assert not touched(board, "ota_1", before) and not touched(board, "vfs", before) and holds(board, FIRST)
    publish(rig, "1.2.0", large, unsafe=True)
    seen = len(board.text)
    board.reset()
    board.wait_text("ota: up-to-date 1.2.0", 60, since=seen)
    assert holds(board, large) and boots(board) == ("ota_1", State.VALID)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "nvs": ({"partition": "nvs"}, "partition"),
    "otadata": ({"partition": "otadata"}, "partition"),
    "phy_init": ({"partition": "phy_init"}, "partition"),
    "the slot that runs": ({"partition": "ota_0"}, "partition"),
    "the other slot": ({"partition": "ota_1"}, "partition"),
    "where the files are": ({"partition": "vfs"}, "partition"),
    "one that is not there": ({"partition": "gone"}, "partition"),
    "one that the configuration does not name": ({"partition": "other"}, "partition"),
    "no name": ({"partition": None}, "partition"),
    "a list": ({"partition": ["model"]}, "partition"),
    "one that is too small": ({"partition": "little", "size": 4097}, "data-size"),
    "no room to stage it": ({"size": 161 * KIB}, "data-room"),
    "two of them": ({}, "bad-release"),
}


def test_refusals_come_before_anything_is_erased(rig: Rig, board: Board) -> None:
    before = len(board.flash.trace)
    for name, (changes, code) in REFUSED.items():
        one = {
            "kind": "data",
            "partition": "model",
            "url": "x",
            "size": 5,
            "sha256": sha256(b"x").hexdigest(),
        } | changes
        firmware = rig.forge()["targets"][0]
        rig.forge(targets=[firmware, one, one] if name == "two of them" else [firmware, one])
        assert rigs.update_code(board) == code, name
    for label in ("ota_1", "model", "little", "other", "phy_init", "otadata"):
        assert not touched(board, label, before), label
    assert slot_bytes(board, "ota_0", len(OLD)) == OLD


def test_board_that_is_not_configured_for_it_takes_no_release_with_data(rig: Rig) -> None:
    board = started(rig.board())
    assert "install/data.py" not in rigs.agent.sources(rigs.CONFIG)
    publish(rig, "1.1.0", SECOND)
    assert rigs.update_code(board) == "unknown-kind"
