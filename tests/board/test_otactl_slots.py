"""`otactl slots` on a board: over its REPL, over the ROM loader, and on one that is in its loader already."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from vboard.board import Board
from vboard.chip.kept import HARD
from vboard.flash import images

LIMIT_S = 60
CHIP = "esp32s3"
IMAGE = images.build_app(CHIP, size=30_000, seed=5)
WAYS = pytest.mark.parametrize("way", [(), ("--esptool",)], ids=["repl", "esptool"])


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    with Board(tmp_path / "board", chip=CHIP) as made:
        made.power_on()
        made.wait_repl()
        yield made


@pytest.fixture
def image(tmp_path: Path) -> Path:
    (tmp_path / "image.bin").write_bytes(IMAGE)
    return tmp_path / "image.bin"


def otactl(*words: Any, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "otactl", *map(str, words)], capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr and done.stderr.count("\n") <= 1
    return done.stdout + done.stderr


def told(*words: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(otactl("slots", *words, "--json"))
    return found


def test_both_ways_see_the_same(board: Board) -> None:
    running, over_rom = told(board.port), told(board.port, "--esptool")
    assert (running.pop("running"), over_rom.pop("running")) == ("ota_0", None)
    vfs = [part for part in running["partitions"] if part["name"] == "vfs"]
    assert len(vfs) == 1  # MicroPython makes it, no table has it
    running["partitions"].remove(vfs[0])
    assert running == over_rom
    assert (over_rom["chip"], over_rom["flash_size"], over_rom["next"]) == (CHIP, board.flash.size, "ota_0")
    assert [entry["state"] for entry in over_rom["otadata"]] == ["valid", None]


def test_a_board_in_its_loader_is_found_and_left_there(board: Board) -> None:
    board.download_mode()
    assert "boots next: ota_0" in otactl("slots", board.port)
    assert board.in_loader
    assert "boots next: ota_0" in otactl("slots", board.port)


def test_looking_interrupts_and_starts_the_program_again(board: Board) -> None:
    started = board.text.count("MPY: soft reboot")
    assert "runs, boots next" in otactl("slots", board.port)
    board.wait(lambda: board.text.count("MPY: soft reboot") > started, 10, "soft reboot")
    assert len(board.boots) == 1


@WAYS
def test_write_read_switch_and_boot(board: Board, image: Path, tmp_path: Path, way: tuple[str, ...]) -> None:
    row = board.table.find("ota_1")
    assert row
    said = otactl("slots", "write", board.port, "1", image, *way)
    assert said.index("before:") < said.index("after:")
    assert board.flash.read(row.offset, len(IMAGE)) == IMAGE
    said = otactl("slots", "switch", board.port, "ota_1", *way)
    assert "it is on trial" in said and "boots next: ota_1" in said
    if not way:
        assert "ota_0 runs until the board is reset" in said
        board.reset(HARD)
    board.wait(lambda: board.boots[-1].slot == "ota_1", 10, "boot of ota_1")
    board.wait_repl()
    assert told(board.port)["next"] == "ota_0"  # nobody has confirmed it
    back = tmp_path / "back.bin"
    assert told("read", board.port, "ota_1", back, "--esptool") == {"file": str(back), "size": row.size}
    assert back.read_bytes() == board.flash.read(row.offset, row.size)


@WAYS
def test_erase_and_its_refusal(board: Board, image: Path, way: tuple[str, ...]) -> None:
    row = board.table.find("ota_1")
    assert row
    otactl("slots", "write", board.port, "1", image, *way)
    otactl("slots", "erase", board.port, "1", *way)
    assert board.flash.read(row.offset, row.size) == b"\xff" * row.size
    before = board.flash.read(0x10000, 0x10000)
    said = otactl("slots", "erase", board.port, "0", *way, code=1)
    assert ("no other slot holds anything" if way else "is what runs") in said
    assert board.flash.read(0x10000, 0x10000) == before


def test_a_slot_that_is_not_there_is_said_before_anything_is_drawn(board: Board) -> None:
    said = otactl("slots", "erase", board.port, "9", code=2)
    assert said == "otactl: there is no slot '9' on the board; it has ota_0, ota_1\n"


def test_changes_are_one_object_for_scripts(board: Board, image: Path) -> None:
    written = told("write", board.port, "1", image)
    assert set(written) == {"before", "after", "note"}
    assert [holds(written[when]) for when in ("before", "after")] == ["blank", "image"]
    switched = told("switch", board.port, "1")
    assert switched["after"]["next"] == "ota_1" and "on trial" in switched["note"]
    assert told("reset", board.port)["after"]["next"] == "ota_0"
    erased = told("erase", board.port, "1")
    assert [holds(erased[when]) for when in ("before", "after")] == ["image", "blank"]
    assert erased["after"] == told(board.port)
    refused = json.loads(otactl("slots", "erase", board.port, "0", "--json", code=1).splitlines()[0])
    assert refused["error"]["kind"] == "board"


def holds(picture: dict[str, Any]) -> str:
    """What the second slot does."""
    found: str = next(part["holds"] for part in picture["partitions"] if part["name"] == "ota_1")
    return found


@WAYS
def test_reset_goes_back_to_the_first_slot(board: Board, image: Path, way: tuple[str, ...]) -> None:
    otactl("slots", "write", board.port, "1", image, "--esptool")
    otactl("slots", "switch", board.port, "1", "--esptool")
    board.wait(lambda: board.boots[-1].slot == "ota_1", 10, "boot of ota_1")
    said = otactl("slots", "reset", board.port, *way)
    assert "✓ otadata is erased; ota_0 boots next\n" in said
    board.reset(HARD)
    board.wait(lambda: board.boots[-1].slot == "ota_0", 10, "boot of ota_0")
    row = board.table.otadata
    assert row
    assert board.flash.read(row.offset + 0x1000, 32) == b"\xff" * 32


def test_backup_and_restore_of_the_whole_flash(board: Board, tmp_path: Path) -> None:
    kept = tmp_path / "kept.bin"
    otactl("slots", "backup", board.port, kept)
    board.wait_repl()
    assert kept.stat().st_size == board.flash.size and kept.stat().st_mode & 0o077 == 0
    board.power_off()
    board.flash.force(0x8000, bytes(0x100000))
    board.power_on()
    assert "boots next: ota_0" in otactl("slots", "restore", board.port, kept)
    board.wait_repl()
    for at in (0x8000, 0x10000):
        assert board.flash.read(at, 0x1000) == kept.read_bytes()[at : at + 0x1000]


def test_restore_refuses_what_is_no_backup_of_this_board(board: Board, tmp_path: Path) -> None:
    short, blank = tmp_path / "short", tmp_path / "blank"
    short.write_bytes(b"\xff" * 1000)
    blank.write_bytes(b"\xff" * board.flash.size)
    before = board.flash.read(0, board.flash.size - 0x90000)  # without the files: the program writes there
    assert "not a backup of such a board" in otactl("slots", "restore", board.port, short, code=2)
    assert "no partition table" in otactl("slots", "restore", board.port, blank, code=1)
    assert board.flash.read(0, board.flash.size - 0x90000) == before


def test_backup_overwrites_no_file(board: Board, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("mine")
    assert "is there already" in otactl("slots", "backup", board.port, tmp_path / "there", code=2)
    assert (tmp_path / "there").read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("slots", "PORT", "--esptool"), 3, "there is no such port"),
        (("slots", "PORT"), 3, "there is no such port"),
        (("slots", "write", "PORT", "1", "nothing.bin"), 2, "nothing.bin"),
        (("slots", "restore", "PORT", "nothing.bin"), 2, "nothing.bin"),
        (("slots", "switch", "PORT"), 2, "slot"),
        (("slots", "--help"), 0, "backup"),
    ],
)
def test_faults_are_one_line(tmp_path: Path, words: tuple[str, ...], code: int, says: str) -> None:
    port = tmp_path / "port"
    assert says in otactl(*(str(port) if word == "PORT" else word for word in words), code=code).lower()


def test_a_port_on_the_network_is_a_port(tmp_path: Path) -> None:
    """RFC 2217 has no time limit for writes: pyserial refuses to set one."""
    with Board(tmp_path / "board", chip=CHIP, network_port=0) as made:
        made.power_on()
        made.wait_repl()
        assert "runs, boots next" in otactl("slots", made.url)
        assert len(made.boots) == 1
