"""A serial port that is always listened to: a thread takes what comes, at the moment when it comes.

Whoever reads the port gets the same bytes later, in their order, so that a call and the console never take them from
each other.
"""

import contextlib
import select
import threading
import time
from collections.abc import Callable
from typing import Any

import serial

_POLL_S = 0.01  # where the port cannot be waited on (rfc2217, Windows)
_WAIT_S = 0.05
_KEPT = 1 << 20  # bytes that nobody has read yet: a program may print for days between two calls

Hear = Callable[[bytes], None]


class ListenedPort:
    """`port` (pyserial's) for its reader; `hear` gets each piece, in the thread that listens.

    A port that fails raises its SerialException or OSError in the reader, once what came before is read.
    """

    def __init__(self, port: Any, hear: Hear, lost: Callable[[], None] = lambda: None) -> None:
        """`lost` is called once, in the thread that listens, when the port fails."""
        self._port, self._hear, self._lost = port, hear, lost
        self._unread = bytearray()
        self._changed = threading.Condition()
        self._over = False
        self._failed: Exception | None = None
        self._thread = threading.Thread(target=self._listen, name="board-console", daemon=True)
        self._thread.start()

    # --- what Console, TimedPort and mpremote ask of a port ------------------------------------

    @property
    def in_waiting(self) -> int:
        with self._changed:
            if not self._unread:
                self._require_sound()
            return len(self._unread)

    def read(self, size: int = 1) -> bytes:
        """Up to `size` bytes, within the port's own time limit."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._unread) >= size or self._ended, self._port.timeout)
            if not self._unread:
                self._require_sound()
            taken = bytes(self._unread[:size])
            del self._unread[:size]
            return taken

    def write(self, data: bytes) -> int:
        written: int = self._port.write(data)
        return written

    def close(self) -> None:
        """Ends the thread, then the port; the modem lines are let go first, so that no driver resets the board by them."""
        self._over = True
        if threading.current_thread() is not self._thread:
            self._thread.join()
        with contextlib.suppress(OSError):
            self.set_lines(dtr=False, rts=False)
        with contextlib.suppress(OSError):
            self._port.close()

    def set_lines(self, *, dtr: bool, rts: bool) -> None:
        """Set the modem lines. Raises OSError where the port has none."""
        self._port.rts, self._port.dtr = rts, dtr

    # --------------------------------------------------------------------------------------------

    @property
    def sound(self) -> bool:
        return not self._ended

    @property
    def _ended(self) -> bool:
        return self._over or self._failed is not None

    def _require_sound(self) -> None:
        if self._failed:
            raise self._failed
        if self._over:
            raise serial.SerialException("the port is closed")

    def _listen(self) -> None:
        while not self._over:
            try:
                data = self._next()
            except (OSError, serial.SerialException, TypeError) as error:  # TypeError: pyserial, once closed
                with self._changed:
                    self._failed = error if isinstance(error, OSError) else serial.SerialException(str(error))
                    self._changed.notify_all()
                if not self._over:
                    self._lost()
                return
            if data:
                self._hear(data)  # first: who has read it finds it in the console
                with self._changed:
                    self._unread += data
                    del self._unread[:-_KEPT]
                    self._changed.notify_all()

    def _next(self) -> bytes:
        with contextlib.suppress(ValueError, AttributeError):
            try:
                select.select([self._port.fileno()], [], [], _WAIT_S)
            except OSError:  # no file behind it: io.UnsupportedOperation
                time.sleep(_POLL_S)
        waiting = self._port.in_waiting
        data: bytes = self._port.read(waiting) if waiting else b""
        return data
