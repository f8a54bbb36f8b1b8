"""One thread that serves a board's files and sockets and does what is due; who derives from it says what that is."""

import os
import selectors
import threading
import time
from pathlib import Path

from vboard.link.seen import Seen


class Loop(Seen):
    """`self._selector` holds what to read, each with a function to call; all is done with the lock held."""

    def __init__(self, log: Path) -> None:
        super().__init__(log)
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        self._selector.register(self._wake_read, selectors.EVENT_READ, self._woken)
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="vboard", daemon=True)

    def _due(self) -> float | None:
        """The next moment (time.monotonic) at which something is due that no event will announce."""
        raise NotImplementedError

    def _on_time(self, now: float) -> None:
        """Do what is due."""
        raise NotImplementedError

    def _run(self) -> None:
        while not self._closing:
            events = self._selector.select(self._patience())
            with self._changed:
                for key, _ in events:
                    if key.fd in self._selector.get_map():  # an earlier event may have ended the process
                        key.data()
                self._on_time(time.monotonic())
                self._changed.notify_all()

    def _patience(self) -> float | None:
        with self._lock:
            due = self._due()
            return None if due is None else max(0.0, due - time.monotonic())

    def _woken(self) -> None:
        os.read(self._wake_read, 4096)

    def _wake(self) -> None:
        """Let the thread look again at what is due."""
        os.write(self._wake_write, b"\0")

    def _end_loop(self) -> None:
        self._closing = True  # without the lock, which a busy board hardly lets go of
        self._wake()
        self._thread.join()

    def _close_loop(self) -> None:
        os.close(self._wake_read)
        os.close(self._wake_write)
        self._selector.close()
        self._log.close()
