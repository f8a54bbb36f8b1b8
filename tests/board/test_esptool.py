"""Real esptool against the virtual board: it must see a chip, its flash, and nothing that tells it from a real one."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import serial
from vboard.board import Board
from vboard.chips import CHIPS
from vboard.flash import images
from vboard.flash.nor import Operation, PowerLost
from vboard.flash.otadata import Entry, State
from vboard.flash.table import LAYOUTS
from vboard.loader.loader import SYNC_FRAME

LIMIT_S = 60
NAMES = {"esp32": "ESP32", "esp32s2": "ESP32-S2", "esp32s3": "ESP32-S3", "esp32c3": "ESP32-C3", "esp32c6": "ESP32-C6"}
OTADATA, OTA_0, OTA_1 = (row.offset for row in LAYOUTS["ota"].rows if row.label in ("otadata", "ota_0", "ota_1"))
TO_OTA_1 = Entry.make(2, State.VALID).to_bytes()

Made = Callable[..., Board]


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Made]:
    boards = []

    def board(chip: str = "esp32", **settings: Any) -> Board:
        boards.append(Board(tmp_path / "board", chip=chip, **settings))
        boards[0].power_on()
        boards[0].wait_boots(1)
        return boards[0]

    yield board
    for each in boards:
        each.close()


def esptool(port: str | Path | None, *words: Any, fails: bool = False) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "esptool", "--port", str(port), *map(str, words)],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("chip", CHIPS)
def test_chip_revision_mac_and_flash_are_identified(made: Made, chip: str) -> None:
    board = made(chip, flash_mib=8)
    said = esptool(board.port, "flash-id")
    major, minor = divmod(CHIPS[chip].revision, 100)
    assert f"Detecting chip type... {NAMES[chip]}\n" in said
    assert f"(revision v{major}.{minor})" in said
    assert board._mac.hex(":") in said
    assert "Crystal frequency:  40MHz" in said
    assert "Detected flash size: 8MB" in said
    assert "quite different" not in said and "Failed to communicate" not in said


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("stub", [(), ("--no-stub",)], ids=["stub", "no-stub"])
def test_board_boots_what_esptool_wrote(made: Made, tmp_path: Path, chip: str, stub: tuple[str, ...]) -> None:
    board = made(chip)
    before = board.flash.read(0, board.flash.size)
    app, entry, back = tmp_path / "app", tmp_path / "entry", tmp_path / "back"
    app.write_bytes(images.build_app(chip, size=20_001, seed=7))
    entry.write_bytes(TO_OTA_1)
    run = partial(esptool, board.port, *stub)

    said = run("write-flash", hex(OTADATA + 0x1000), entry, hex(OTA_1), app)
    assert said.count("Hash of data verified") == 2
    assert board.wait_boots(2).slot == "ota_1"
    run("verify-flash", hex(OTA_1), app)
    size = app.stat().st_size
    run("read-flash", hex(OTA_1), size, back)
    assert back.read_bytes() == app.read_bytes() == board.flash.read(OTA_1, size)
    run("erase-region", hex(OTADATA), "0x2000")
    board.wait_repl()
    assert board.slot == "ota_0"
    untouched = [(0, OTADATA), (OTADATA + 0x2000, OTA_1)]
    assert all(board.flash.read(a, b - a) == before[a:b] for a, b in untouched)


def test_a_write_over_old_data_erases_it(made: Made, tmp_path: Path) -> None:
    board = made()
    (tmp_path / "app").write_bytes(images.build_app("esp32", size=20_000, seed=7))
    for stub, packing in product(((), ("--no-stub",)), ("--compress", "--no-compress")):
        board.flash.force(OTA_1, bytes(0x8000))
        said = esptool(board.port, *stub, "write-flash", packing, hex(OTA_1), tmp_path / "app")
        assert "Hash of data verified" in said
        assert board.flash.read(OTA_1 + 0x5000, 0x3000) == bytes(0x3000)


def test_whole_flash_goes_out_and_in_again(made: Made, tmp_path: Path) -> None:
    board = made()
    board.wait_repl()  # its filesystem is made by then
    esptool(board.port, "read-flash", 0, "ALL", tmp_path / "whole")
    assert (tmp_path / "whole").read_bytes()[:0x100000] == board.flash.read(0, 0x100000)
    esptool(board.port, "erase-flash")
    assert board.flash.read(0x8000, 0x1000) == b"\xff" * 0x1000
    esptool(board.port, "write-flash", 0, tmp_path / "whole")
    board.wait_repl()
    assert board.flash.read(0, board.flash.size) == (tmp_path / "whole").read_bytes()


def test_modem_lines_of_the_network_port_reset_into_the_loader_and_out_of_it(made: Made) -> None:
    board = made(network_port=0)
    assert board._mac.hex(":") in esptool(board.url, "--no-stub", "read-mac")
    board.wait_text("waiting for download")
    board.wait_boots(2)
    board.wait_repl()


def test_sync_on_a_port_with_lines_is_text_to_a_running_program(made: Made) -> None:
    board = made(network_port=0)
    board.wait_repl()
    with serial.serial_for_url(board.url) as port:
        port.write(SYNC_FRAME)
        board.wait_text("U" * 32)
        port.write(b"\x03")
    assert not board.in_loader and len(board.boots) == 1


def test_download_mode_by_the_buttons_lasts_until_a_reset(made: Made) -> None:
    board = made()
    board.download_mode()
    esptool(board.port, "--before", "no-reset", "read-mac")
    assert board.in_loader and len(board.boots) == 1
    board.reset()
    board.wait_boots(2)
    assert not board.in_loader


@pytest.mark.parametrize(
    ("chip", "way"),
    [
        ("esp32", ("--no-stub", "--after", "no-reset", "run")),
        ("esp32c6", ("--no-stub", "--after", "soft-reset", "read-mac")),
        ("esp32c3", ("--after", "watchdog-reset", "read-mac")),
        ("esp32s2", ("--after", "watchdog-reset", "read-mac")),
        ("esp32s3", ("--after", "watchdog-reset", "read-mac")),
    ],
)
def test_loader_is_left_without_lines(made: Made, chip: str, way: tuple[str, ...]) -> None:
    board = made(chip)
    board.download_mode()
    esptool(board.port, "--before", "no-reset", *way)
    board.wait_boots(2)
    assert not board.in_loader


def test_board_without_power_does_not_answer(made: Made) -> None:
    board = made()
    board.power_off()
    assert "Failed to connect" in esptool(board.port, "--connect-attempts", "1", "chip-id", fails=True)


def test_power_lost_in_the_middle_of_a_write_leaves_the_board_off(made: Made, tmp_path: Path) -> None:
    board = made()
    (tmp_path / "app").write_bytes(bytes(range(256)) * 400)

    def cut(operation: Operation, data: bytes | None) -> None:
        if operation.kind == "program":
            raise PowerLost

    board.flash.before = cut
    esptool(board.port, "write-flash", hex(OTA_1), tmp_path / "app", fails=True)
    board.flash.before = None
    assert not board.in_loader and board.slot is None
    assert board.flash.read(OTA_1, 0x1000) == b"\xff" * 0x1000
    board.power_on()
    board.wait_repl()


def test_esptool_as_a_library(made: Made) -> None:
    from esptool import cmds

    board = made("esp32c3")
    with cmds.detect_chip(str(board.port)) as found:
        chip = cmds.run_stub(found)
        cmds.attach_flash(chip)
        assert chip.CHIP_NAME == "ESP32-C3"
        assert cmds.read_flash(chip, 0x8000, 0xC00) == board.flash.read(0x8000, 0xC00)
    board.wait_boots(2)
