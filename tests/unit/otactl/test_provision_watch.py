"""`provision --watch` and Ctrl-C: no board is left in the middle of its flash because the program ends."""

import signal
import threading
import time
from pathlib import Path

import pytest
from otactl.board.provision.arrivals import Arrivals
from otactl.cli import provision_watch
from otactl.cli.many import Ending
from otactl.cli.rows import Rows

_AT_WORK_S = 1.0


class _Slow:
    """Jobs whose every board takes a second, whatever is pressed."""

    def __init__(self) -> None:
        self.ended = False

    def whole(self, path: str, row: object) -> Ending:
        time.sleep(_AT_WORK_S)
        self.ended = True
        return Ending(True, "provisioned")


@pytest.mark.parametrize("at_once", [False, True], ids=["no more boards", "stopped"])
def test_ctrl_c_while_boards_are_waited_for_does_not_leave_them(tmp_path: Path, at_once: bool) -> None:
    """Python 3.11 takes a thread for dead whose join() was broken off (bpo-45274)."""
    slow = _Slow()
    with Rows([]) as rows:
        board = provision_watch._Board("key", "path", rows.row("path"), slow, Arrivals([str(tmp_path / "none")]))  # type: ignore[arg-type]
        board.start()
        pressing = threading.Timer(0.3, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT])
        pressing.start()
        provision_watch._finish([board], at_once=at_once)
        pressing.join()
    assert slow.ended and board.ending.outcome == "provisioned"
