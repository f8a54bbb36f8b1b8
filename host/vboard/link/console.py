"""The serial console between a host program and the MicroPython process: bytes in, bytes out, no I/O of its own.

The unix port speaks the same REPL as the esp32 port; what differs is mended here: line ends (the chip's console sends
CR LF), the banner, what Ctrl-C does (a character at the prompt, SIGINT to a running program), and the way back into
the raw REPL after a soft reset, which on the chip keeps its mode. The process talks to this class in-band with
`DLE VB:word DLE`, so that a change of mode holds for exactly the bytes that follow it.
"""

import re
from collections.abc import Callable

_MARK = re.compile(rb"\x10VB:(\w+)\x10")
_HOST_BANNER = re.compile(rb"MicroPython [^\r\n]*; linux [^\r\n]*\r\n")
_HOST_BANNER_START = b"MicroPython "
_RAW_BANNER = b"raw REPL; CTRL-B to exit\r\n"
_HELP_LINE = b'Type "help()" for more information.\r\n'
_LINE_FEED = re.compile(rb"(?<!\r)\n")
_CTRL_C = b"\x03"


class Console:
    """One boot's console. `to_board` writes to the process, `interrupt` sends it SIGINT."""

    def __init__(
        self,
        banner: bytes,
        raw: bool,
        to_board: Callable[[bytes], None],
        interrupt: Callable[[], bool],
    ) -> None:
        """`banner`: what the firmware prints before its first prompt. `raw`: start in the raw REPL.

        `interrupt` gives False where the process takes Ctrl-C as a character (it waits at its prompt).
        """
        self.raw = raw
        self.at_repl = False
        self._banner = banner
        self._to_board = to_board
        self._interrupt = interrupt
        self._released = False
        self._typed = b""
        self._held = b""
        self._last = b""
        self._starting = False
        self._binary = False

    def from_host(self, data: bytes) -> None:
        """Pass what a host program typed on to the board; kept until `release`."""
        if not self._released:
            self._typed += data
            return
        if self._binary:
            self._to_board(data)
            return
        for piece in re.split(rb"(\x03)", data):
            if piece and not (piece == _CTRL_C and self._interrupt()):
                self._to_board(piece)

    def release(self) -> None:
        """boot.py begins: from here on Ctrl-C reaches a program (facts 6.6)."""
        self._released = True
        typed, self._typed = self._typed, b""
        self.from_host(typed)

    def from_board(self, data: bytes) -> bytes:
        """Take what the process wrote; give what the chip would have sent."""
        data, self._held = self._held + data, b""
        out = b""
        while mark := _MARK.search(data):
            out += self._text(data[: mark.start()])
            self._mode(mark[1])
            data = data[mark.end() :]
        keep = self._incomplete(data)
        self._held = data[len(data) - keep :]
        return out + self._text(data[: len(data) - keep])

    def _mode(self, word: bytes) -> None:
        if word == b"repl":
            self._starting = True
        else:
            self._binary = word == b"kbd0"

    @staticmethod
    def _incomplete(data: bytes) -> int:
        """How many bytes at the end may be the start of a mark or a banner that is not all here yet."""
        mark = data.rfind(b"\x10")
        if mark >= 0 and len(data) - mark < 16:
            return len(data) - mark
        line = data.rfind(_HOST_BANNER_START)
        if line >= 0 and b"\n" not in data[line:] and len(data) - line < 200:
            return len(data) - line
        return 0

    def _text(self, data: bytes) -> bytes:
        if not data:
            return b""
        if self._starting:
            return self._first_prompt(data)
        data = _HOST_BANNER.sub(self._banner, data)
        if _RAW_BANNER in data:
            self.raw = True
        if _HELP_LINE in data:
            self.raw = False
        if self._binary:
            return data
        carried = b"\r" if self._last == b"\r" else b""
        self._last = data[-1:]
        return _LINE_FEED.sub(b"\r\n", carried + data)[len(carried) :]

    def _first_prompt(self, data: bytes) -> bytes:
        """The process's own banner and prompt give way to the firmware's, or to the raw REPL's."""
        data, self._held = self._held + data, b""
        prompt = _RAW_BANNER + b">" if self.at_repl else b">>> "
        shown = data.find(prompt)
        if shown < 0:
            self._held = data
            return b""
        if self.raw and not self.at_repl:
            self.at_repl = True
            self._to_board(b"\x01")
            return b""
        self.at_repl = True
        self._starting = False
        self._last = b""
        # What was typed ahead has its answer behind the prompt already.
        first = prompt if self.raw else self._banner + _HELP_LINE + prompt
        return first + self._text(data[shown + len(prompt) :])
