"""Stock mpremote on the virtual board's port."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from vboard.board import Board
from vboard.chip.kept import HARD

LIMIT_S = 30


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    with Board(tmp_path / "board") as made:
        made.power_on()
        made.wait_repl()
        yield made


def mpremote(board: Board, *words: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "mpremote", "connect", str(board.port), *map(str, words)],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_exec_and_eval(board: Board) -> None:
    assert mpremote(board, "exec", "print('hello')") == "hello\n"
    assert mpremote(board, "eval", "6 * 7") == "42\n"


def test_run_a_script(board: Board, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("import sys\nprint(sys.platform)\n")
    assert mpremote(board, "run", tmp_path / "script.py") == "esp32\n"


def test_binary_files_come_back_as_they_went(board: Board, tmp_path: Path) -> None:
    data = bytes(range(256)) * 20
    (tmp_path / "there.bin").write_bytes(data)
    mpremote(board, "fs", "cp", tmp_path / "there.bin", ":data.bin")
    mpremote(board, "fs", "cp", ":data.bin", tmp_path / "back.bin")
    assert (tmp_path / "back.bin").read_bytes() == data
    assert "5120 data.bin" in mpremote(board, "fs", "ls")


def test_mounted_folder_is_imported_from_and_written_to(board: Board, tmp_path: Path) -> None:
    folder = tmp_path / "mounted"
    folder.mkdir()
    data = bytes(range(256)) * 8
    (folder / "blob").write_bytes(data)
    (folder / "module.py").write_text("d = open('blob', 'rb').read()\nopen('copy', 'wb').write(d)\nprint(len(d))\n")
    assert "2048" in mpremote(board, "mount", folder, "exec", "import module")
    assert (folder / "copy").read_bytes() == data


def test_soft_reset_and_reset(board: Board) -> None:
    assert "SOFT" in mpremote(
        board, "soft-reset", "exec", "import machine\nif machine.reset_cause() == 5: print('SOFT')"
    )
    boots = len(board.boots)
    mpremote(board, "reset")
    assert board.wait_boots(boots + 1).cause == HARD


LOOPS = {
    "busy loop": "while True: pass",
    "allocating loop": "while True: bytearray(1000)",
    "sleep": "import time\nwhile True: time.sleep(5)",
    "flash writes": "from esp32 import Partition\np = Partition('ota_1')\nwhile True: p.writeblocks(0, bytes(4096))",
    "asyncio": "import asyncio\nasync def f():\n    await asyncio.sleep(1000)\nasyncio.run(f())",
}


@pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS)
def test_ctrl_c_reaches_a_running_program(board: Board, loop: str) -> None:
    mpremote(board, "exec", "--no-follow", "print('begins')\n" + loop)
    board.wait_text("begins", 10)
    assert mpremote(board, "resume", "exec", "print('back')") == "back\n"
    assert mpremote(board, "exec", "from esp32 import Partition\nprint(Partition(1).info()[4])") == "ota_0\n"


def test_port_can_be_left_in_the_middle_of_a_program(board: Board) -> None:
    words = [
        sys.executable,
        "-m",
        "mpremote",
        "connect",
        str(board.port),
        "exec",
        "print('on')\nwhile True: pass",
    ]
    running = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    board.wait_text("on\r\n", 20)
    running.send_signal(signal.SIGKILL)
    running.wait(LIMIT_S)
    assert mpremote(board, "exec", "print(1)") == "1\n"
