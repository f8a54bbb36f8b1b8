"""What modules answer otherwise than the VM that the virtual board runs, as ports/esp32 and extmod of each MicroPython have it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import rig as rigs
from rig import Rig, started
from vboard.board import Board

TICKS = 1 << 30  # MICROPY_PY_TIME_TICKS_PERIOD, in milliseconds
# expression -> what 1.24 answers, and what 1.27 does: an exception by its name. What stands alone they answer alike
ANSWERS = {
    "next(iter([]), None)": ("TypeError", "None"),  # MICROPY_PY_BUILTINS_NEXT2
    "time.gmtime(1 << 31)[0]": ("OverflowError", "2068"),
    "time.gmtime((1 << 31) - 1)[0]": ("2068",),
    "machine.RTC().datetime((2026, 1, 1, 3, 0, 0, 0))": ("ValueError",),  # eight are wanted
    "network.hostname('h' * 32)": ("None",),
    "network.hostname('\\xfc' * 17)": ("ValueError",),  # 34 bytes
    f"time.ticks_diff(5, {TICKS - 5})": ("10",),
    f"time.ticks_diff({TICKS // 2}, 0)": (str(-TICKS // 2),),  # six days and five hours are too long
    f"time.ticks_add(0, {TICKS // 2})": ("OverflowError",),
}
ASK = """
import time, machine, network
for asked in %r:
    try:
        print("SAYS", eval(asked))
    except Exception as e:
        print("SAYS", type(e).__name__)
"""


def said(board: Board, *expressions: str) -> list[str]:
    out = rigs.ask(board, ASK % (expressions,))
    return [line[5:].strip() for line in out.splitlines() if line.startswith("SAYS ")]


@pytest.mark.parametrize(("release", "column"), [("1.24.1", 0), ("1.27.0", -1)])
def test_answers(tmp_path: Path, release: str, column: int) -> None:
    with Board(tmp_path, micropython=release) as board:
        board.power_on()
        board.wait_repl()
        assert said(board, *ANSWERS) == [answers[column] for answers in ANSWERS.values()]


def test_what_only_older_firmware_raises_is_no_error_of_the_agents(rig: Rig, templates: Callable[..., Path]) -> None:
    """A program whose heap has grown leaves esp_wifi_init() no room: a RuntimeError before 1.26. A server's date may lie behind
    2068, where time.gmtime() ends before 1.27."""
    board = started(rig.board(flash=templates(micropython="1.23.0"), micropython="1.23.0", idf_heap_kib=40))
    board.wait_text("app: runs", 20)
    assert "ota: error wifi-failed Wifi Unknown Error 0x0101" in board.text
    date = "dates.parse('Sun, 24 Nov 2075 15:46:00 GMT')"
    assert rigs.ask(board, f"from ota.net import clock, dates\nprint(clock.believe({date}))").strip() == "False"
