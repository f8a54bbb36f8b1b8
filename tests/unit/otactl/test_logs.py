"""`otactl logs`: the console with times, through resets and unplugging, for a night."""

import errno
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import scripted
from otactl.board import console as consoles
from otactl.board import logs
from otactl.board.console import Console
from otactl.board.link import Link
from otactl.board.logs import Journal, LogFile
from vboard.board import Board
from vboard.flash.images import build_app, with_behaviour

TICKS = b"import time\nn = 0\nwhile True:\n    n += 1\n    print('tick', n)\n    time.sleep(0.1)\n"


class Stopped(Exception):
    pass


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    with Board(tmp_path / "board") as board:
        board.power_on()
        board.wait_repl()
        yield board


def watched(device: str, act: Callable[[Callable[[str], None]], None], *outs: logs.Out) -> list[str]:
    """What a log of `device` shows while act(wait_for) goes on."""
    shown: list[str] = []
    over = threading.Event()

    def out(line: str) -> None:
        shown.append(line)
        if over.is_set():
            raise Stopped

    def follow() -> None:
        with Console(device) as console, pytest.raises(Stopped):
            logs.watch(console, Journal(out, *outs))

    def wait_for(pattern: str, since: int = 0) -> None:
        until = time.monotonic() + 20
        while not any(re.search(pattern, line) for line in shown[since:]):
            assert time.monotonic() < until, (pattern, shown[-10:])
            time.sleep(0.02)

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        act(wait_for)
    finally:
        over.set()
        thread.join(10)
    return shown


def test_lines_have_times_and_the_program_is_not_interrupted(board: Board) -> None:
    with Link(str(board.port)) as link:
        link.put("/main.py", TICKS)
    board.wait_text("tick 3", 10)
    shown = watched(str(board.port), lambda wait_for: wait_for("tick 30"))
    assert all(re.match(r"\d\d:\d\d:\d\d ", line) for line in shown)
    counts = [int(found[1]) for line in shown if (found := re.search(r"tick (\d+)$", line))]
    assert counts == list(range(counts[0], counts[0] + len(counts)))
    assert "KeyboardInterrupt" not in board.text


def test_a_reset_and_an_unplugged_port_are_passed_over(board: Board, tmp_path: Path) -> None:
    with Link(str(board.port)) as link:
        link.put("/main.py", TICKS)
    port = tmp_path / "port"
    port.symlink_to(board.port.resolve())
    with Board(tmp_path / "other") as other:

        def act(wait_for: Callable[..., None]) -> None:
            wait_for("tick 5")
            board.reset()
            wait_for("rst:")
            wait_for("tick 2")
            port.unlink()
            board.close()
            board.close = lambda: None  # the fixture would close it again
            wait_for("--- the port is gone")
            port.symlink_to(other.port.resolve())
            wait_for("--- the port is back")
            other.power_on()
            wait_for("MicroPython")

        watched(str(port), act)


def test_a_panic_is_explained(board: Board) -> None:
    board.power_off()
    row = board.table.ota_slots[0]
    board.program(row.offset, with_behaviour(build_app("esp32", size=20_000, seed=1), panic=True))

    def act(wait_for: Callable[..., None]) -> None:
        board.power_on()
        wait_for(r"^\d\d:\d\d:\d\d \^ crash on core 0, LoadProhibited: it read where no memory is")

    watched(str(board.port), act)


def test_a_line_without_end_takes_no_memory() -> None:
    with scripted.on_terminal(scripted.silent, chatter=b"x" * 64) as device, Console(device) as console:
        lines = [console.line(1.0) for _ in range(20)]
        assert {len(line or "") for line in lines} == {consoles._LONGEST}
        assert len(console._received) < 3 * consoles._LONGEST


def test_each_line_is_in_the_file_before_the_next(tmp_path: Path) -> None:
    with LogFile(tmp_path / "log") as file:
        journal = Journal(file)
        journal("one \x1b[31m")
        assert re.fullmatch(r"\d\d:\d\d:\d\d one \?\[31m\n", (tmp_path / "log").read_text())


def test_a_new_day_has_a_line_of_its_own() -> None:
    shown: list[str] = []
    journal = Journal(shown.append)
    journal._day = journal._day.replace(year=2020)
    journal("word")
    assert re.match(r"--- \d{4}-\d\d-\d\d$", shown[0]) and shown[1].endswith(" word")


@pytest.mark.parametrize(
    ("device", "name"),
    [("/dev/ttyUSB0", "ttyUSB0"), ("socket://10.0.0.1:99", "socket-10.0.0.1-99"), ("../../x", "x"), ("..", "board")],
)
def test_logs_of_updates_lie_in_the_workspace_the_newest_twenty_of_each_board(
    tmp_path: Path, device: str, name: str
) -> None:
    folder = tmp_path / ".otactl" / "logs"
    folder.mkdir(parents=True)
    others = {f"{name}-2-20260101-000001.log", "mine.log", f"{name}.log"}
    for other in others:
        (folder / other).write_text("")
    for n in range(25):
        old = folder / f"{name}-20260101-0000{n:02}.log"
        old.write_text("")
        os.utime(old, (n, n))
    path = logs.of_update(tmp_path, device)
    path.write_text("")
    assert path.parent == folder and re.fullmatch(re.escape(name) + r"-\d{8}-\d{6}\.log", path.name)
    kept = {p.name for p in folder.iterdir()}
    assert others < kept and len(kept - others) == 20
    assert f"{name}-20260101-000024.log" in kept and f"{name}-20260101-000005.log" not in kept


class Full:
    """What a file is on a disk that takes no more after so many lines."""

    def __init__(self, lines: int) -> None:
        self._left = lines

    def write(self, data: bytes) -> int:
        if not self._left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._left -= 1
        return len(data)

    def close(self) -> None:
        pass


def test_a_disk_that_takes_no_more_ends_a_log_and_no_update(tmp_path: Path) -> None:
    told: list[str] = []
    with logs.Aside(tmp_path / "log", told.append) as log:
        assert log._file
        log._file._file = Full(1)  # type: ignore[assignment]
        for line in ("one", "two", "three"):
            log(line)
    assert told == [f"warning: {tmp_path / 'log'}: No space left on device; what the board says is not kept"]


def test_a_folder_that_takes_no_log_is_told_of_and_no_more(tmp_path: Path) -> None:
    (tmp_path / ".otactl").write_text("")  # a file, where the folder is to be
    told: list[str] = []
    with logs.Aside(logs.of_update(tmp_path, "desk"), told.append) as log:
        log("one")
    assert len(told) == 1
    assert "Not a directory; what the board says is not kept" in told[0]


def test_a_log_that_was_asked_for_names_its_file_where_the_disk_is_full(tmp_path: Path) -> None:
    with LogFile(tmp_path / "log") as log, pytest.raises(OSError, match=re.escape(str(tmp_path / "log"))):
        log._file = Full(0)  # type: ignore[assignment]
        log("one")
