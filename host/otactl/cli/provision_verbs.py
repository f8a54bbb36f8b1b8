"""The verb `provision`: from any ESP32 with anything on it to a board that takes updates."""

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from otactl.cli.options import BOARD, FILE, as_json, several_boards, slow_link, verb, with_tags
from otactl.words import counted

if TYPE_CHECKING:
    from otactl.board.provision.look import Look, Wishes
    from otactl.board.provision.one import Done
    from otactl.cli.provision_jobs import Jobs

_with_workspace = click.option(
    "-w", "--workspace", type=FILE, help="Folder of the workspace (default: that of this folder)."
)


@verb(BOARD, "provision /dev/ttyUSB0 --firmware ESP32_GENERIC-20250911-v1.26.1.bin")
@_with_workspace
@several_boards
@with_tags
@slow_link
@click.option("--firmware", type=FILE, help="A full-flash .bin of MicroPython (default: the newest in firmware/).")
@click.option("--layout", default="", metavar="NAME|CSV", help="A partition table, instead of one made to fit.")
@click.option("--keep-files", is_flag=True, help="Carry the files on the boards over to the new filesystem.")
@click.option("--backup", type=FILE, help="Read the whole flash into this new file first (one board).")
@click.option("--yes", is_flag=True, help="What is told to be lost may be lost.")
@click.option("--deploy/--no-deploy", default=True, help="Put the agent on the boards as well (default).")
@click.option("--name", default="", help="Enter the board into boards.toml by this name.")
@click.option("--names", type=FILE, help="Enter boards by the names of this CSV file: NAME, or ADDRESS,NAME, a line.")
@click.option(
    "--watch", is_flag=True, help="Provision each board that is plugged in, until Ctrl-C; BOARD is a pattern."
)
@click.option("--dry-run", is_flag=True, help="Draw the flash before and after, say what will be lost, change nothing.")
@click.option("--baud", type=click.IntRange(1), default=460800, help="Of the ROM loader (default: 460800).")
@as_json
def provision(
    *,
    workspace: Path | None,
    boards: tuple[str, ...],
    tags: tuple[str, ...],
    slow: float,
    firmware: Path | None,
    layout: str,
    keep_files: bool,
    backup: Path | None,
    yes: bool,
    deploy: bool,
    name: str,
    names: Path | None,
    watch: bool,
    dry_run: bool,
    baud: int,
    as_json: bool,
) -> int:
    """Make boards that take updates: MicroPython, two slots, the agent. A run that broke off is taken up by another."""
    from otactl.board.provision.look import Wishes
    from otactl.board.provision.names import Names
    from otactl.board.provision.which import FOLDER, Firmwares
    from otactl.cli import chosen, provision_jobs, provision_watch

    place = provision_jobs.workspace(workspace, needed=deploy and not dry_run)
    base = place.root if place else Path()
    wishes = Wishes(Firmwares(firmware, base / FOLDER), base, layout, keep_files, yes, slow, baud)
    jobs = provision_jobs.Jobs(wishes, Names(base, name=name, listed=names), place if deploy else None, dry_run, backup)
    _require_one_way(watch=watch, dry_run=dry_run, name=name, backup=backup, as_json=as_json)
    if watch:
        return provision_watch.run(boards, jobs)
    found = chosen.boards(boards, tags, workspace, slow)
    if found.several:
        _require_one(len(found.entries), name, backup)
        return provision_jobs.many(found.entries, jobs, as_json=as_json)
    (entry,) = found.entries
    _require_named(entry.device)
    return _one(entry.device, jobs.slower(entry.slow), workspace, as_json)


def _require_one_way(*, watch: bool, dry_run: bool, name: str, backup: Path | None, as_json: bool) -> None:
    if watch and (dry_run or name or backup or as_json):
        raise click.UsageError("--watch is for many boards: not with --dry-run, --name, --backup or --json.")
    if backup:
        from otactl.files import require_new

        require_new(backup)


def _require_one(count: int, name: str, backup: Path | None) -> None:
    if count > 1 and (name or backup):
        raise click.UsageError("--name and --backup are for one board: --names FILE names several.")


def _require_named(device: str) -> None:
    """Raises UsageError where it is left to chance which of several boards is flashed."""
    from otactl.board import ports
    from otactl.errors import UsageError
    from otactl.workspace.roster import AUTO

    if device == AUTO and len(there := ports.on_usb()) > 1:
        raise UsageError(f"{len(there)} boards may be meant ({', '.join(there)}): name the one to provision")


def _one(device: str, jobs: "Jobs", workspace: Path | None, as_json: bool) -> int:
    from otactl.board.provision import flashmap
    from otactl.cli import display
    from otactl.cli.provision_jobs import told, watched

    with display.Bars(quiet=as_json) as bars:
        found = jobs.look(device, watched(bars))
    if not as_json:
        _draw(found, jobs.wishes)
    if jobs.dry_run:
        if as_json:
            print(json.dumps(flashmap.as_json(found.plan)))
        return 0
    _agree(found, jobs.wishes, drawn=not as_json)
    with display.Bars(quiet=as_json) as bars:
        done = jobs.carry_out(found, watched(bars))
    name = jobs.names.for_board(found.mac)
    if as_json:
        print(json.dumps(told(found, done, name)))
    else:
        if name:
            display.done(f"the board is {name} in {display.short(jobs.names.path)}")
        _show(done, name or found.device, ["-w", str(workspace)] if workspace else [])
    return 0


def _draw(found: "Look", wishes: "Wishes") -> None:
    from otactl.board.provision import flashmap
    from otactl.cli import display

    plan = found.plan
    display.show(f"{plan.facts.chip}, flash {plan.facts.flash_size >> 20} MiB, {plan.facts.mac}, at {found.device}")
    display.show("the flash now:")
    display.show_table(flashmap.drawn(flashmap.before(plan)))
    if plan.ready:
        display.done("it takes updates as it is: nothing is flashed")
        _say_kept(found)
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
    for loss in found.plan.lost:
        if not loss.asks or loss in gone:
            display.warn(f"will be lost: {loss.what}")
        elif not found.kept:
            display.done(f"carried over: {loss.what}")
    _say_kept(found)
    if not found.plan.lost:
        display.show("nothing is lost")


def _say_kept(found: "Look") -> None:
    from otactl.cli import display

    if found.kept:
        display.done(
            f"put back: {counted(len(found.kept.files), 'file')} that an earlier run took, in {found.kept.folder}"
        )


def _agree(found: "Look", wishes: "Wishes", *, drawn: bool) -> None:
    """Ask on a terminal, of what was `drawn` there. Raises UsageError where nobody says yes."""
    from otactl.board.provision.one import require_yes
    from otactl.cli import display
    from otactl.errors import UsageError

    if not (drawn and sys.stdin.isatty()):
        require_yes(found, wishes)
        return
    from otactl.board.provision.one import losses, way_out

    if not losses(found, wishes) or wishes.yes:
        return
    try:
        display.show(f"to answer beforehand: {way_out(found)}")
        agreed = click.confirm("Go on, and lose that?", default=False)
    except click.Abort:
        display.show("")
        raise KeyboardInterrupt("stopped: nothing was changed") from None
    if not agreed:
        raise UsageError("stopped: nothing was changed")


def _show(done: "Done", board: str, where: list[str]) -> None:
    from otactl.cli import display

    flashed = f"{done.written >> 10} KiB written" if done.written else "its flash was as it must be"
    display.done(f"MicroPython {done.micropython} runs, {flashed}")
    if done.returned:
        display.done(f"{counted(done.returned.count, 'file is', 'files are')} back, and compared")
        if done.returned.left:
            names = ", ".join(done.returned.left)
            display.warn(f"left as they are on the board now: {names}; as they were: {done.returned.folder}")
    if not done.deployed:
        display.follow_up(shlex.join(["deploy", *where, board]))
        return
    display.done(f"the agent is on the board: {counted(len(done.deployed.written), 'file')} written")
    for advice in done.deployed.advice:
        display.warn(advice)
    if not done.deployed.advice:
        display.follow_up(shlex.join(["publish", *where, "NEWER.bin", "--version", "1.0.0"]), "then serve and update")
