"""`otactl virtual-board`: start one and keep it until Ctrl-C."""

import contextlib
import errno
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from vboard import portlink
from vboard.board import Board
from vboard.flash.table import LAYOUTS, Table, TableError
from vboard.folder import Wanted, chip_for
from vboard.link.wlan import Network

_LOOK_S = 0.1  # how often it looks whether a signal has come


def run(
    *,
    folder: Path | None,
    chip: str | None,
    layout: str | None,
    flash_mib: int | None,
    heap_kib: int | None,
    app: bytes | None,
    full_flash: bytes | None = None,
    blank: bool = False,
    access_points: dict[str, str],
    port: Path | None,
    network_port: int | None = None,
    baud: int | None = None,
    download: bool = False,
) -> int:
    """Returns when a signal says so: 0 after Ctrl-C, 143 after SIGTERM; a second one kills.

    `layout`: of LAYOUTS, or the path of a partition CSV. `app`: an app image. `full_flash`: a firmware file from
    the bootloader on. `blank`: nothing is in its flash. With None for these a board that is in
    the folder stays as it is. `port`: where the port's path appears as well. `network_port`: of the serial port on the
    network, 0 for any; its address is printed as well. `baud`: of the program's console, as Board has it.
    `download`: the board comes up in the ROM loader.
    Raises ValueError for arguments that make no board, Refused for what would take somebody's board or file.
    """
    with _told_to_end() as signals, tempfile.TemporaryDirectory(prefix="vboard-") as scratch:
        place = folder or Path(scratch)
        try:
            table = _table(layout) if layout else None
            if port:
                portlink.check(port)
            board = Board(
                place,
                chip=chip_for(place, Wanted(chip, table, flash_mib, app, full_flash, blank)),
                layout=table or "ota",
                flash_mib=flash_mib,
                heap_kib=heap_kib,
                app=app,
                full_flash=full_flash,
                blank=blank,
                network=Network(access_points=access_points),
                network_port=network_port,
                baud=baud,
            )
        except (OSError, TableError) as error:
            raise _fault(error, place) from None
        with board:
            terminal = str(board.port.resolve())
            try:
                if port:
                    portlink.make(port, terminal)
                if download:
                    board.download_mode()
                else:
                    board.power_on()
                print(port or board.port, flush=True)
                if board.url:
                    print(board.url, flush=True)
                while not signals:
                    time.sleep(_LOOK_S)
            finally:
                if port:
                    portlink.remove(port, terminal)
    return 143 if signal.SIGTERM in signals else 0


@contextlib.contextmanager
def _told_to_end() -> Iterator[list[int]]:
    """The signals that have come to end this; a second one of a kind kills. Afterwards they mean what they meant before.

    The handler only notes: in an Event it would wait for a lock that the wait it has interrupted may hold.
    """
    came: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        came.append(number)

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _table(layout: str) -> Table:
    return LAYOUTS[layout] if layout in LAYOUTS else Table.from_csv(Path(layout).read_text())


def _fault(error: OSError | TableError, place: Path) -> Exception:
    """A full disk is no fault of the arguments; nearly all else is."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        return OSError(error.errno, error.strerror, str(place))
    return ValueError(str(error))
