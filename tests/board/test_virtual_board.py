"""`otactl virtual-board` as a person starts and ends it: what is theirs stays, and it always ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from otactl.board.link import Link
from rig import image
from vboard.board import Board
from vboard.flash.table import LAYOUTS, TABLE_OFFSET
from vboard.refused import Refused

HOST = Path(__file__).resolve().parents[2] / "host"
ENDS_S = 10


@contextmanager
def started(*words: object) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "otactl", "virtual-board", *map(str, words)],
        env={**os.environ, "PYTHONPATH": str(HOST), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def running(process: subprocess.Popen[str]) -> str:
    """The port that it prints once the board has power."""
    assert process.stdout is not None and process.stderr is not None
    return process.stdout.readline().strip() or process.stderr.read()


def refused(*words: object) -> str:
    """The one line on stderr; the exit code is 2."""
    with started(*words) as process:
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (2, ""), err
    assert err.startswith("otactl: ") and err.count("\n") == 1
    return err


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """made(program): the folder of a board, switched off, that has it as main.py."""

    def make(program: str) -> Path:
        folder = tmp_path_factory.mktemp("board")
        with Board(folder) as board:
            board.power_on()
            board.wait_repl()
            with Link(str(board.port)) as link:
                link.put("/main.py", program.encode())
            board.power_off()
        return folder

    return make


@pytest.fixture(scope="module")
def chatty(made: Callable[[str], Path]) -> Path:
    return made("while True:\n    print('x' * 80)\n")


@pytest.mark.parametrize("reader", ["none", "one that never reads"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_board_that_prints_for_ever_ends_when_it_is_told_to(
    chatty: Path, tmp_path: Path, number: signal.Signals, reader: str
) -> None:
    port = tmp_path / "port"
    with started("--folder", chatty, "--port", port) as process:
        assert running(process) == str(port)
        handle = os.open(port, os.O_RDWR | os.O_NOCTTY) if reader != "none" else None
        time.sleep(2)
        begin = time.monotonic()
        process.send_signal(number)
        process.communicate(timeout=ENDS_S)
        assert time.monotonic() - begin < ENDS_S / 2
        if handle is not None:
            os.close(handle)
    assert process.returncode in (0, 128 + number)
    assert not port.is_symlink() and not (chatty / "port").is_symlink()
    with Board(chatty):
        pass  # and the folder is free


def test_output_that_never_ends_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = iter(range(20_000))
    with Board(tmp_path) as board:
        board.power_on()
        board.wait_repl()
        # a program that is always faster than the board: there is none on a machine of any speed
        monkeypatch.setattr(board._process, "read", lambda: b"x" * 64 if next(reads, None) is not None else b"")
        board.power_off()
    assert next(reads, None) is not None


def test_a_reader_that_comes_late_still_reads_what_is_printed(chatty: Path, tmp_path: Path) -> None:
    with started("--folder", chatty, "--port", tmp_path / "port") as process:
        handle = os.open(running(process), os.O_RDWR | os.O_NOCTTY)
        time.sleep(2)  # it reads nothing, longer than the board waits for it
        end = time.monotonic() + 10
        got = b""
        while len(got) < 1 << 20 and time.monotonic() < end:
            got += os.read(handle, 1 << 16)
        os.close(handle)
    assert len(got) >= 1 << 20


def test_a_file_of_somebodys_is_not_taken_for_the_port(tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("mine")
    link = tmp_path / "link"
    link.symlink_to(notes)
    for path in (notes, link, tmp_path):
        said = refused("--port", path)
        assert f"{path} exists and is no port of a virtual board" in said
    assert (notes.read_text(), link.readlink()) == ("mine", notes)


def test_the_port_file_of_the_folder_is_somebodys_too(tmp_path: Path) -> None:
    (tmp_path / "port").write_text("mine")
    assert "is no port of a virtual board" in refused("--folder", tmp_path)
    assert (tmp_path / "port").read_text() == "mine"


def test_a_port_that_another_board_left_is_taken_over(tmp_path: Path) -> None:
    port, terminal = tmp_path / "port", "/dev/pts/99999"
    port.symlink_to(terminal)
    with started("--port", port) as process:
        assert running(process) == str(port)
        assert os.readlink(port) != terminal
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=ENDS_S)
    assert not port.is_symlink()


def test_a_port_that_another_board_has_taken_since_stays(tmp_path: Path) -> None:
    port = tmp_path / "port"
    with started("--port", port) as first:
        running(first)
        with started("--port", port) as second:
            running(second)
            first.send_signal(signal.SIGINT)
            first.communicate(timeout=ENDS_S)
            assert port.exists()


def test_two_boards_in_one_folder_are_refused(tmp_path: Path) -> None:
    with started("--folder", tmp_path) as first:
        running(first)
        assert f"{tmp_path}: another virtual board runs in it" in refused("--folder", tmp_path)
        with pytest.raises(Refused, match="another virtual board"):
            Board(tmp_path)
        first.kill()  # no clean-up: the system lets go of the lock
        first.wait()
        with started("--folder", tmp_path) as next_one:
            assert running(next_one) == str(tmp_path / "port")


def test_a_board_that_could_not_be_made_holds_no_lock(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown layout"):
        Board(tmp_path, layout="none")
    with Board(tmp_path):
        pass


@pytest.fixture(scope="module")
def c3(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folder of an ESP32-C3 that was made with a firmware, and that file."""
    place = tmp_path_factory.mktemp("c3")
    file = place / "app.bin"
    file.write_bytes(image(3, "esp32c3"))
    with started("--folder", place / "board", "--app", file) as process:
        assert running(process) == str(place / "board" / "port")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=ENDS_S)
    return place / "board", file


def test_the_chip_is_that_of_the_app(c3: tuple[Path, Path]) -> None:
    console = (c3[0] / "console.log").read_text()
    assert "RTC_SW" not in console and "mismatch chip" not in console


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--chip", "esp32"], "--chip would"),
        (["--layout", "three"], "--layout would"),
        (["--flash-mib", "16"], "--flash-mib would"),
        (["--app", "OTHER"], "--app would"),
        (["--app", "OTHER", "--layout", "three"], "--layout and --app would"),
    ],
)
def test_a_board_that_is_there_is_not_made_into_another(c3, tmp_path: Path, options: list[str], named: str) -> None:
    folder, _ = c3
    other = tmp_path / "other.bin"
    other.write_bytes(image(4, "esp32c3"))
    before = (folder / "flash.bin").read_bytes()
    said = refused("--folder", folder, *[str(other) if word == "OTHER" else word for word in options])
    assert f"{folder} has a board already (esp32c3, 4 MiB, nvs otadata ota_0 ota_1)" in said
    assert named in said and f"remove {folder / 'flash.bin'} to start afresh" in said
    assert (folder / "flash.bin").read_bytes() == before


@pytest.mark.parametrize("options", [[], ["--chip", "esp32c3"], ["--app", "SAME"], ["--layout", "ota"]])
def test_the_options_that_it_was_made_with_are_fine(c3: tuple[Path, Path], options: list[str]) -> None:
    folder, file = c3
    with started("--folder", folder, *[str(file) if word == "SAME" else word for word in options]) as process:
        assert running(process) == str(folder / "port")


def test_a_board_keeps_what_it_was_made_with_after_an_update(c3: tuple[Path, Path], tmp_path: Path) -> None:
    folder, file = tmp_path / "board", c3[1]
    with Board(folder, chip="esp32c3", app=file.read_bytes()) as board:
        for row in LAYOUTS["ota"].ota_slots:
            board.program(row.offset, image(9, "esp32c3"))
    with started("--folder", folder, "--app", file) as process:
        assert running(process) == str(folder / "port")


@pytest.mark.parametrize(
    ("data", "code", "says"),
    [
        (b"# A project\n\nIt does things.\n", 1, "not ESP32 firmware"),
        (image(1)[:-100], 1, "cut short"),
        (LAYOUTS["ota"].to_bytes(), 1, "a partition table"),
        (image(1, "esp32s3"), 2, "firmware for esp32s3, which no esp32 starts: --chip esp32s3"),
    ],
)
def test_a_file_that_no_such_board_would_start_is_refused(tmp_path: Path, data: bytes, code: int, says: str) -> None:
    file = tmp_path / "file"
    file.write_bytes(data)
    folder = tmp_path / "board"
    with started("--folder", folder, "--chip", "esp32", "--app", file) as process:
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (code, "")
    assert f"otactl: {file}: " in err and says in err and err.count("\n") == 1
    assert not folder.exists()


def test_of_a_full_flash_file_the_board_gets_the_app(firmware: Path, tmp_path: Path) -> None:
    file = firmware / "ESP32_GENERIC_C3-20241129-v1.24.1.bin"
    with started("--folder", tmp_path / "board", "--app", file) as process:
        assert running(process) == str(tmp_path / "board" / "port")
        end = time.monotonic() + 20
        while b">>>" not in (tmp_path / "board" / "console.log").read_bytes() and time.monotonic() < end:
            time.sleep(0.05)
    console = (tmp_path / "board" / "console.log").read_text()
    assert ">>>" in console and "ESP32C3" in console
    flash = (tmp_path / "board" / "flash.bin").read_bytes()
    assert flash[0x10000] == 0xE9 and flash[TABLE_OFFSET : TABLE_OFFSET + 2] == b"\xaa\x50"
