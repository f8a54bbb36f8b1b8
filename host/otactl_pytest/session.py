"""The open port of a board for a whole session: always listened to, and a folder of this machine mounted on demand."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from otactl.board.link import Link
from otactl.board.ports import BROKEN
from otactl.errors import BoardError, RigError

from otactl_pytest.listening import Hear, ListenedPort

_MOUNT_S = 20.0
_STOP_S = 8.0
_BACK_S = 10.0  # after a reset of a chip that is its own USB device
_POLL_S = 0.05
_PULSE_S = 0.1  # EN held low, as esptool holds it


class Session(Link):
    """A Link whose port tells `hear` all that comes, whether a call waits for it or not."""

    def __init__(self, device: str, *, slow: float, hear: Hear, note: Callable[[str], None] = lambda _: None) -> None:
        """`note` is told when the port goes away and when it is back. Raises RigError."""
        self._hear, self._note = hear, note
        self._opening = threading.Lock()
        self._ended = False
        super().__init__(device, slow=slow)
        self._listen()

    def _listen(self) -> None:
        timed = self._transport.serial
        timed.port = ListenedPort(timed.port, self._hear, self._find_again)

    def _shut(self) -> None:
        """At any moment, in any thread: a call in another one finds the port closed, and nothing half changed."""
        port = self._transport.serial.port
        if isinstance(port, ListenedPort):
            port.close()
        else:
            super()._shut()

    def end(self) -> None:
        """Give the port back, for good."""
        self._ended = True
        with self._opening:
            self.close()

    # --- a port that goes away and comes back, as the chip's own USB does with a reset -----------

    def _find_again(self) -> None:
        """In the thread that listened to the port that is gone."""
        self._note("the port is gone")
        while not self._ended and not self._sound:
            self._reopen()
        if not self._ended:
            self._note("the port is back")

    @property
    def _sound(self) -> bool:
        port = self._transport.serial.port
        return isinstance(port, ListenedPort) and port.sound

    def _reopen(self) -> None:
        with self._opening:
            if self._ended or self._sound:
                return
            super()._reopen()
            if not self.gone:
                self._away = True
                self._listen()

    def wait_for_port(self) -> None:
        """Until a port that went away is back. Raises RigError."""
        self.patience.begin("the port to come back", _BACK_S)
        while not self._sound:
            if self.patience.left_s < 0:
                raise RigError(f"the port {self.device} has not come back: is the board plugged in?")
            self.patience.tick()
            time.sleep(_POLL_S)

    # ---------------------------------------------------------------------------------------------

    @property
    def alone(self) -> bool:
        """Whether the board runs by itself, not at our prompt."""
        return self._away

    @property
    def is_mounted(self) -> bool:
        return bool(self._transport.mounted)

    def interrupt(self) -> None:
        """Ctrl-C: to the raw REPL without a reset, with all that the program has left in memory. Raises RigError."""
        self.patience.begin("the board's prompt", _STOP_S)
        try:
            with contextlib.redirect_stdout(None):
                self._transport.enter_raw_repl(soft_reset=False, timeout_overall=_STOP_S)
        except BROKEN as problem:
            raise self._silent(problem) from None
        self._away, self._started, self._ends, self._received = False, False, 0, b""

    def pulse(self) -> None:
        """Reset the chip by its modem lines: RTS holds EN low, DTR (the boot pin) stays high. Raises RigError."""
        port = self._transport.serial.port
        try:
            port.set_lines(dtr=False, rts=True)
            time.sleep(self.patience.limit(_PULSE_S))
            port.set_lines(dtr=False, rts=False)
        except (OSError, ValueError) as error:
            raise RigError(f"the port {self.device} has no modem lines ({error})") from None
        self.let_go()

    @contextlib.contextmanager
    def mounted(self, folder: Path) -> Iterator[str]:
        """`folder` is the board's current folder, and the path given, while the `with` lasts. Raises BoardError, RigError."""
        transport = self._transport
        timed = transport.serial
        self.patience.begin("the mount", _MOUNT_S)
        try:
            transport.mount_local(str(folder))
        except BROKEN as problem:
            raise self._silent(problem) from None
        transport.serial.port = timed.port  # what Console reads by itself
        try:
            yield str(transport.fs_hook_mount)
        finally:
            transport.serial, transport.mounted = timed, False
            if not self._away:
                with contextlib.suppress(BoardError, RigError):
                    self.run(f"import os\nos.chdir('/')\nos.umount({transport.fs_hook_mount!r})")
