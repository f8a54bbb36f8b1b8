"""Two commands at one board: the second leaves it alone and says who has it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import running
import scripted
import serial
from otactl.board import lock, ports
from otactl.board.console import Console
from otactl.board.slots_rom import is_silent
from otactl.errors import RigError
from serial.tools.list_ports_common import ListPortInfo
from vboard.board import Board

TAKE = "import sys\nfrom otactl.board import lock\ntry:\n    hold = lock.take(sys.argv[1])\nexcept lock.InUse as e:\n    sys.exit(str(e))"


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    with Board(tmp_path_factory.mktemp("held")) as made:
        made.power_on()
        made.wait_repl()
        yield made


def other(*words: str) -> subprocess.CompletedProcess[str]:
    """Another process of this user's."""
    return subprocess.run(
        [sys.executable, *words], env=running.environment(), capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("words", [["status"], ["slots"], ["slots", "--esptool"], ["logs"]])
def test_a_command_leaves_a_board_alone_that_another_one_uses(board: Board, tmp_path: Path, words: list[str]) -> None:
    alias = tmp_path / "another-name"
    alias.symlink_to(board.port)
    with Console(str(board.port)):
        seen = len(board.text)
        run = running.otactl(*words, alias)
        said, heard = run.stderr, board.text[seen:]
    assert (run.returncode, heard) == (3, "")
    assert f"it is in use by another otactl (process {os.getpid()} in {Path.cwd()})" in said
    assert "boot button" not in said


def test_boards_says_busy_and_does_not_interrupt(board: Board, tmp_path: Path) -> None:
    (tmp_path / "boards.toml").write_text(f'[[board]]\nname = "desk"\nport = "{board.port}"\n')
    with Console(str(board.port)):
        seen = len(board.text)
        run = running.otactl("boards", cwd=tmp_path)
        assert board.text[seen:] == ""
    assert run.stdout.splitlines()[1].split()[2] == "busy"


def test_a_board_that_a_strangers_program_uses_hears_nothing(board: Board) -> None:
    with serial.Serial(str(board.port), exclusive=True):
        seen = len(board.text)
        assert not is_silent(str(board.port), 0.1)
        assert board.text[seen:] == ""


def test_the_board_stays_ours_while_its_port_is_away(tmp_path: Path) -> None:
    port = tmp_path / "port"
    with scripted.on_terminal(scripted.silent) as device:
        port.symlink_to(device)
        console = Console(str(port))
        port.unlink()
    assert console.line(0.1) is None and console.gone
    assert other("-c", TAKE, str(port)).returncode == 1
    console.close()
    assert other("-c", TAKE, str(port)).returncode == 0


def test_a_bridge_with_a_serial_number_is_found_again_under_another_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there: list[str] = []

    def listed() -> list[ListPortInfo]:
        found = [ListPortInfo(device) for device in there]
        for port in found:
            port.vid, port.serial_number = 0x10C4, "S"
        return found

    monkeypatch.setattr("serial.tools.list_ports.comports", listed)
    with scripted.on_terminal(scripted.silent, chatter=b"hello\n") as another:
        with scripted.on_terminal(scripted.silent) as first:
            there[:] = [first]
            console = Console("id:S")
        there.clear()
        assert console.line(0.1) is None and console.gone
        port = tmp_path / "port"
        port.symlink_to(another)
        there[:] = [str(port)]
        assert console.line(5) == "hello"
        assert console.reopened and not console.gone
        assert other("-c", TAKE, str(port)).returncode == 1
        console.close()


def test_a_process_has_a_board_until_its_last_hold_of_it_is_released() -> None:
    first, second = lock.take("somewhere"), lock.take("somewhere")
    first.release()
    first.release()
    assert "in use by another otactl" in other("-c", TAKE, "somewhere").stderr
    second.release()
    assert other("-c", TAKE, "somewhere").returncode == 0


def test_without_a_place_for_locks_boards_are_used_all_the_same(tmp_path: Path) -> None:
    lock.take("somewhere", tmp_path / "none").release()


def lent() -> set[str]:
    return {file for file in os.environ.get("OTACTL_BOARDS_LENT", "").split(os.pathsep) if file}


def test_a_session_takes_a_board_once_and_lends_it_to_the_processes_that_it_starts(tmp_path: Path) -> None:
    lent_before = lent()
    with lock.take("somewhere", session=True):
        with pytest.raises(lock.InUse):
            lock.take("somewhere", session=True)
        lock.take("somewhere").release()  # a command of the session's own
        assert other("-c", TAKE, "somewhere").returncode == 0
        strangers = {key: value for key, value in running.environment().items() if key != "OTACTL_BOARDS_LENT"}
        run = subprocess.run([sys.executable, "-c", TAKE, "somewhere"], env=strangers, check=False)
        assert run.returncode == 1
    assert lent() == lent_before


def test_a_board_is_kept_between_the_steps_of_one_command() -> None:
    with ports.held("socket://rig:4000"):
        lock.take("socket://rig:4000").release()  # one step of it
        assert other("-c", TAKE, "socket://rig:4000").returncode == 1
    held = f"import time\n{TAKE}\nprint('taken', flush=True)\ntime.sleep(60)"
    with subprocess.Popen(
        [sys.executable, "-c", held, "socket://rig:4000"], env=running.environment(), stdout=subprocess.PIPE
    ) as process:
        assert process.stdout and process.stdout.readline() == b"taken\n"
        said = rf"cannot open socket://rig:4000: it is in use .*process {process.pid} in"
        with pytest.raises(RigError, match=said), ports.held("socket://rig:4000"):
            pass
        process.kill()


def test_a_pseudo_terminals_number_is_nobodys_for_the_next_board_may_get_it() -> None:
    held = "import sys\nfrom otactl.board import lock\nhold = lock.take('/dev/pts/4711')\nprint(flush=True)\nsys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", held], env=running.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout and process.stdout.readline() == b"\n"
        lock.take("/dev/pts/4711").release()
        process.kill()
