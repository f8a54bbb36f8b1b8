"""The only door to mpremote: a board's REPL, with a time limit on everything (timed.py)."""

import contextlib
import functools
import json
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import serial

from otactl.board import transfer
from otactl.board.console import Console
from otactl.board.ports import BROKEN
from otactl.errors import BoardError, RigError
from otactl.words import reason

# A program deep in a C call (a connect to a server that is not there) hears Ctrl-C only after it.
_ENTER_S = 40.0
_TRY_S = 1.5  # at first: what comes while a board resets is lost; each try waits twice as long
_CALL_S = 10.0
_LEAVE_S = 5.0
_KEY_S = 0.1  # the friendly prompt drops what comes while it prints its banner
_END_S = 2.0  # from the last line of started code to its prompt
_STOP_S = 5.0  # from Ctrl-C to the end of started code: a block of flash is erased, a handshake is computed
_ANSWER = 64 << 10  # bytes of an answer that may come slowly; what says more than that says it for ever


class Link(Console):
    """A console with the board at its raw REPL inside `with`.

    Leaving starts the board's program again by a soft reset, unless the board runs by itself.
    """

    _ends = 0  # of output and of errors, seen in what came from started code
    _started = False  # whether code given to `start` has the prompt
    _away = False  # whether the board runs by itself, not at our prompt

    def __enter__(self) -> Self:
        try:
            self.enter_repl()
        except BaseException:  # Ctrl-C as well: the program may have been interrupted already
            with contextlib.suppress(*BROKEN):
                self.restart_program()
            self.close()
            raise
        return self

    def __exit__(  # type: ignore[override]
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._away:
            with contextlib.suppress(*BROKEN):
                self._stop()
                self.restart_program()
        self.close()

    # --- the REPL ------------------------------------------------------------------------------

    def enter_repl(self, *, within_s: float | None = None) -> None:
        """Interrupt what runs and take the raw REPL by a soft reset: boot.py runs, main.py not.

        Without the reset an interrupted import would leave half a module behind, and the program
        its memory. `within_s`: 40 unless given. Raises RigError.
        """
        self.patience.begin("the board's prompt; its program may be in a long call", within_s or _ENTER_S)
        patience_s = _TRY_S
        while True:
            try:
                self._transport.enter_raw_repl(timeout_overall=patience_s)
                break
            except BROKEN as error:
                if self.patience.left_s < 0 or isinstance(error, serial.SerialException):
                    raise RigError(
                        f"the board at {self.device} does not answer ({reason(error)}): is it a MicroPython "
                        f"board? {self._remedy(error)}"
                    ) from None
                patience_s *= 2
        self._away, self._started, self._ends, self._received = False, False, 0, b""

    def run(self, code: str, *, timeout_s: float = _CALL_S, coming: bool = False) -> str:
        """Run `code` and give what it prints, within `timeout_s` in all.

        `coming`: the time begins anew with each byte that comes, of the answer or of the code's
        acknowledgement. Raises BoardError with the last line of the board's traceback, RigError.
        """
        self.patience.begin("the board's answer", timeout_s, most=_ANSWER + len(code) if coming else 0)
        try:
            out, error = self._transport.exec_raw(code, timeout=timeout_s)
        except BROKEN as problem:
            raise self._silent(problem) from None
        if error:
            raise BoardError((error.decode(errors="replace").strip() or "an error without words").splitlines()[-1])
        text: str = out.decode(errors="replace")
        return text

    def value(self, expression: str, setup: str = "", *, timeout_s: float = _CALL_S) -> Any:
        """What `expression` gives on the board after `setup`; it must fit in JSON."""
        code = f"{setup}\nimport json\nprint(json.dumps({expression}))"
        return self._from_json(self.run(code, timeout_s=timeout_s, coming=True))

    def values(self, call: str, arguments: list[str], *, timeout_s: float = _CALL_S) -> list[Any]:
        """What `call` gives for each of `arguments`; each within `timeout_s`, however long all of them take."""
        code = f"import json\nfor _a in {arguments!r}: print(json.dumps({call}(_a)))"
        found = self.run(code, timeout_s=timeout_s, coming=True).strip().splitlines()
        if len(found) != len(arguments):
            raise RigError(f"the board at {self.device} gave {len(found)} answers to {len(arguments)} questions")
        return [self._from_json(line) for line in found]

    def _from_json(self, text: str) -> Any:
        try:
            return json.loads(text.strip().splitlines()[-1])
        except (ValueError, IndexError):
            raise RigError(f"the board at {self.device} answered {text[-80:]!r}, which is no JSON") from None

    def start(self, code: str) -> None:
        """Run `code` and do not wait: read on with `line`. Raises RigError."""
        self.patience.begin("the board's answer", _CALL_S)
        self._started, self._ends = True, 0
        try:
            self._transport.exec_raw_no_follow(code)
        except BROKEN as problem:
            raise self._silent(problem) from None

    def send(self, data: bytes) -> None:
        """Bytes for code that was started. Raises RigError."""
        try:
            self._transport.serial.port.write(data)
        except BROKEN as problem:
            raise self._silent(problem) from None

    @property
    def away(self) -> bool:
        """Whether the board runs by itself."""
        return self._away

    def let_go(self) -> None:
        """The board runs by itself from here on, or is about to reset: leaving does nothing to it."""
        self._away = True

    def restart_program(self) -> None:
        """Leave the raw REPL and soft-reset: boot.py runs, and main.py too. Raises OSError."""
        self.patience.begin("", _LEAVE_S)
        # the first ends a command that was broken off half sent: the board would take the rest for more of it
        for word in (b"\r\x03", b"\r\x02", b"\x04"):
            self._transport.serial.write(word)
            time.sleep(self.patience.limit(_KEY_S))
        self._away, self._started, self._ends = True, False, 0

    def _silent(self, problem: BaseException) -> RigError:
        return RigError(f"the board at {self.device} stopped answering ({reason(problem)}): {self._remedy(problem)}")

    def _remedy(self, problem: BaseException) -> str:
        if isinstance(problem, OSError) and not isinstance(problem, (TimeoutError, serial.SerialTimeoutException)):
            return "is it still plugged in?"  # the port itself is at fault
        return f"reset it; if it or its link is a slow one, try --slow {max(10, 3 * self.patience.slow):g}"

    # --- code that was started -----------------------------------------------------------------

    @property
    def ended(self) -> bool:
        """Whether the code given to `start` has come to its end, well or by an exception."""
        return self._ends >= 2

    def finish(self) -> None:
        """Wait for the end of code that has said its last line, so that leaving knows of it."""
        self._until_ended(_END_S)

    def _stop(self) -> None:
        """Interrupt started code. Its end is waited for: keys that come while it is deep in a call can get lost."""
        if self._started and not self.ended:
            self.patience.begin("the board to stop", _STOP_S)
            self._transport.serial.write(b"\x03")
            self._until_ended(_STOP_S)

    def _until_ended(self, seconds: float) -> None:
        self.patience.begin("the board's prompt", seconds)
        while not self.ended and self.patience.left_s > 0:
            self._receive()
            self.patience.tick()

    def _over(self) -> bool:
        return self.ended

    def _take(self, data: bytes) -> None:
        self._ends += data.count(b"\x04")
        self._received += data.replace(b"\x04", b"\n")

    # --- files ---------------------------------------------------------------------------------

    def make_folder(self, path: str) -> None:
        """As transfer.make_folder. Raises BoardError, RigError."""
        transfer.make_folder(functools.partial(self.run, coming=True), path)

    def put(self, path: str, data: bytes) -> None:
        """As transfer.put. Raises BoardError, RigError."""
        transfer.put(functools.partial(self.run, coming=True), path, data)

    def copy(self, path: str, data: bytes, moved: Callable[[int, int], None]) -> None:
        """Write a file as `mpremote cp` does, by its own code. `moved` gets bytes done and to do.

        Raises BoardError, RigError.
        """

        def more(done: int, total: int) -> None:
            self.patience.begin("the board to write", _CALL_S)
            moved(done, total)

        more(0, len(data))
        try:
            self._transport.fs_writefile(path, data, progress_callback=more)
        except BROKEN as problem:
            if isinstance(problem, OSError) and problem.errno:  # mpremote's word for an error of the board's
                raise BoardError(f"cannot write {path} on the board: {problem}") from None
            raise self._silent(problem) from None
