"""Time on the virtual board: timers, the watchdog, and flash that takes as long as a chip's."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from bare import next_boot
from otactl.board.link import Link
from rig import ask
from vboard.board import Board
from vboard.chip.kept import HARD, WDT


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    with Board(tmp_path / "board") as made:
        made.power_on()
        made.wait_repl()
        yield made


FED = "from machine import Timer, WDT\nw = WDT(timeout={})\nTimer(0, period=50, callback=lambda t: w.feed())\n"
WRITES = "from esp32 import Partition\nPartition('ota_1').writeblocks(0, bytes(32768))\nprint('written')"


def test_feeder_starves_while_flash_takes_a_chips_time(tmp_path: Path) -> None:
    with Board(tmp_path, real_time=True) as board:  # 8 erases of 45 ms, 128 pages of 0.5
        board.power_on()
        board.wait_repl()
        ask(board, FED.format(2000) + WRITES)
        assert next_boot(board, FED.format(300) + WRITES) == WDT


def test_flash_takes_no_time_unless_asked(board: Board) -> None:
    assert "written" in ask(board, FED.format(300) + WRITES)
    assert len(board.boots) == 1


def test_watchdog_bites_in_a_fraction_of_its_time(tmp_path: Path) -> None:
    with Board(tmp_path, watchdog_factor=20) as board:
        board.power_on()
        board.wait_repl()
        before = time.monotonic()
        assert next_boot(board, "import machine\nmachine.WDT(timeout=20000)\nwhile True: pass") == WDT
        assert 0.9 < time.monotonic() - before < 6


def test_fed_watchdog_does_not_bite(board: Board) -> None:
    ask(
        board,
        "import machine, time\nw = machine.WDT(timeout=400)\nfor _ in range(12):\n    time.sleep(0.1)\n    w.feed()",
    )
    assert len(board.boots) == 1


def test_timer_that_fires_at_the_end_of_a_soft_reset_breaks_nothing(board: Board) -> None:
    for _ in range(12):
        with Link(str(board.port)) as link:
            link.enter_repl()  # by a soft reset
            link.run("from machine import Timer\nt = Timer(0)\nt.init(period=1, callback=lambda t: None)")
    assert "Guru Meditation" not in board.text


WAITS = {
    "in a busy loop": "a = time.ticks_ms()\nwhile time.ticks_diff(time.ticks_ms(), a) < 350: pass",
    "in a sleep": "time.sleep(0.35)",
    "in an asyncio program": "import asyncio\nasync def f():\n    await asyncio.sleep_ms(350)\nasyncio.run(f())",
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_timer_calls_back(board: Board, wait: str) -> None:
    out = ask(
        board,
        "import machine, time\nn = []\nt = machine.Timer(3)\n"
        f"t.init(period=50, callback=n.append)\n{wait}\nt.deinit()\nprint(len(n))",
    )
    assert 3 <= int(out) <= 8


def test_timer_calls_back_while_the_prompt_waits(board: Board) -> None:
    ask(
        board,
        "import machine\nt = machine.Timer(3)\nt.init(period=50, callback=lambda _: print('tick'))",
    )
    board.wait_text("tick\r\ntick", 10)


def test_second_timer_on_the_same_hardware_takes_it_over(tmp_path: Path) -> None:
    with Board(tmp_path, chip="esp32c3", micropython="1.24.1") as board:
        board.power_on()
        board.wait_repl()
        out = ask(
            board,
            "from machine import Timer\nimport time\nn = []\na = Timer(3)\na.init(period=40, callback=lambda t: n.append(3))\n"
            "b = Timer(1)\nb.init(period=40, callback=lambda t: n.append(1))\ntime.sleep(0.3)\na.deinit()\n"
            "m = len(n)\ntime.sleep(0.2)\nprint(set(n), len(n) - m, a is b)",
        )
        assert out.strip() == "{1} 0 True"


def test_timer_that_is_not_there_panics(tmp_path: Path) -> None:
    with Board(tmp_path, chip="esp32c3", micropython="1.23.0") as board:
        board.power_on()
        board.wait_repl()
        ask(board, "from machine import Timer\nt = Timer(-1)")
        assert next_boot(board, "from machine import Timer\nTimer(-1).init(period=100, callback=print)") == HARD
        assert "Guru Meditation Error: Core  0 panic'ed (Store access fault)" in board.text


def test_virtual_timers_are_many(tmp_path: Path) -> None:
    with Board(tmp_path, chip="esp32c3", micropython="1.29.0") as board:
        board.power_on()
        board.wait_repl()
        out = ask(
            board,
            "from machine import Timer\nimport time\nn = []\n"
            "for i in range(5):\n    Timer(-1, period=30, mode=Timer.ONE_SHOT, callback=lambda t, i=i: n.append(i))\n"
            "time.sleep(0.2)\nprint(sorted(n))",
        )
        assert out.strip() == "[0, 1, 2, 3, 4]"


INITS = """
from machine import Timer
import time
t = Timer({timer})
for n in range(1, 301):
    t.init(period=60000, callback=print)
    if time.ticks_ms() == 0:
        break
print(n)
"""


@pytest.mark.parametrize(
    ("release", "timer", "inits"), [("1.28.0", 0, 255), ("1.28.0", 3, 300), ("1.25.0", 0, 300), ("1.29.0", 0, 300)]
)
def test_clock_stands_after_many_inits(tmp_path: Path, release: str, timer: int, inits: int) -> None:
    with Board(tmp_path, micropython=release) as board:  # micropython#19162
        board.power_on()
        board.wait_repl()
        assert int(ask(board, INITS.format(timer=timer))) == inits
