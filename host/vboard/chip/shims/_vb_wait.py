"""How a socket of the board waits. The host's sockets never block: ports/esp32/modsocket.c counts pieces of 100 ms."""

import io

from _vb_system import errno, time

_PIECE_MS = const(100)  # SOCKET_POLL_US


class Waiting(io.IOBase):
    """Base of Socket: `__retries` is its time limit, in pieces after the first; -1 is none, -2 not to wait at all."""

    def settimeout(self, seconds):
        self.__timeout = seconds
        ms = None if seconds is None else int(seconds * 1000)
        # Shorter than 100 ms: one wait of 100 ms, then EAGAIN, as if it were not blocking.
        self.__retries = -1 if ms is None else ms // _PIECE_MS if ms else -2

    def setblocking(self, on):
        self.settimeout(None if on else 0)

    def __wait(self, events):
        """Until the real socket is ready for `events`; False where the time is up. The chip looks for callbacks and Ctrl-C
        every 100 ms, and its limit counts on; a call of the host's would start anew after each signal."""
        if self.__retries == -2:
            return False
        self.__poll.modify(self.__real, events)
        start = time.ticks_ms()
        while True:
            for _ in self.__poll.ipoll(5):
                return True
            if 0 <= self.__retries and time.ticks_diff(time.ticks_ms(), start) > (self.__retries + 1) * _PIECE_MS:
                return False

    def __late(self):
        """What a stream answers when __wait() gave up: None for "not now", or an error."""
        if self.__retries > 0:
            raise OSError(errno.ETIMEDOUT)
