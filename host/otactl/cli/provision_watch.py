"""`provision --watch`: each board that is plugged in is provisioned, named and ticked off, until Ctrl-C."""

import threading
import time
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from otactl.board.provision.arrivals import Arrivals
from otactl.cli import display
from otactl.cli.many import Ending
from otactl.cli.provision_jobs import Jobs
from otactl.cli.rows import Row, Rows
from otactl.cli.run import rig_fault
from otactl.errors import OtactlError

_EVERY_S = 1.0
_POLL_S = 0.1  # Windows passes no Ctrl-C on to a wait without end
_LEFT = "stopped; run it again, which goes on from there"


def run(patterns: Sequence[str], jobs: Jobs) -> int:
    """0 where it went well for every board that came, else 1. `patterns`: of paths; none means every USB port.

    The first Ctrl-C takes no more boards and lets those at work come to their end, the second stops them. Raises
    SystemExit on SIGTERM.
    """
    arrivals = Arrivals(patterns)
    came: list[_Board] = []
    display.show("plug boards in, one or many at a time; Ctrl-C when all are ticked off")
    if there := sorted(arrivals.left_alone.values()):
        display.warn(f"left alone, as they are plugged in already: {', '.join(there)}; a pattern takes them too")
    with Rows([]) as rows:
        try:
            while True:
                for key, path in arrivals.look():
                    came.append(_Board(key, path, rows.row(path), jobs, arrivals))
                    came[-1].start()
                time.sleep(_EVERY_S)
        except (KeyboardInterrupt, SystemExit) as stopped:
            _finish(came, at_once=isinstance(stopped, SystemExit))
            if isinstance(stopped, SystemExit):
                raise
    for board in came:
        if board.fault:
            raise board.fault
    if came:
        display.show_table(_table(came))
    if left := jobs.names.left:
        display.warn(f"not seen: {', '.join(left)}")
    return 0 if all(board.ending.well for board in came) else 1


class _Board(threading.Thread):
    """One board at work. `fault`: an exception that is this program's own."""

    def __init__(self, key: str, path: str, row: Row, jobs: Jobs, arrivals: Arrivals) -> None:
        super().__init__(name=path)
        self.path, self.row = path, row
        self.ending = Ending(False, "stopped", why=_LEFT)
        self.fault: BaseException | None = None
        self.over = threading.Event()  # Ctrl-C in a join() makes Python 3.11 take the thread for dead (bpo-45274)
        self._key, self._jobs, self._arrivals = key, jobs, arrivals

    def run(self) -> None:
        try:
            self.ending = self._ended()
            self.row.end(f"{self.ending.outcome}: {self.ending.why}", self.ending.well)
        except BaseException as error:  # a thread's own are printed, and lost
            self.fault = error
        finally:
            self._arrivals.done(self._key)
            self.over.set()

    def _ended(self) -> Ending:
        try:
            return self._jobs.whole(self.path, self.row)
        except OtactlError as error:
            return Ending(False, "failed", why=str(error))
        except OSError as error:
            return Ending(False, "failed", why=str(rig_fault(error)))
        except KeyboardInterrupt as stopped:
            return Ending(False, "stopped", why=str(stopped) or _LEFT)


def _finish(came: Sequence[_Board], *, at_once: bool) -> None:
    """Wait for the boards at work; Ctrl-C (once more) stops each at its next step."""
    while at_work := [board for board in came if not board.over.is_set()]:
        if at_once:
            for board in at_work:
                board.row.stop.press()
        else:
            display.show(f"{len(at_work)} at work still: Ctrl-C again stops them")
        try:
            for board in at_work:
                while not board.over.wait(_POLL_S):
                    pass
        except (KeyboardInterrupt, SystemExit):
            at_once = True


def _table(came: Sequence[_Board]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for head in ("port", "outcome", "MicroPython"):
        table.add_column(head, no_wrap=True)
    table.add_column("board")
    for board in came:
        end = board.ending
        words = [display.plain(text) for text in (end.version, end.why)]
        table.add_row(Text(board.path), Text(end.outcome, "" if end.well else "red"), *map(Text, words))
    return table
