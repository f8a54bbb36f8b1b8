"""What a board has said, line by line with the times of this machine, and what was done to it in between."""

import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from otactl.board import panic
from otactl.errors import BoardError

_NOISE = re.compile(  # the raw REPL's own words, which are no output of a program
    rb"\A>(?:OK\r\n|(?=R\x01|\r?\n|\Z))|R\x01..\x01+\x04?|raw REPL; CTRL-B to exit\r\n>?|\x04>?"
    rb"|[\x00-\x08\x0b\x0c\x0e-\x1f]",
    re.DOTALL,
)
_LONGEST = 4096  # bytes of a line: a board that never ends one must not fill this machine's memory
_MOST_LINES = 100_000  # of a session
_MOST_FRESH = 1 << 20  # characters in which something is waited for

Out = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Line:
    """`note`: it says what was done to the board, and is not the board's."""

    when: datetime
    text: str
    note: bool = False

    def __str__(self) -> str:
        shown = "".join(c if c.isprintable() or c == "\t" else "?" for c in self.text)
        return f"{self.when:%H:%M:%S}.{self.when.microsecond // 1000:03} {'--- ' if self.note else ''}{shown}"


class ConsoleLog:
    """All lines of a board so far. `text` is what the board said; `str()` has the times and the notes as well."""

    def __init__(self, slow: float = 1.0) -> None:
        """`slow`: every time limit is so many times longer."""
        self.lines: list[Line] = []
        self._slow = slow
        self._partial = b""
        self._fresh = ""  # of the text, what has not been waited for yet: whole lines
        self._used = 0  # and so many characters of the line that has not ended, which have
        self._dropped = 0  # lines that are kept no more
        self._from = 0  # number of the line, of all, that `search_line` begins at
        self._changed = threading.Condition()
        self._hushed: bytearray | None = None
        self._outs: list[Out] = []

    # --- what fills it --------------------------------------------------------------------------

    def hear(self, data: bytes) -> None:
        """What came from the board, in any pieces."""
        with self._changed:
            if self._hushed is not None:
                self._hushed += data
                return
            self._partial += data
            while (end := self._partial.find(b"\n") + 1) or len(self._partial) > _LONGEST:
                taken, self._partial = self._partial[: end or _LONGEST], self._partial[end or _LONGEST :]
                self._add(Line(datetime.now(), _clean(taken).rstrip("\r\n")))
            self._changed.notify_all()

    def note(self, text: str) -> None:
        """What is done to the board, in one line."""
        with self._changed:
            if _clean(self._partial):
                self._add(Line(datetime.now(), _clean(self._partial)))
                self._partial = b""
            self._add(Line(datetime.now(), text, note=True))

    @contextlib.contextmanager
    def hushed(self) -> Iterator[None]:
        """What the plugin itself asks of the board is no line, unless it goes wrong. A program's word in between is lost."""
        if self._hushed is not None:  # by the caller already
            yield
            return
        with self._changed:
            self._hushed = bytearray()
        try:
            yield
        except BaseException:
            self.hear(self._taken())
            raise
        self._taken()

    def _taken(self) -> bytes:
        with self._changed:
            held, self._hushed = bytes(self._hushed or b""), None
        return held

    def also_to(self, out: Out) -> None:
        """Give each line to `out` too, from now on."""
        self._outs.append(out)

    def no_more_to(self, out: Out) -> None:
        self._outs.remove(out)

    def _add(self, line: Line) -> None:
        self.lines.append(line)
        over = max(0, len(self.lines) - _MOST_LINES)
        del self.lines[:over]
        self._dropped += over
        if not line.note:
            self._fresh = (self._fresh + line.text[self._used :] + "\n")[-_MOST_FRESH:]
            self._used = 0
        if not line.text:
            return
        told = None if line.note else panic.explain(line.text)
        for out in self._outs:
            out(str(line))
            if told:
                out(f"{line.when:%H:%M:%S} ^ {told}")

    # --- what is read from it --------------------------------------------------------------------

    @property
    def text(self) -> str:
        """What the board said so far, in lines, without times and notes."""
        with self._changed:
            said = [line.text + "\n" for line in self.lines if not line.note]
            return "".join(said) + _clean(self._partial)

    def __str__(self) -> str:
        return self.since(0)

    def since(self, count: int) -> str:
        """The lines after the first `count`, with times and notes, without empty ones."""
        with self._changed:
            return "\n".join(str(line) for line in self.lines[count:] if line.text)

    def mark(self) -> None:
        """What comes from here on is what `wait` looks at."""
        with self._changed:
            self._fresh, self._used = "", len(_clean(self._partial))
            self._from = self._dropped + len(self.lines)

    @property
    def unwaited(self) -> str:
        """What has come since the mark, or since the last thing that was waited for."""
        with self._changed:
            return self._fresh + _clean(self._partial)[self._used :]

    def wait(self, pattern: str, timeout: float = 10, *, since: int | None = None) -> re.Match[str]:
        """Until the board says what `pattern` (a regular expression) matches, after what was waited for before.

        Every `reset`, `start` and `exec` of the board sets a new mark first; `since` is a place in `text` instead. Raises
        BoardError after `timeout` seconds.
        """
        found = self.search(re.compile(pattern, re.MULTILINE), timeout, since=since)
        if found is None:
            last = self.unwaited.strip().splitlines()[-1:] or ["nothing"]
            raise BoardError(
                f"the board did not say {pattern!r} within {timeout * self._slow:g} s; its last line was {last[0]!r}"
            )
        return found

    def search(self, pattern: re.Pattern[str], timeout: float, *, since: int | None = None) -> re.Match[str] | None:
        """As `wait`; None when it does not come in time."""
        until = time.monotonic() + timeout * self._slow
        with self._changed:
            while True:
                if since is not None:
                    found = pattern.search(self.text, since)
                elif found := pattern.search(self.unwaited):
                    self._use(found.end())
                left = until - time.monotonic()
                if found or left <= 0:
                    return found
                self._changed.wait(left)

    def search_line(
        self, pattern: re.Pattern[str], timeout: float, *, take: bool = True
    ) -> tuple[re.Match[str], str] | None:
        """The next whole line since the mark in which `pattern` is found, and what was said before it.

        What `wait` and `search` have found does not count here. `take`: the next call begins behind it. None when it does
        not come in time.
        """
        until = time.monotonic() + timeout * self._slow
        with self._changed:
            begin = self._from
            while True:
                for number in range(max(begin, self._dropped), self._dropped + len(self.lines)):
                    line = self.lines[number - self._dropped]
                    if not line.note and (found := pattern.search(line.text + "\n")):
                        before = self._said(self._from, number)
                        if take:
                            self._from = number + 1
                        return found, before
                begin = self._dropped + len(self.lines)
                left = until - time.monotonic()
                if left <= 0:
                    return None
                self._changed.wait(left)

    def _said(self, first: int, end: int) -> str:
        """What stands in the lines with these numbers."""
        lines = self.lines[max(0, first - self._dropped) : end - self._dropped]
        return "".join(line.text + "\n" for line in lines if not line.note)

    def _use(self, count: int) -> None:
        whole = min(count, len(self._fresh))
        self._fresh = self._fresh[whole:]
        self._used += count - whole


def _clean(data: bytes) -> str:
    return _NOISE.sub(b"", data).decode(errors="replace")
