"""A board with an application in its memory. Nothing is written to flash: a reset gives the board back as it was."""

import contextlib
import math
import time
from dataclasses import dataclass

from otactl.board import agent, single
from otactl.board.dev.build import built
from otactl.board.dev.folder import MAIN
from otactl.board.dev.parcel import Parcel
from otactl.board.link import Link
from otactl.board.ports import BROKEN
from otactl.errors import BoardError, RigError

_ABOUT = """
import sys
def _about():
    try:
        from esp32 import Partition
        where = "/app-" + Partition(Partition.RUNNING).info()[4]
    except ImportError:  # another chip
        where = "/app"
    try:
        from deflate import DeflateIO
        packed = True
    except ImportError:  # a build without it
        packed = False
    return [where, getattr(sys.implementation, "_mpy", 0), packed]
"""
_BEGIN = "begin({where!r}, {files!r}, {parcel}, {packed}, {main!r})"
_ENTER_S = 10.0  # a program in a long call hears Ctrl-C after it; one that never does is reset
_DRAIN_S = 0.5  # for what it has printed; a board that says nothing is not waited for so long
_QUIET_S = 0.03
_LINE_S = 3.0  # from a piece to the next question: the board may collect its memory
_LOAD_S = 15.0  # from the last piece to the first line: all is unpacked, and the main module read
_POLL_S = 0.05
_PULSE_S = 0.1
_TRIES = 3  # of a cable that garbles
_GARBLED = ("ValueError: garbled on the way", "ValueError: invalid syntax for integer")
_ON_TRIAL = "the board has a release on trial, which nobody may disturb: wait until that has ended, or end it with `otactl confirm`"


class _GarbledError(Exception):
    """Not all that was sent has arrived."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """`at`: when the first line was next, as time.monotonic(). `size`: bytes of the files as compiled. `sent`: of the parcel.

    `said`: what the board said before that.
    """

    at: float
    size: int
    sent: int
    said: tuple[str, ...]


class Bench(Link):
    """A link that loads applications."""

    _at_prompt = True  # whether a soft reset was the last that happened to the board
    _holds = False  # whether an application was started
    _about: tuple[str, int, bool] | None = None

    def _over(self) -> bool:
        return False  # timers and threads of a program that has ended go on, and may say something

    def _text(self, line: str) -> str:
        text = line.rstrip("\r\n")
        return (
            text.lstrip("> ") if self.ended and text.startswith(">") else text
        )  # a traceback's lines begin with blanks

    def load(self, files: dict[str, bytes]) -> Loaded:
        """Stop what runs, and start the application that `files` (name -> source) are: it runs on when this returns.

        Raises SourceError, whereupon what runs goes on; BoardError where a release is on trial, or the board breaks before the
        first line; RigError.
        """
        if self._about is None:
            single.require_can(self, "dev")
            where, mpy, packed = self.value("_about()", _ABOUT)
            self._about = where, mpy, packed
        where, mpy, packed = self._about
        ready = built(files, mpy)
        parcel = Parcel(ready, packed=packed)
        main = next(name for name in MAIN if name in ready)
        code = _BEGIN.format(where=where, files=parcel.files, parcel=parcel.size, packed=packed, main=main)
        for _ in range(_TRIES):
            with contextlib.suppress(_GarbledError):
                said = self._started_with(code, parcel)
                self.patience.begin("", math.inf)  # what comes from here on is not waited for
                return Loaded(time.monotonic(), sum(map(len, ready.values())), parcel.size, tuple(said))
        raise RigError(f"the cable to {self.device} garbles what is sent, {_TRIES} times of {_TRIES}: try another one")

    def give_back(self) -> None:
        """Let the board restart into its own program, by a hard reset: pins and watchdogs are as they were too.

        Raises RigError where it hears nothing.
        """
        if not self._holds:
            return
        self._to_prompt()
        self.start("import machine\nmachine.reset()")
        self.let_go()

    def _started_with(self, code: str, parcel: Parcel) -> list[str]:
        """What the board said until its application's first line was next."""
        if not self._at_prompt:
            self._to_prompt()
        self._at_prompt = False
        self.run(agent.dev(), coming=True)
        self.start(code)
        said: list[str] = []
        until = self._in(_LINE_S)
        while line := self._next_line(until):
            word, _, fact = line.removeprefix("dev: ").partition(" ")
            if line == "dev: run":
                self._holds = True
                return said
            if line == "dev: trial":
                self._at_prompt = True
                raise BoardError(_ON_TRIAL)
            if line.startswith("dev: next "):
                until = self._in(self._answered(fact, parcel))
            elif word != "raised":
                said.append(line)
        if not self.ended or (said[-1:] and said[-1] in _GARBLED):
            raise _GarbledError
        raise BoardError("; ".join(said[-1:]) or "the board ended what it was to run without a word")

    def _answered(self, offset: str, parcel: Parcel) -> float:
        """Send the piece that the board asks for. Returns how long it may take until it says more."""
        try:
            piece = parcel.piece(int(offset))
        except ValueError:
            raise _GarbledError from None
        self.send(piece)
        return _LOAD_S if int(offset) + len(piece) >= parcel.size else _LINE_S

    def _in(self, seconds: float) -> float:
        return time.monotonic() + self.patience.limit(seconds)

    def _next_line(self, until: float) -> str | None:
        """The next line with something in it; None where none comes until then, or the code has ended."""
        while time.monotonic() < until:
            line = self.line(_POLL_S)
            if line:
                return line
            if line is None and self.ended:
                return None
        return None

    def _to_prompt(self) -> None:
        """By Ctrl-C and a soft reset; a board that does not hear it is reset by its port's lines. Raises RigError."""
        self._silence()
        try:
            self.enter_repl(within_s=_ENTER_S)
        except RigError:
            if not self._pulsed():
                raise
            self.enter_repl(within_s=_ENTER_S)

    def _silence(self) -> None:
        """Ctrl-C, and what comes is thrown away until no more does: mpremote looks for the prompt byte by byte, which takes
        long behind what a program has printed that prints for ever."""
        with contextlib.suppress(*BROKEN):
            self._transport.serial.port.write(b"\r\x03")
        until, quiet = self._in(_DRAIN_S), self._in(_QUIET_S)
        while time.monotonic() < min(until, quiet):
            self._receive()
            self.patience.tick()
            if self._received:
                quiet = self._in(_QUIET_S)
                self._received = b""

    def _pulsed(self) -> bool:
        """Reset the chip by the port's lines, where it has any: RTS holds EN low, DTR (the boot pin) stays high."""
        port = self._transport.serial.port
        try:
            for rts in (True, False):
                port.dtr = False
                port.rts = rts
                time.sleep(self.patience.limit(_PULSE_S))
        except (*BROKEN, ValueError):
            return False
        return True
