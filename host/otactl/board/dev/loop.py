"""One board in the development loop: each save is loaded, and what the program says is passed on, until Ctrl-C."""

import re
import time
from dataclasses import dataclass, field
from typing import Protocol

from otactl.board import panic
from otactl.board.dev.bench import Bench, Loaded
from otactl.board.dev.build import SourceError
from otactl.board.dev.folder import Folder, Save
from otactl.errors import OtactlError
from otactl.words import counted

_POLL_S = 0.05
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")  # ECMA-48: colours, moves of a cursor
_OURS = '  File "<stdin>"'  # device/dev.py in a traceback
_RESET = re.compile(r"rst:0x")  # the ROM's word at each start of the chip
_MOST = 100  # lines a second that are shown: a board with USB of its own says thousands, and the next save would wait for them
_NAMES = 3  # of files in a line
_AGAIN = "the next save runs it again"
_ENDED = {"dev: end": "it came to its end", "dev: exit": "it left by sys.exit()"}


class Told(Protocol):
    """What is shown of a board: what its program says, and with a `sign` (it went well, or not) what became of a save."""

    def note(self, line: str, sign: bool | None = None) -> None: ...


@dataclass(slots=True)
class Tally:
    """`seconds`: from each save to the first line of what was saved."""

    seconds: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        if not self.seconds:
            return "no saves"
        ordered = sorted(self.seconds)
        count = counted(len(ordered), "save")
        return f"{count}, {ordered[len(ordered) // 2]:.2f} s until it ran, {ordered[-1]:.2f} s at most"


class Loop:
    """The loop of one board, which is at its prompt when it begins."""

    def __init__(self, bench: Bench, folder: Folder, told: Told) -> None:
        self.tally = Tally()
        self._bench, self._folder, self._told = bench, folder, told
        self._raised: list[str] | None = None  # the lines of a traceback that comes
        self._gone = False
        self._second, self._shown, self._passed = (
            0.0,
            0,
            0,
        )  # a second of what the program says: since when, lines, and left out

    def run(self) -> None:
        """Until Ctrl-C, which is raised. Raises BoardError, RigError where the board does not take what there is at first."""
        save = self._folder.newest()
        began = time.monotonic()
        try:
            loaded = self._bench.load(save.files)
        except SourceError as error:
            self._told.note(f"{error}; nothing runs before the next save", False)
        else:
            self._runs(
                f"{counted(len(save.files), 'file')}, {loaded.size} bytes: runs after {loaded.at - began:.2f} s", loaded
            )
        while True:
            newest = self._folder.newest()
            if newest.number != save.number:
                save = newest
                self._load(save)
            self._listen()

    def _load(self, save: Save) -> None:
        names = _listed(save.changed)
        try:
            loaded = self._bench.load(save.files)
        except SourceError as error:
            self._told.note(f"{error}; what ran before runs on", False)
        except OtactlError as error:
            self._told.note(f"{names}: {error}; {_AGAIN}", False)
        else:
            seconds = loaded.at - save.at
            self.tally.seconds.append(seconds)
            self._runs(f"{names}: runs {seconds:.2f} s after the save", loaded)

    def _runs(self, what: str, loaded: Loaded) -> None:
        self._raised = None
        for line in loaded.said:
            self._told.note(_plain(line))
        self._told.note(what, True)

    def _listen(self) -> None:
        """Pass on a line, if one comes."""
        line = self._bench.line(_POLL_S)
        if self._bench.gone != self._gone:
            self._gone = self._bench.gone
            self._told.note("the port is gone" if self._gone else f"the port is back: {_AGAIN}", False)
        if line is not None:
            self._hear(line)
        elif self._raised is not None and self._bench.ended:
            self._told.note(f"{self._raised[-1] if self._raised else 'it broke'}; {_AGAIN}", False)
            self._raised = None

    def _hear(self, line: str) -> None:
        if line in _ENDED:
            self._told.note(f"{_ENDED[line]}; {_AGAIN}", True)
        elif line == "dev: raised":
            self._raised = []
        elif self._raised is not None:
            if line and not line.startswith(_OURS):
                self._raised.append(_plain(line))
                self._told.note(_plain(line))
        elif line or not self._bench.ended:  # at the prompt, empty ones are the board's
            self._say(line)
        if _RESET.search(line):
            self._told.note(
                f"{panic.explain(line)}; the board's own program starts, {_AGAIN.replace('it', 'yours')}", False
            )

    def _say(self, line: str) -> None:
        """Show what the program says, unless it says too much."""
        if time.monotonic() - self._second >= 1:
            self._second, self._shown = time.monotonic(), 0
            if self._passed:
                self._told.note(f"({counted(self._passed, 'line')} more)")
            self._passed = 0
        self._shown += 1
        if self._shown <= _MOST:
            self._told.note(_plain(line))
        else:
            self._passed += 1


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return ", ".join(names[:_NAMES]) + more


def _plain(line: str) -> str:
    return _ESCAPE.sub("", line).expandtabs()
