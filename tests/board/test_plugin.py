"""The pytest plugin in projects of somebody's: a pytest of their own each, against a virtual board, judged from outside."""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pluginbench
import pytest
from otactl.board import lock
from otactl_pytest import ladder
from pluginbench import PROGRAM, ended, on_socket, run, start, with_program
from vboard.board import Board

TEN_LINES = """
from pathlib import Path

def test_my_module(board):
    board.put("/blink.py", "def twice(n): return 2 * n")
    assert board.eval("__import__('blink').twice(21)") == 42

def test_my_program_starts(board):
    board.reset()
    board.console.wait("app: runs")
"""


@pytest.fixture(scope="module")
def vboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """One for all the tests after which it must be as it was before."""
    with Board(tmp_path_factory.mktemp("vboard") / "board", network_port=0) as made:
        yield with_program(made)


def test_ten_lines_pass_and_the_board_is_left_as_it_was_found(tmp_path: Path, vboard: Board) -> None:
    tests = TEN_LINES + '\ndef test_last(board): board.exec(\'print("in", "test")\')\n'
    with on_socket(vboard) as url:
        ran = run(tmp_path / "project", tests, f"--board={url}")
    assert (ran.code, ran.count) == (0, {"PASSED": 3}), ran.said
    vboard.wait_text(
        "app: runs", 20, since=vboard.text.rindex("in test")
    )  # the board's own program, after the last test
    assert pluginbench.files(vboard) == ["boot.py", "main.py"]


A_CHIP = """
from otactl.errors import RigError

def test_puts(board_leased):
    board_leased.put("/mine", "5")

def test_finds(board_leased):
    assert board_leased.get("/mine") == b"5"

def test_ends(board_leased):
    raise RigError("the relay is hot")

def test_power(board):
    assert board.feature("wifi") == ""
    board.reset("power")
    board.expect_reboot("power")
"""


def test_a_virtual_board_has_a_chip_and_a_switch_and_keeps_what_a_suite_put_that_leases_it(tmp_path: Path) -> None:
    ran = run(tmp_path / "project", A_CHIP, "--board", "virtual:esp32c3", "--board-chip", "ESP32-C3")
    passed = dict.fromkeys(("test_puts", "test_finds", "test_power"), "PASSED")
    assert ran.outcomes == passed | {"test_ends": "RIG FAULT"}, ran.said
    assert ran.code == 3


FROM_ELSEWHERE = """
import shutil
import pytest
from otactl.errors import RigError

class Switch:
    def cycle(self): open("cycled", "w")

@pytest.fixture(scope="session")
def board_device(): return "DEVICE"

@pytest.fixture(scope="session")
def board_power(): return Switch()

def test_power(board, board_device):
    assert board.eval("6 * 7") == 42
    assert board.device == board_device
    board.reset("power")

def test_fails(board):
    assert board.exec("print(6 * 7)") == "41"

def test_rig(board): raise RigError("the relay is hot")

def test_log_cannot_be_written(board):
    board.put("/main.py", "print('mine')")
    shutil.rmtree(board.log_dir)

class TestTheirs:
    @pytest.fixture
    def board(self): return 5

    def test_theirs(self, board): raise RigError("theirs")
"""


def test_a_board_from_elsewhere_with_its_switch_and_all_that_can_go_wrong(tmp_path: Path, vboard: Board) -> None:
    tests = FROM_ELSEWHERE.replace("DEVICE", str(vboard.port))
    ran = run(tmp_path / "project", tests, "--board-log=logs")
    assert ran.code == 1, ran.said
    assert (tmp_path / "project" / "cycled").exists()
    assert ran.outcomes == {
        "test_power": "PASSED",
        "test_fails": "FAILED",
        "test_rig": "RIG FAULT",
        "test_log_cannot_be_written": "ERROR",
        "test_theirs": "FAILED",  # a RigError of a test without our board is its own affair
    }, ran.said
    assert " --- exec print(6 * 7)" in ran.said
    assert "python -m pytest test_app.py::test_fails\n" in ran.said
    with pluginbench.Link(str(vboard.port)) as link:
        assert "app: runs" in link.run("print(open('/main.py').read())"), (
            "not put back, as the log could not be written"
        )


UNPLUGGED = """
from pathlib import Path

def test_before(board):
    board.exec("1")

def test_meanwhile(board):
    Path("now").touch()
    board.exec("import time; time.sleep(30)", timeout=60)

def test_after(board):
    board.exec("1")

def test_without_a_board():
    pass

def test_after_that(board):
    board.exec("1")
"""


def wait_for(path: Path) -> None:
    until = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < until, f"{path} did not come"
        time.sleep(0.05)


def test_a_port_that_goes_away_is_one_rig_fault_and_skips_the_rest(tmp_path: Path) -> None:
    project = tmp_path / "project"
    with Board(tmp_path / "board", network_port=0) as made:
        with_program(made)
        running = start(project, UNPLUGGED, f"--board={made.url}", "--board-slow", "0.3")
        wait_for(project / "now")
    ran = ended(running)
    assert ran.outcomes == {
        "test_before": "PASSED",
        "test_meanwhile": "RIG FAULT",
        "test_after": "SKIPPED",
        "test_without_a_board": "PASSED",
        "test_after_that": "SKIPPED",
    }, ran.said
    assert ran.code == 3
    assert "1 rig fault" in ran.said
    assert "rig faults: no verdict on what was tested" in ran.said
    assert "does not come back (Ctrl-C: " in ran.said


def test_a_port_that_comes_back_is_one_rig_fault_and_the_rest_runs(tmp_path: Path) -> None:
    project = tmp_path / "project"
    with Board(tmp_path / "board") as made:
        with_program(made)
        running = start(project, UNPLUGGED, f"--board={made.port}")
        wait_for(project / "now")
    with Board(tmp_path / "board") as made:
        made.power_on()
        ran = ended(running)
    assert ran.count == {"PASSED": 4, "RIG FAULT": 1}, ran.said
    assert ran.code == 3


WATCHED = """
import time
from pathlib import Path

def test_it(board):
    board.run_program()
    board.console.wait("app: runs")
    Path("now").touch()
    while "--- the port is back" not in str(board.console):
        time.sleep(0.05)
    board.console.mark()
    board.console.wait("app: runs", timeout=60)
    assert board.eval("6 * 7") == 42
"""


def test_a_console_that_is_only_watched_comes_back_with_its_port(tmp_path: Path) -> None:
    with Board(tmp_path / "board") as made:
        with_program(made, "import time\nwhile True:\n    print('app: runs')\n    time.sleep(0.2)\n")
        running = start(tmp_path / "project", WATCHED, f"--board={made.port}")
        wait_for(tmp_path / "project" / "now")
    with Board(tmp_path / "board") as made:
        made.power_on()
        ran = ended(running)
    assert ran.code == 0, ran.said


CTRL_C = """
from pathlib import Path

def test_it(board):
    board.put("/main.py", "print('mine')")
    Path("now").touch()
    board.put("/big", bytes(400_000))

def test_after(board): pass
"""


def test_ctrl_c_in_the_middle_of_a_file_leaves_the_board_as_it_was_found(tmp_path: Path, vboard: Board) -> None:
    running = start(tmp_path / "project", CTRL_C, f"--board={vboard.port}")
    wait_for(tmp_path / "project" / "now")
    time.sleep(0.3)  # into the transfer, which takes seconds
    running.send_signal(signal.SIGINT)
    ran = ended(running)
    assert (ran.code, ran.outcomes) == (pytest.ExitCode.INTERRUPTED, {}), ran.said
    assert pluginbench.files(vboard) == ["boot.py", "main.py"]
    seen = len(vboard.text)
    vboard.reset()
    vboard.wait_text("app: runs", 20, since=seen)


WRONG = "def test_a(board): open('touched', 'w')\ndef test_b(board): open('touched', 'w')\ndef test_c(): pass\n"


def test_a_wrong_target_ends_the_session_before_any_test(tmp_path: Path, vboard: Board) -> None:
    words = ["--board-chip", "esp32c3", "--board-micropython", "1.27.*"]
    ran = run(tmp_path / "project", WRONG, f"--board={vboard.port}", *words)
    assert (ran.code, ran.outcomes) == (3, {"test_a": "RIG FAULT"}), ran.said
    why = "is an esp32, not an esp32c3; runs MicroPython 1.26.1, not 1.27.*"
    assert f"wrong target: {vboard.port} {why}" in ran.said
    assert not (tmp_path / "project" / "touched").exists()


def test_no_board_at_the_port_is_one_rig_fault(tmp_path: Path) -> None:
    ran = run(tmp_path / "project", WRONG, "--board", tmp_path / "ttyUSB9", "--board-slow", "0.3")
    assert (ran.code, ran.outcomes) == (3, {"test_a": "RIG FAULT", "test_b": "SKIPPED", "test_c": "PASSED"}), ran.said
    assert "there is no such port; is the board plugged in?" in ran.said


def test_a_board_that_another_session_holds_is_one_rig_fault(tmp_path: Path, vboard: Board) -> None:
    held = lock.take(str(vboard.port))  # a lease would be lent to what this session starts
    ran = run(tmp_path / "project", WRONG, f"--board={vboard.port}", "--board-wait", "0.5")
    held.release()
    assert ran.code == 3, ran.said
    assert "1 passed, 1 skipped, 1 rig fault" in ran.said
    by = f"{vboard.port} is held by process {os.getpid()} in {Path.cwd()}"
    assert f"\nwaiting 0.5 s at most for a board: {by}\n" in ran.said
    assert f"::test_a: no board is free after 0.5 s: {by}\n" in ran.said


DEAF = """
import os
if "deaf" in os.listdir():  # once
    os.remove("deaf")
    import micropython
    micropython.kbd_intr(-1)
    print("deaf")
    import time
    while True: time.sleep(1)
"""
ONE_TEST = "def test_it(board): assert board.eval('6 * 7') == 42\n"


LEFT_DEAF = """
def test_left_deaf(board):
    board.start("import micropython\\nmicropython.kbd_intr(-1)\\nprint('deaf')\\nimport time\\nwhile True: time.sleep(1)")
    board.console.wait("deaf")
"""


def deafened(board: Board, *, for_ever: bool = False) -> None:
    """Its program hears no Ctrl-C, until it is reset."""
    program = DEAF.replace('    os.remove("deaf")\n', "") if for_ever else DEAF
    with pluginbench.Link(str(board.port)) as link:
        link.put("/main.py", (program + PROGRAM).encode())
        link.put("/deaf", b"")
    board.wait_text("deaf", 20)


def test_a_board_that_hears_no_ctrl_c_is_reset_by_its_modem_lines_also_after_the_last_test(
    tmp_path: Path, vboard: Board
) -> None:
    deafened(vboard)
    boots, seen = len(vboard.boots), len(vboard.text)
    words = [f"--board={vboard.url}", "--board-slow=0.08", "--board-log=logs"]
    ran = run(tmp_path / "project", ONE_TEST + LEFT_DEAF, *words)
    assert ran.code == 0, ran.said
    assert len(vboard.boots) == boots + 2
    vboard.wait_text("app: runs", 20, since=seen)
    console = next((tmp_path / "project" / "logs").rglob("console.log")).read_text()
    assert " --- ladder: soft reset: the board at rfc2217" in console
    assert " --- ladder: reset by DTR and RTS: the board is back" in console


def test_a_board_that_nothing_else_brings_back_is_power_cycled_then_reflashed(tmp_path: Path) -> None:
    sound, switch = tmp_path / "sound.bin", tmp_path / "switch"
    switch.write_text(f"#!/bin/sh\necho $1 >> {tmp_path}/switched\n")  # its contacts are welded
    switch.chmod(0o755)
    with Board(tmp_path / "board") as made:
        with_program(made)
        made.power_off()
        shutil.copy(tmp_path / "board" / "flash.bin", sound)
        made.power_on()
        deafened(made, for_ever=True)
        words = [f"--board={made.port}", "--board-slow=0.06", f"--board-power=external:{switch}"]
        ran = run(tmp_path / "project", ONE_TEST, *words, f"--board-reflash={sound}", "--board-log=logs")
        assert ran.code == 0, ran.said
        assert (tmp_path / "switched").read_text() == "off\non\n"
        assert pluginbench.files(made) == ["boot.py", "main.py"]
    console = next((tmp_path / "project" / "logs").rglob("console.log")).read_text()
    rungs = [line.partition("--- ladder: ")[2] for line in console.splitlines() if "--- ladder: " in line]
    assert [rung.partition(":")[0] for rung in rungs] == [rung.name for rung in ladder.RUNGS]
    assert rungs[-1] == "reflash: the board is back"


POOLED = """
import os, pytest, time
from pathlib import Path
from otactl.errors import RigError

@pytest.mark.parametrize("n", range(4))
def test_it(board, n):
    me = os.environ["PYTEST_XDIST_WORKER"]
    time.sleep(0.5)
    board.put("/who", me)
    Path(f"told-{n}").write_text(me + " " + board.device)
    assert board.get("/who").decode() == me

def test_rig(board):
    raise RigError("the relay is hot")
"""


def test_each_worker_of_xdist_leases_a_board_of_the_pool_and_rig_faults_come_together(tmp_path: Path) -> None:
    with Board(tmp_path / "a") as first, Board(tmp_path / "b") as second:
        first.power_on()
        second.power_on()
        ran = run(tmp_path / "project", POOLED, "-n", "2", f"--board={first.port}", f"--board={second.port}")
    told = {path.read_text() for path in (tmp_path / "project").glob("told-*")}
    assert {pair.split()[0] for pair in told} == {"gw0", "gw1"}, ran.said
    assert {pair.split()[1] for pair in told} == {str(first.port), str(second.port)}
    assert len(told) == 2, "a worker changed its board"
    assert (ran.code, ran.outcomes) == (3, {"test_it": "PASSED", "test_rig": "RIG FAULT"}), ran.said
    assert "test_app.py::test_rig: the relay is hot" in ran.said
