"""`Board`: what a test does with a board and sees of it.

At the beginning of each test the board is at its prompt after a soft reset: boot.py has run, main.py has not. After the
test the files that the test put there are as they were before; after the last test the board's own program runs again.
"""

import ast
import contextlib
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import serial
from otactl.errors import BoardError, RigError, UsageError

from otactl_pytest import reboots, resets
from otactl_pytest.agent import BoardAgent
from otactl_pytest.console import ConsoleLog
from otactl_pytest.files import Files
from otactl_pytest.power import Power
from otactl_pytest.reboots import Reboot
from otactl_pytest.session import Session

if TYPE_CHECKING:
    from otactl.board.slots_picture import Picture

    from otactl_pytest.virtual import VirtualBoard

_PROMPT_S = 40.0  # a program deep in a C call hears Ctrl-C only after it
_BETWEEN_S = 0.3  # between two that open a port: its other end has to notice
_SHOWN = 60  # characters of code in the console's notes


class Board:
    """One board, at its prompt or running its own program.

    `name`, `device`, `chip`, `features`: as boards.toml or the options have them. `console`: all that it said so far.
    `power`: its power switch, or None. `agent`: the OTA agent on it. `virtual`: the virtual
    board that it is, or None. `log_dir`: with --board-log, the folder of the test that runs.
    """

    def __init__(
        self,
        device: str,
        *,
        name: str = "",
        chip: str = "",
        features: tuple[str, ...] = (),
        power: Power | None = None,
        slow: float = 1.0,
    ) -> None:
        """`device` as mpremote takes it; `slow`: every time limit is so many times longer. `open` comes next."""
        self.device, self.name, self.chip = device, name or device, chip
        self.features, self.power, self.slow = features, power, slow
        self.console = ConsoleLog(slow)
        self.files = Files(self._run_quietly)
        self.agent = BoardAgent(self)
        self.virtual: VirtualBoard | None = None
        self.log_dir: Path | None = None
        self._link: Session | None = None

    def __repr__(self) -> str:
        return f"<Board {self.name}>" if self.name == self.device else f"<Board {self.name} at {self.device}>"

    @property
    def link(self) -> Session:
        """The open port, for what this class has no word for. Raises RigError while the port is lent to another tool."""
        if self._link is None:
            raise RigError(f"the port of {self.name} is closed")
        return self._link

    @property
    def is_open(self) -> bool:
        return self._link is not None

    def open(self) -> None:
        """Open the port, unless it is open; the board is taken to run by itself then. Raises RigError."""
        if self._link is None:
            self._link = Session(self.device, slow=self.slow, hear=self.console.hear, note=self.console.note)
            self._link.let_go()

    def close(self) -> None:
        """Give the port back; the board stays as it is."""
        if self._link:
            self._link.end()
            self._link = None

    # --- code -----------------------------------------------------------------------------------

    def exec(self, code: str, timeout: float = 10) -> str:
        """Run `code` at the prompt and give what it prints.

        Where the board runs its own program, that is stopped by a soft reset first. Raises BoardError with the last line
        of the board's traceback, or where the code does not end within `timeout` seconds, or the board reboots meanwhile;
        RigError where the board is silent.
        """
        self.console.mark()
        self.to_prompt()
        self.console.note(f"exec {_short(code)}")
        return self._run(code, timeout)

    def eval(self, expression: str, timeout: float = 10) -> object:
        """The value of an expression: numbers, texts, bytes, lists and the like. Raises as `exec`; BoardError for others."""
        said = self.exec(f"print(repr({expression}))", timeout).strip().splitlines()
        try:
            return ast.literal_eval(said[-1])
        except (IndexError, SyntaxError, ValueError):
            last = said[-1] if said else ""
            raise BoardError(f"{expression} gave {last!r}, which is no plain value: print what you need") from None

    def start(self, code: str) -> None:
        """Run `code` and do not wait for its end; see `console.wait` and `expect_reboot`. Raises RigError."""
        self.to_prompt()
        self.console.mark()
        self.console.note(f"start {_short(code)}")
        self.link.start(code)
        self.link.let_go()

    def interrupt(self) -> None:
        """Stop the running program by Ctrl-C; what it has left in memory can be looked at. Raises RigError."""
        self.console.note("interrupt")
        self.link.interrupt()

    def to_prompt(self) -> None:
        """At the prompt by a soft reset, unless it is there already. Raises RigError."""
        if self.link.alone:
            self.fresh()

    def fresh(self, within_s: float = _PROMPT_S) -> None:
        """At the prompt by a soft reset: boot.py has run, main.py has not. Raises RigError."""
        self.console.note("soft reset to the prompt")
        self.link.wait_for_port()
        self.link.enter_repl(within_s=within_s)

    def _run(self, code: str, timeout: float) -> str:
        try:
            if not self.link.is_mounted:
                return self.link.run(code, timeout_s=timeout)
            with self.console.hushed():  # the folder's files go over the same line
                said = self.link.run(code, timeout_s=timeout)
        except RigError as error:
            raise self._by_the_code(error, timeout) from None
        self.console.hear(said.encode())
        return said

    def _by_the_code(self, error: RigError, timeout: float) -> BoardError | RigError:
        """Whose fault a silence is: of the code that ran, where the board rebooted or hears Ctrl-C; else of the rig."""
        if told := reboots.next_one(self.console, 0, take=False):
            self.link.let_go()
            return BoardError(f"the board rebooted while the code ran ({told.cause or told.rom})")
        with contextlib.suppress(RigError):
            self.link.interrupt()
            return BoardError(f"the code did not end within {timeout * self.slow:g} s; Ctrl-C stopped it")
        self.link.let_go()
        return error

    def _run_quietly(self, code: str) -> str:
        self.to_prompt()
        with self.console.hushed():
            return self.link.run(code, coming=True)

    # --- files ----------------------------------------------------------------------------------

    def put(self, path: str, data: bytes | str | Path) -> None:
        """A file onto the board: bytes, a text, or a file of this machine. It is gone again, or as it was, after the test.

        Raises BoardError, with the code vfs-full where there is no room; RigError, OSError.
        """
        content = data.read_bytes() if isinstance(data, Path) else data.encode() if isinstance(data, str) else data
        self.console.note(f"put {path} ({len(content)} bytes)")
        self.files.put(path, content)

    def get(self, path: str) -> bytes:
        """What a file on the board holds. Raises BoardError, RigError."""
        return self.files.get(path)

    def mount(self, folder: Path | str) -> AbstractContextManager[str]:
        """`with board.mount("src"):` the board imports from that folder, and nothing is written to its flash.

        It is the board's current folder meanwhile. A reset ends it. Raises BoardError, RigError; UsageError where there is
        no such folder.
        """
        if not Path(folder).is_dir():
            raise UsageError(f"no folder {folder} to mount")
        self.to_prompt()
        self.console.note(f"mount {folder}")
        return self.link.mounted(Path(folder))

    # --- resets ---------------------------------------------------------------------------------

    def reset(self, kind: str = "hard") -> None:
        """Restart the board; boot.py and main.py run, and nothing is waited for.

        `kind`: soft (Ctrl-D), hard (machine.reset()), lines (EN by the port's RTS), power (off and on by its switch).
        Raises UsageError for another kind, or where there is no power switch; RigError.
        """
        resets.reset(self, kind)

    def expect_reboot(self, cause: str | None = None, timeout: float = 30) -> Reboot:
        """Wait for the next reboot after what was done last, or after the reboot waited for last.

        One that is over already is found too, whatever `console.wait` has found since.

        `cause`: power (or the EN pin), software, watchdog, panic, deepsleep, brownout, usb. Where `timeout` seconds pass
        without one, or the cause is another, BoardError; UsageError for a cause that there is not.
        """
        return resets.expect(self, cause, timeout)

    def run_program(self) -> None:
        """Let the board's own program run: a soft reset. Raises RigError."""
        self.console.note("the board's program starts")
        try:
            self.link.restart_program()
        except (OSError, serial.SerialException) as error:
            raise RigError(f"{self.name} does not take Ctrl-D: {error}") from None

    # --- what lies in flash ---------------------------------------------------------------------

    def slots(self, *, esptool: bool = False) -> "Picture":
        """Table, otadata and what lies in each slot, read from flash now: otactl.board.slots_picture says more of it.

        `esptool`: over the ROM loader, by the port's modem lines, so that nothing on the board has a say in it; the board
        starts anew then. Raises BoardError, RigError.
        """
        from otactl.board.slots_picture import draw_from
        from otactl.board.slots_repl import ReplSource

        if not esptool:
            self.to_prompt()
            with self.console.hushed():
                return draw_from(ReplSource(self.link))
        from otactl.board.slots_rom import RomSource

        with self.lent(), RomSource(self.device) as source:
            return draw_from(source)

    @contextlib.contextmanager
    def lent(self) -> Iterator[str]:
        """The port is another tool's (esptool, mpremote) while the `with` lasts. Raises RigError."""
        self.console.note("the port is lent")
        self.close()
        try:
            yield self.device
        finally:
            time.sleep(_BETWEEN_S)
            self.open()
            self.console.note("the port is back")

    def reopen(self) -> None:
        """Close the port, if it is open, and open it anew. Raises RigError."""
        self.close()
        self.open()

    # --- features -------------------------------------------------------------------------------

    def feature(self, word: str) -> str | None:
        """What stands behind a feature's colon ("4-5" of "loopback:4-5"), "" where it has none; None: the board lacks it."""
        for one in self.features:
            name, _, value = one.partition(":")
            if name == word:
                return value
        return None


def _short(code: str) -> str:
    first, *more = code.strip().splitlines() or [""]
    return first[:_SHOWN] + (" …" if more or len(first) > _SHOWN else "")
