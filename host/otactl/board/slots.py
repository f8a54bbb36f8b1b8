"""A board's slots, over its REPL where it runs and over the ROM loader where it does not."""

import contextlib
from collections.abc import Iterator

from otactl.board.link import Link
from otactl.board.slots_repl import ReplSource
from otactl.board.slots_rom import BAUD, RomSource, is_silent
from otactl.board.slots_source import Source
from otactl.board.timed import Tell
from otactl.errors import RigError


@contextlib.contextmanager
def opened(
    device: str, *, slow: float = 1.0, tell: Tell | None = None, esptool: bool = False, baud: int = BAUD
) -> Iterator[Source]:
    """A board's flash. `esptool`: reset it into the ROM loader, which reaches all of it.

    `slow` and `tell` as a Link takes them. Without `esptool` a board that is in its loader already is found there and left there. Raises BoardError, RigError.
    """
    if esptool:
        with RomSource(device, baud=baud) as rom:
            yield rom
        return
    found = None
    if is_silent(device, slow):
        with contextlib.suppress(RigError):
            found = RomSource(device, found=True, baud=baud)
    if found:
        with found:
            yield found
        return
    with Link(device, slow=slow, tell=tell) as link:
        yield ReplSource(link)
