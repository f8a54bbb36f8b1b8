"""The verb `provision`: from any ESP32 with anything on it to a board that takes updates."""

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from otactl.cli.options import BOARD, FILE, as_json, in_workspace, on_board, verb

if TYPE_CHECKING:
    from otactl.board.provision.look import Look, Wishes
    from otactl.board.provision.one import Done
    from otactl.workspace.workspace import Workspace


@verb(BOARD, "provision /dev/ttyUSB0 --firmware ESP32_GENERIC-20250911-v1.26.1.bin")
@in_workspace
@on_board
@click.option("--firmware", type=FILE, help="A full-flash .bin of MicroPython (default: the newest in firmware/).")
@click.option("--layout", default="", metavar="NAME|CSV", help="A partition table, instead of one made to fit.")
@click.option("--keep-files", is_flag=True, help="Carry the board's files over to its new filesystem.")
@click.option("--backup", type=FILE, help="Read the whole flash into this new file first.")
@click.option("--yes", is_flag=True, help="What is told to be lost may be lost.")
@click.option("--deploy/--no-deploy", default=True, help="Put the agent on the board as well (default).")
@click.option("--dry-run", is_flag=True, help="Draw the flash before and after, say what will be lost, change nothing.")
@click.option("--baud", type=click.IntRange(1), default=460800, help="Of the ROM loader (default: 460800).")
@as_json
def provision(
    *,
    workspace: Path,
    board: str,
    slow: float,
    firmware: Path | None,
    layout: str,
    keep_files: bool,
    backup: Path | None,
    yes: bool,
    deploy: bool,
    dry_run: bool,
    baud: int,
    as_json: bool,
) -> int:
    """Make a board one that takes updates: MicroPython, two slots, the agent. It takes up what broke off before."""
    from otactl.board.provision import flashmap
    from otactl.board.provision.look import Watch, Wishes, look
    from otactl.board.provision.one import provision as carry_out
    from otactl.board.provision.which import FOLDER, Firmwares
    from otactl.cli import display

    place = _workspace(workspace, needed=deploy and not dry_run)
    base = place.root if place else workspace
    if backup and backup.exists():
        raise click.UsageError(f"{backup} is there already: name another file.")
    wishes = Wishes(Firmwares(firmware, base / FOLDER), base, layout, keep_files, yes, slow, baud)
    with display.Bars(quiet=as_json) as bars:
        watch = Watch(bars.wait, bars.show)
        found = look(board, wishes, watch)
    if dry_run:
        if as_json:
            print(json.dumps(flashmap.as_json(found.plan)))
        else:
            _draw(found, wishes)
        return 0
    if not as_json:
        _draw(found, wishes)
    _agree(found, wishes)
    with display.Bars(quiet=as_json) as bars:
        watch = Watch(bars.wait, bars.show)
        done = carry_out(board, found, wishes, watch, workspace=place if deploy else None, backup=backup)
    if as_json:
        print(json.dumps(flashmap.as_json(found.plan) | _told(done)))
    else:
        _show(done, found, board)
    return 0


def _workspace(start: Path, *, needed: bool) -> "Workspace | None":
    from otactl.errors import UsageError
    from otactl.workspace.workspace import Workspace

    try:
        return Workspace.find(start)
    except UsageError:
        if needed:
            raise
        return None


def _draw(found: "Look", wishes: "Wishes") -> None:
    from otactl.board.provision import flashmap
    from otactl.cli import display

    plan = found.plan
    display.show(f"{plan.facts.chip}, flash {plan.facts.flash_size >> 20} MiB, {plan.facts.mac}")
    display.show("the flash now:")
    display.show_table(flashmap.drawn(flashmap.before(plan)))
    if plan.ready:
        display.done("it takes updates as it is: nothing is flashed")
        return
    display.show(f"and then, with {Path(plan.full.name).name}:")
    display.show_table(flashmap.drawn(flashmap.after(plan)))
    display.show(f"because {'; '.join(plan.why)}")
    if plan.layout and plan.layout.note:
        display.warn(plan.layout.note)
    _say_losses(found, wishes)


def _say_losses(found: "Look", wishes: "Wishes") -> None:
    from otactl.board.provision.one import losses
    from otactl.cli import display

    gone = losses(found, wishes)
    agreed = found.kept is not None and found.kept.begun
    for loss in () if agreed else found.plan.lost:
        if not loss.asks or loss in gone:
            display.warn(f"will be lost: {loss.what}")
        elif not found.kept:
            display.done(f"carried over: {loss.what}")
    if found.kept:
        display.done(f"put back: {len(found.kept.files)} files that an earlier run took, in {found.kept.folder}")
    if not found.plan.lost:
        display.show("nothing is lost")


def _agree(found: "Look", wishes: "Wishes") -> None:
    """Ask on a terminal. Raises UsageError where nobody says yes."""
    import sys

    from otactl.board.provision.one import losses
    from otactl.errors import UsageError

    gone = losses(found, wishes)
    if not gone or wishes.yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(
            f"this would lose {gone[0].what}: say --yes, or --keep-files to carry files over; nothing was changed"
        )
    if not click.confirm("Go on, and lose that?", default=False):
        raise UsageError("stopped: nothing was changed")


def _told(done: "Done") -> dict[str, object]:
    return {"written": done.written, "returned": done.returned, "micropython": done.micropython}


def _show(done: "Done", found: "Look", board: str) -> None:
    from otactl.cli import display

    flashed = f"{done.written >> 10} KiB written" if done.written else "its flash was as it must be"
    display.done(f"MicroPython {done.micropython} runs, {flashed}")
    if done.returned:
        display.done(f"{done.returned} files are back, and compared")
    if not done.deployed:
        display.follow_up(shlex.join(["deploy", board]))
        return
    display.done(f"the agent is on the board: {len(done.deployed.written)} files written")
    for advice in done.deployed.advice:
        display.warn(advice)
    if not done.deployed.advice:
        display.follow_up("publish FIRMWARE.bin --version 1.0.0", f"then: otactl update {shlex.quote(board)}")
