"""Time for a board: every limit in this room passes through here, times `slow`, and a long wait is told of.

mpremote's own limits have holes: it empties the input of a board that never stops printing for
ever, and takes each byte of an endless output for a sign of life. So its port raises when the
time for the whole call is over.
"""

import math
import time
from collections.abc import Callable
from typing import Any

from mpremote import transport_serial
from mpremote.transport_serial import SerialTransport

from otactl.board.lock import Hold

# It prints what it got at each try that fails. To hold sys.stdout back meanwhile would silence all threads.
vars(transport_serial)["print"] = lambda *_: None

Tell = Callable[[str, float], None]
_QUIET_S = 2.0  # a wait that is over sooner is not worth a word
_TELL_S = 1.0


class Stop:
    """Ctrl-C for a thread that speaks with a board: its next wait raises KeyboardInterrupt, as in the main thread."""

    def __init__(self) -> None:
        self._pressed = False

    def press(self) -> None:
        """From any thread."""
        self._pressed = True

    def check(self) -> None:
        """Raises KeyboardInterrupt, once for each time that it was pressed: what is in order to be left still works."""
        if self._pressed:
            self._pressed = False
            raise KeyboardInterrupt


class Patience:
    """One wait at a time: what for, and how long at most.

    `tell(what, left_s)` is called about once a second while a wait goes on that has lasted two
    seconds already; it never sees the end of a wait.
    """

    def __init__(self, slow: float = 1.0, tell: Tell | None = None, stop: Stop | None = None) -> None:
        """`slow`: how many times slower than usual the board or its link is. `stop` ends any wait."""
        self.slow = slow
        self._tell = tell
        self._stop = stop
        self.begin("", math.inf)

    def limit(self, seconds: float) -> float:
        """A time limit for a board of usual speed, as it is for this one."""
        return seconds * self.slow

    @property
    def left_s(self) -> float:
        """Seconds until the wait is given up; below zero when it is over."""
        return self._until - time.monotonic()

    def begin(self, what: str, seconds: float, *, most: int = 0) -> None:
        """Wait for `what`, for `seconds` of a board of usual speed.

        With `most` the time begins anew with each byte that comes, for so many bytes in all.
        """
        self.what = what
        self._most = most
        self._limit_s = self.limit(seconds)
        self._until = time.monotonic() + self._limit_s
        self._next = time.monotonic() + _QUIET_S

    def heard(self, count: int) -> None:
        """So many bytes came."""
        if self._most > 0 and count:
            self._most -= count
            self._until = time.monotonic() + self._limit_s

    def tick(self) -> None:
        """Tell of the wait, if it is time to. Raises KeyboardInterrupt where it is to stop."""
        if self._stop:
            self._stop.check()
        if self._tell and self.what and time.monotonic() >= self._next:
            self._next = time.monotonic() + _TELL_S
            self._tell(self.what, max(0.0, self.left_s))


class TimedPort:
    """`port` as mpremote uses one; its calls raise TimeoutError once the wait is over.

    A read waits until then for all its bytes, through the port's own limit: in a raw paste mpremote would take one
    that gives less, of a board that is busy with what it has, for an answer that makes no sense.
    """

    def __init__(self, port: Any, patience: Patience) -> None:
        self.port = port
        self._patience = patience

    def _check(self) -> None:
        if self._patience.left_s < 0:
            raise TimeoutError("time is up")
        self._patience.tick()

    def read(self, size: int = 1) -> bytes:
        data = b""
        while len(data) < size:
            self._check()
            came: bytes = self.port.read(size - len(data))
            self._patience.heard(len(came))
            data += came
        return data

    def write(self, data: bytes) -> int:
        self._check()
        written: int = self.port.write(data)
        return written

    def inWaiting(self) -> int:
        self._check()
        waiting: int = self.port.in_waiting
        return waiting


class PatientTransport(SerialTransport):
    """mpremote's, whose limits between two bytes (10 s where none is given) are times `slow` too."""

    patience: Patience
    hold: Hold  # of its port, for as long as it is used

    def read_until(
        self,
        min_num_bytes: int,
        ending: bytes,
        timeout: float | None = 10,
        data_consumer: Any = None,
        timeout_overall: float | None = None,
    ) -> bytes:
        silence, whole = (None if s is None else self.patience.limit(s) for s in (timeout, timeout_overall))
        data: bytes = super().read_until(min_num_bytes, ending, silence, data_consumer, whole)
        return data
