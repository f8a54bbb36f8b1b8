"""The verb `otactl dev`: an application on boards at each save, from their memory, or by drafts over the network."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from otactl.cli.options import BOARD, FILE, several_boards, slow_link, verb, with_passphrase, with_roster, with_tags
from otactl.errors import OtactlError, UsageError

if TYPE_CHECKING:
    from otactl.board.dev.folder import Folder
    from otactl.board.dev.loop import Tally
    from otactl.cli.chosen import Boards
    from otactl.cli.many import Ending
    from otactl.cli.rows import Row
    from otactl.cli.shown import Shown
    from otactl.workspace.roster import Entry


@verb(BOARD, "dev lesson /dev/ttyUSB0")
@click.argument("folder", type=FILE, required=False, help="The application: app.py and what belongs to it.")
@several_boards
@with_tags
@click.option("--wifi", is_flag=True, help="Over the network: each save is a signed release, for these boards alone.")
@click.option(
    "--back", is_flag=True, help="With --wifi, and no FOLDER: give boards back that a killed command has left."
)
@slow_link
@with_roster
@with_passphrase
def dev(
    *,
    folder: Path | None,
    boards: tuple[str, ...],
    tags: tuple[str, ...],
    wifi: bool,
    back: bool,
    slow: float,
    workspace: Path | None,
) -> int:
    """Run a folder's application on boards, anew at each save, until Ctrl-C.

    By cable it runs from the board's memory: nothing is written to flash, and Ctrl-C gives the board back as it was. With --wifi
    it comes as a release, on trial, and Ctrl-C offers what ran before again.
    """
    if back:
        if not wifi:
            raise UsageError("--back is for --wifi: by cable Ctrl-C, or a reset, gives a board back")
        from otactl.cli import dev_wifi

        return dev_wifi.back(workspace or Path(), [*([str(folder)] if folder else []), *boards], tags)
    if folder is None:
        raise UsageError("name the folder of the application: `otactl dev FOLDER`")
    if wifi:
        from otactl.cli import dev_wifi

        return dev_wifi.run(workspace or Path(), folder, boards, tags)
    from otactl.cli import chosen

    return _by_cable(folder, chosen.boards(boards, tags, workspace, slow))


def _by_cable(folder: Path, boards: "Boards") -> int:
    from otactl.board.dev.folder import Folder
    from otactl.cli import display, many

    watched = Folder(folder)
    if boards.several:
        return many.run(boards.entries, lambda entry, row: _in_row(watched, entry, row), until_stopped=True)
    (entry,) = boards.entries
    with display.Bars() as bars:
        tally = _until_stopped(watched, entry, bars)
    display.done(f"given back: it restarts into its own program ({tally})")
    return 0


def _in_row(folder: "Folder", entry: "Entry", row: "Row") -> "Ending":
    from otactl.cli import many

    return many.Ending(True, "given back", why=str(_until_stopped(folder, entry, row)))


def _until_stopped(folder: "Folder", entry: "Entry", shown: "Shown") -> "Tally":
    """The loop of one board; it is given back however it ends. Raises OtactlError where the board does not take it."""
    from otactl.board.dev.bench import Bench
    from otactl.board.dev.loop import Loop
    from otactl.cli.reach import reached_by

    with reached_by(Bench, entry.device, entry.slow, shown) as bench:
        shown.wait(f"{folder.root}: Ctrl-C gives the board back", counts=False)
        loop = Loop(bench, folder, shown)
        try:
            loop.run()
        except KeyboardInterrupt:
            bench.give_back()
        except BaseException:  # SIGTERM, or a fault that is worth more words than a board that does not answer
            with contextlib.suppress(OtactlError):
                bench.give_back()
            raise
    return loop.tally
