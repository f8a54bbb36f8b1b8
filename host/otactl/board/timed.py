"""A serial port for mpremote, on which nothing outlasts the time given for it.

mpremote's own limits have holes: it empties the input of a board that never stops printing for
ever, and takes each byte of an endless output for a sign of life. So its port raises when the
time for the whole call is over.
"""

import math
import time
from typing import Any


class TimedPort:
    """`port` as mpremote uses one; its calls raise TimeoutError once `until` (monotonic) is past.

    A single read or write still takes what the port's own limits allow.
    """

    def __init__(self, port: Any) -> None:
        self.port = port
        self.until = math.inf

    def _check(self) -> None:
        if time.monotonic() > self.until:
            raise TimeoutError("time is up")

    def read(self, size: int = 1) -> bytes:
        self._check()
        data: bytes = self.port.read(size)
        return data

    def write(self, data: bytes) -> int:
        self._check()
        written: int = self.port.write(data)
        return written

    def inWaiting(self) -> int:
        self._check()
        waiting: int = self.port.in_waiting
        return waiting
