"""From a blank module to a prompt with nothing but esptool, as a person does it with a board out of its bag."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rig import ask
from vboard.board import Board
from vboard.chip.kept import HARD, WDT
from vboard.chips import CHIPS
from vboard.flash import bootimage, images
from vboard.flash.table import LAYOUTS, TABLE_OFFSET

LIMIT_S = 60
MIB = 1 << 20
BLANK = "invalid header: 0xffffffff"
STOCK = "ESP32_GENERIC-20250911-v1.26.1.bin"


def esptool(board: Board, *words: Any) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "esptool", "--port", str(board.port), *map(str, words)],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def blank(folder: Path, chip: str = "esp32", flash_mib: int = 4) -> Iterator[Board]:
    """A blank board under power, which finds nothing to start."""
    with Board(folder, chip=chip, blank=True, flash_mib=flash_mib) as board:
        board.power_on()
        board.wait_boots(2)
        yield board


def files(folder: Path, chip: str, layout: str, mib: int) -> tuple[Any, ...]:
    """Words for write-flash: bootloader whose header says `mib`, table and app, each at its place."""
    contents = {
        CHIPS[chip].bootloader_offset: bootimage.build(chip, mib * MIB),
        TABLE_OFFSET: LAYOUTS[layout].to_bytes(),
        LAYOUTS[layout].ota_slots[0].offset: images.build_app(chip),
    }
    words: list[Any] = []
    for offset, data in contents.items():
        path = folder / f"{offset:x}.bin"
        path.write_bytes(data)
        words += [hex(offset), path]
    return tuple(words)


@pytest.mark.parametrize("chip", ["esp32", "esp32c6"])
def test_a_blank_board_gets_all_it_needs_by_esptool(tmp_path: Path, chip: str) -> None:
    with blank(tmp_path / "board", chip) as board:
        assert [(boot.cause == WDT, boot.slot) for boot in board.boots[1:2]] == [(True, None)]
        assert BLANK in board.text
        esptool(board, "write-flash", *files(tmp_path, chip, "ota", 4))
        board.wait_repl()
        assert board.slot == "ota_0"
        seen = len(board.text)
        esptool(board, "erase-flash")
        board.wait_text(BLANK, since=seen)


def test_the_flash_size_in_the_header_is_mended_by_esptool(tmp_path: Path) -> None:
    with blank(tmp_path / "board", flash_mib=8) as board:
        words = files(tmp_path, "esp32", "three", 4)
        esptool(board, "write-flash", *words)  # --flash-size keep
        board.wait_text("exceeds flash chip size 0x400000")
        board.wait_text("rst:0x3 (SW_RESET)")
        assert {boot.slot for boot in board.boots} == {None}

        said = esptool(board, "write-flash", "--flash-size", "detect", *words[:2])
        assert "Flash parameters set to 0x0230" in said and "SHA digest in image updated" in said
        board.wait_repl()
        assert board.slot == "ota_0"


def test_a_header_that_promises_too_much_panics_until_it_is_mended(tmp_path: Path) -> None:
    with blank(tmp_path / "board") as board:
        words = files(tmp_path, "esp32", "ota", 8)
        esptool(board, "write-flash", *words)
        board.wait_text("Detected size(4096k) smaller than the size in the binary image header(8192k). Probe failed.")
        board.wait_text("Guru Meditation Error")
        board.wait(lambda: board.boots[-1].cause == HARD, 20, "the reset after the panic")
        esptool(board, "write-flash", "--flash-size", "4MB", *words[:2])
        board.wait_repl()


def test_stock_firmware_on_a_blank_board(firmware: Path, tmp_path: Path) -> None:
    with blank(tmp_path / "board", flash_mib=8) as board:
        esptool(board, "write-flash", "0x1000", firmware / STOCK)
        board.wait_repl()
        assert board.slot == "factory"
        said = ask(
            board,
            "import sys, esp\nfrom esp32 import Partition\n"
            "print(sys.version, esp.flash_size(), Partition('vfs').info()[2:4])",
        )
        assert "MicroPython v1.26.1 on 2025-09-11" in said
        assert f"{8 * MIB} (2097152, {6 * MIB})" in said  # the header says 4 MiB; since 1.26 nobody asks it


def test_before_1_26_micropython_believes_the_header(tmp_path: Path) -> None:
    with Board(tmp_path, layout=LAYOUTS["ota"], flash_mib=8, micropython="1.25.0") as board:
        board.program(0x1000, bootimage.build("esp32", 4 * MIB))
        board.power_on()
        board.wait_repl()
        assert ask(board, "import esp\nprint(esp.flash_size())").strip() == str(4 * MIB)


@pytest.mark.parametrize(("micropython", "files"), [("1.25.0", False), ("1.26.0", True)])
def test_only_since_1_26_a_table_without_a_row_for_files_has_files(
    tmp_path: Path, micropython: str, files: bool
) -> None:
    with Board(tmp_path, layout=LAYOUTS["ota"], micropython=micropython) as board:
        board.power_on()
        board.wait_repl()
        said = ask(board, "import esp32, os\nprint(os.listdir('/'), len(esp32.Partition.find(1, label='vfs')))")
        assert said.strip() == ("['boot.py'] 1" if files else "[] 0")


# --- otactl virtual-board -------------------------------------------------------------------------------------------


def virtual_board(*words: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "otactl", "virtual-board", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def console_of(process: subprocess.Popen[str], folder: Path, until: str) -> str:
    """What a board printed, up to some words; it is ended then, as by Ctrl-C."""
    log, end = folder / "console.log", time.monotonic() + LIMIT_S
    while not (log.exists() and until in log.read_text()) and time.monotonic() < end and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, err
    return log.read_text()


def test_blank_from_the_command_line(tmp_path: Path) -> None:
    words = ("--folder", tmp_path / "board", "--blank", "--chip", "esp32s3", "--flash-mib", 16)
    console = console_of(virtual_board(*words), tmp_path / "board", BLANK)
    assert "rst:0x1 (POWERON)" in console and BLANK in console
    assert (tmp_path / "board" / "flash.bin").stat().st_size == 16 * MIB


def test_a_full_flash_file_from_the_command_line(firmware: Path, tmp_path: Path) -> None:
    file, folder = firmware / "ESP32_GENERIC_S3-20250809-v1.26.0.bin", tmp_path / "board"
    console = console_of(virtual_board("--folder", folder, "--full-flash", file), folder, ">>>")
    assert "MicroPython v1.26.0 on 2025-08-09; Generic ESP32S3" in console
    assert (folder / "flash.bin").read_bytes()[: file.stat().st_size] == file.read_bytes()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--blank", "--app", "APP"), "give one of them"),
        (("--full-flash", "APP", "--blank"), "give one of them"),
        (("--blank", "--layout", "three"), "leave it out"),
        (("--full-flash", "APP"), "no full-flash file for esp32, bootloader first: give an app image as --app"),
    ],
)
def test_what_makes_no_board_is_refused(tmp_path: Path, options: tuple[str, ...], says: str) -> None:
    app = tmp_path / "app.bin"
    app.write_bytes(images.build_app("esp32"))
    folder = tmp_path / "board"
    process = virtual_board("--folder", folder, *[app if word == "APP" else word for word in options])
    out, err = process.communicate(timeout=LIMIT_S)
    assert (process.returncode, out) == (2, "")
    assert says in err and err.count("\n") == 1
    assert not folder.exists()
