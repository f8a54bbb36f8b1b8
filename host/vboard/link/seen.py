"""What a board shows: its console, kept from the start, and waiting for something to happen."""

import threading
from collections.abc import Callable
from pathlib import Path


class Seen:
    """The console of a board, in memory and in the file `log`. The board's thread writes, any other waits."""

    def __init__(self, log: Path) -> None:
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._text = bytearray()
        self._log = log.open("ab")

    @property
    def text(self) -> str:
        """All that came out of the console since this object was made."""
        with self._lock:
            return self._text.decode(errors="replace")

    def wait(self, condition: Callable[[], bool], timeout_s: float, what: str) -> None:
        """Until `condition()`; raises TimeoutError naming `what`, with the end of the console."""
        with self._changed:
            if not self._changed.wait_for(condition, timeout_s):
                tail = self._text[-1500:].decode(errors="replace")
                raise TimeoutError(f"no {what} within {timeout_s:g} s; the console ends:\n{tail}")

    def wait_text(self, text: str, timeout_s: float = 20, since: int = 0) -> None:
        """Until the console has shown `text` after its character number `since`."""
        self.wait(lambda: text in self.text[since:], timeout_s, repr(text))

    def _show(self, data: bytes) -> None:
        self._text += data
        self._log.write(data)
        self._log.flush()
