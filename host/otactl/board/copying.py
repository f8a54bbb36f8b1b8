"""How fast `mpremote cp` is: mpremote's own code, for a file that goes away again."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from otactl.board.link import Link
from otactl.errors import OtactlError

_PATH = "/.otactl-copy"
_LEFT = 32 << 10  # bytes that stay free on the board
_REMOVE = f"import os\nos.remove({_PATH!r})"
_FREE = "import os\n_s = os.statvfs('/')\nprint(_s[0] * _s[3])"


@dataclass(frozen=True, slots=True)
class Copied:
    """`size`: bytes that were copied, the first of what was to be."""

    size: int
    seconds: float

    @property
    def rate(self) -> float:
        """Bytes a second."""
        return self.size / self.seconds


def measure(link: Link, data: bytes, moved: Callable[[int, int], None]) -> Copied | None:
    """Copy `data`, or as much of it as the board has room for; None: it has none. `moved` gets bytes done and to do.

    Raises BoardError, RigError.
    """
    part = data[: max(0, int(link.run(_FREE)) - _LEFT)]
    if not part:
        return None
    began = time.monotonic()
    try:
        link.copy(_PATH, part, moved)
    except BaseException:  # Ctrl-C as well
        with contextlib.suppress(OtactlError):
            link.enter_repl()
            link.run(_REMOVE)
        raise
    seconds = time.monotonic() - began
    link.run(_REMOVE)
    return Copied(len(part), seconds)
