"""The board's serial port: a terminal under a name of its own that host programs open and close as they like."""

import os
import pty
import time
import tty
from collections.abc import Callable
from pathlib import Path
from selectors import EVENT_READ, BaseSelector

from vboard import portlink

_PATIENCE_S = 1.0  # for a host that is slow to read; what it does not take then is lost, as on a wire
POLL_S = 0.01  # how soon a host program that opens the port is noticed


class Port:
    """`on_data` gets what the host types, `on_closed` is told when the last one has closed the port.

    A terminal that nobody has open is always ready and reads as an error, so it is only watched while somebody has it;
    in between `look` must be called every POLL_S.
    """

    def __init__(
        self, path: Path, selector: BaseSelector, on_data: Callable[[bytes], None], on_closed: Callable[[], None]
    ) -> None:
        # mpremote gives up its time limits on a path below /dev/pts (facts 7.6): hence the link.
        self.path = path
        self.open = False
        self._stalled = False
        self._selector = selector
        self._on_data = on_data
        self._on_closed = on_closed
        self._master, slave = pty.openpty()
        tty.setraw(slave)
        self.terminal = os.ttyname(slave)
        portlink.make(path, self.terminal)
        os.close(slave)
        os.set_blocking(self._master, False)

    def look(self) -> None:
        """Find out whether a host program has opened the port."""
        if self.open:
            return
        try:
            data = os.read(self._master, 4096)
        except BlockingIOError:
            data = b""
        except OSError:
            return
        self.open = True
        self._stalled = False
        self._selector.register(self._master, EVENT_READ, self._readable)
        if data:
            self._on_data(data)

    def _readable(self) -> None:
        try:
            self._on_data(os.read(self._master, 4096))
        except BlockingIOError:
            pass
        except OSError:
            self._selector.unregister(self._master)
            self.open = False
            self._on_closed()

    def write(self, data: bytes) -> None:
        """What the board says; lost where nobody listens. Who has exhausted its patience is waited for no more until
        it reads: a program that prints for ever would else keep the board from everything."""
        deadline = time.monotonic() + _PATIENCE_S
        while self.open and data:
            try:
                data = data[os.write(self._master, data) :]
                self._stalled = False
            except BlockingIOError:
                if self._stalled or time.monotonic() >= deadline:
                    self._stalled = True
                    return
                time.sleep(0.001)
            except OSError:
                return

    def close(self) -> None:
        portlink.remove(self.path, self.terminal)
        os.close(self._master)
