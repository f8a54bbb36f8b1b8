"""One verb on many boards at once: a thread for each, each line with its board's name, a table at the end.

A verb gives `run` a function for one board. It gets the board's Entry, and a Row to say what it does:

    def one(entry: Entry, row: Row) -> Ending:
        row.say("the firmware is checked")           # a line
        for done in ...:
            row.progress(done, total)                # a bar on a terminal, nothing in a pipe
        with reached(entry.device, entry.slow, row) as link:
            ...
        return Ending(True, "provisioned", "1.4.0")

What it raises of OtactlError or OSError is that board's failure, and stops no other. Ctrl-C raises KeyboardInterrupt in
each thread at its next wait for a board (`reached` sees to that); where a thread waits for something else, it calls
`row.stop.check()` between its steps.
"""

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rich.table import Table
from rich.text import Text

from otactl.board import ports
from otactl.cli import display, told
from otactl.cli.rows import Row, Rows
from otactl.cli.run import as_object, rig_fault
from otactl.errors import OtactlError
from otactl.workspace.roster import Entry

_POLL_S = 0.1  # Windows passes no Ctrl-C on to a wait without end
_LEFT = "the board was left as it was"


@dataclass(frozen=True, slots=True)
class Ending:
    """How it ended for one board.

    `well`: whether the board has what was asked for. `outcome`: a word, such as confirmed. `version`:
    of the release that it is about. `why`: the reason in words. `told`: what --json has of it.
    """

    well: bool
    outcome: str
    version: str = ""
    why: str = ""
    told: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        what = f"{self.outcome} {self.version}".rstrip()
        return what if self.well or not self.why else f"{what}: {self.why}"


One = Callable[[Entry, Row], Ending]


def run(entries: Sequence[Entry], one: One, *, as_json: bool = False, until_stopped: bool = False) -> int:
    """Do `one` for all of them at once; 0 where it went well for every board, else 1.

    `as_json`: nothing but {"boards": {name: told}} in the end. Raises KeyboardInterrupt or SystemExit, once all
    boards are left in order and what became of each is shown. `until_stopped`: Ctrl-C is how it ends, and is not raised.
    """
    endings, stopped = gathered(entries, one, lines=not as_json, rows=not as_json)
    if as_json:
        print(json.dumps({"boards": {name: end.told for name, end in endings.items()}}, indent=1))
    else:
        display.show_table(_table(endings))
    if stopped and not (until_stopped and isinstance(stopped, KeyboardInterrupt)):
        raise stopped
    return 0 if all(end.well for end in endings.values()) else 1


def gathered(
    entries: Sequence[Entry], one: One, *, lines: bool, rows: bool
) -> tuple[dict[str, Ending], BaseException | None]:
    """Do `one` for all of them at once: how it ended by name, and Ctrl-C or SIGTERM if one came.

    `lines`: show what is said meanwhile. `rows`: on a terminal how far each is.
    """
    with Rows([entry.name for entry in entries], lines=lines, rows=rows) as shown:
        jobs = [_Job(entry, shown.row(entry.name), one) for entry in entries]
        for job in jobs:
            job.find()
        stopped = _all(jobs)
    for job in jobs:
        if job.fault:
            raise job.fault
    return {job.entry.name: job.ending for job in jobs}, stopped


class _Job(threading.Thread):
    """`ending`: how it ended. `fault`: an exception that is this program's own."""

    def __init__(self, entry: Entry, row: Row, one: One) -> None:
        super().__init__(name=entry.name)
        self.entry = entry
        self.row = row
        self.ending = Ending(False, "stopped", why=_LEFT, told={"outcome": "stopped"})
        self.fault: BaseException | None = None
        self.over = threading.Event()  # Ctrl-C in a join() makes Python 3.11 take the thread for dead (bpo-45274)
        self._one = one
        self._lost: OtactlError | None = None

    def find(self) -> None:
        """Look for a board that only its address is known of, before others are at their ports."""
        if self.entry.device.startswith("mac:"):
            try:
                (device,) = ports.candidates(self.entry.device, self.entry.slow)
            except OtactlError as error:
                self._lost = error
            else:
                self.entry = replace(self.entry, device=device)

    def run(self) -> None:
        try:
            self.ending = self._ended()
            self.row.end(str(self.ending), self.ending.well)
        except BaseException as error:  # a thread's own are printed, and lost
            self.fault = error
        finally:
            self.over.set()

    def _ended(self) -> Ending:
        try:
            if self._lost:
                raise self._lost
            return self._one(self.entry, self.row)
        except OtactlError as error:
            return _failure(error, self.entry)
        except BrokenPipeError:  # the reader of our output has gone: no board's fault
            raise
        except OSError as error:
            return _failure(rig_fault(error), self.entry)
        except KeyboardInterrupt as stopped:
            why = told.as_typed(str(stopped).removeprefix("stopped: ") or _LEFT, self.entry.name)
            return Ending(False, "stopped", why=why, told={"outcome": "stopped"})


def _all(jobs: Sequence[_Job]) -> BaseException | None:
    """Start and await all. Ctrl-C and SIGTERM are passed on to each, as often as they come, and given back."""
    stopped: BaseException | None = None
    fresh = list(jobs)
    begun: list[_Job] = []
    while fresh or not all(job.over.is_set() for job in begun):
        try:
            while fresh:
                begun.append(fresh.pop(0))
                begun[-1].start()
            for job in begun:
                job.over.wait(_POLL_S)
        except (KeyboardInterrupt, SystemExit) as error:
            stopped = error
            fresh.clear()
            for job in jobs:
                job.row.stop.press()
    return stopped


def _failure(error: OtactlError, entry: Entry) -> Ending:
    why = told.as_typed(str(error), entry.name)
    return Ending(False, "failed", why=why, told=as_object(error, entry.name))


def _table(endings: dict[str, Ending]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for head in ("board", "outcome", "version"):
        table.add_column(head, no_wrap=True)
    table.add_column()
    for name, end in endings.items():
        first, *rest = (display.plain(text) for text in (end.outcome, end.version, end.why))
        table.add_row(Text(name), Text(first, "" if end.well else "red"), *map(Text, rest))
    return table
