"""When a timer's callback comes on the virtual board, and what it may do there, as on a chip (ports/esp32/machine_timer.c)."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from rig import ask
from vboard.board import Board


@pytest.fixture(params=["1.26.1", "1.29.0"])  # timer 0 is hardware; from 1.29 on -1 is a virtual one
def board(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Board]:
    with Board(tmp_path / "board", micropython=request.param) as made:
        made.power_on()
        made.wait_repl()
        yield made


PROGRAM = """
import machine, micropython, sys
came = 0
def tick(_):
    global came
    came += 1
    {callback}
timers = [machine.Timer(n) for n in ((0, -1, -1) if sys.implementation.version >= (1, 29) else (0, 2))]
for timer in timers:
    timer.init(period={period}, mode=machine.Timer.PERIODIC, callback=tick)
{while_it_runs}
for timer in timers:
    timer.deinit()
print("came", came > 20)
"""
LOCKED = """
micropython.heap_lock()
while came < 50:
    pass
micropython.heap_unlock()
"""
FILES = """
data = bytes(3000)
while came < 50:
    with open("/file", "wb") as f:
        f.write(data)
    with open("/file", "rb") as f:
        f.read()
"""


@pytest.mark.parametrize(("period", "while_it_runs"), [(20, LOCKED), (10, FILES)], ids=["locked heap", "files"])
def test_a_callback_that_needs_no_memory_comes_whatever_goes_on(board: Board, period: int, while_it_runs: str) -> None:
    code = PROGRAM.format(period=period, callback="", while_it_runs=while_it_runs)
    assert ask(board, code).splitlines() == ["came True"]


def test_a_callback_that_needs_memory_fails_where_the_program_has_locked_it(board: Board) -> None:
    code = PROGRAM.format(period=20, callback="bytearray(64)", while_it_runs=LOCKED)
    seen = len(board.text)
    assert ask(board, code).splitlines()[-1] == "came True"
    assert "MemoryError: memory allocation failed, heap is locked" in board.text[seen:]
