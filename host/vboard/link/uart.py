"""A UART between a computer and the chip: each byte takes its time, and who does not read in time loses bytes."""

from collections.abc import Callable

# MicroPython ports/esp32/mphalport.c: stdin_ringbuf_array has 260 bytes, one of which stays free (py/ringbuf.h). Its
# interrupt handler empties the UART's own 128 into it, and what does not fit is gone.
RING = 259
_BITS = 10  # of a byte, with its start and stop
_TICK_S = 0.002
_MOST = 64  # bytes at once: where this machine is late the line is slow, the board has the same time to read


def ringed(typed: Callable[[bytes], None], unread: Callable[[], int]) -> Callable[[bytes], None]:
    """`typed`, where no more than RING bytes are unread; what there is no room for is lost."""
    return lambda data: typed(data[: max(0, RING - unread())])


class Line:
    """One direction. `put` says what is sent, `deliver` gets what has come through."""

    def __init__(self, baud: int, deliver: Callable[[bytes], None]) -> None:
        self._rate = baud / _BITS
        self._deliver = deliver
        self._sent = b""
        self._since = 0.0  # when the first byte of `_sent` began

    def put(self, data: bytes, now: float) -> None:
        if not self._sent:
            self._since = now
        self._sent += data

    def due(self) -> float | None:
        """When there is something to deliver, None where nothing is on its way."""
        return self._since + max(_TICK_S, 1 / self._rate) if self._sent else None

    def on_time(self, now: float) -> None:
        """Deliver what has come through by now."""
        n = int((now - self._since) * self._rate) if self._sent else 0
        if n <= 0:
            return
        self._since = now if n > _MOST else self._since + n / self._rate
        n = min(n, _MOST)
        data, self._sent = self._sent[:n], self._sent[n:]
        self._deliver(data)
