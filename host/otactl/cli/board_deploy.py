"""The verb `otactl deploy`: the agent onto boards, and their first application."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from otactl.cli.options import BOARD, FILE, as_json, in_workspace, on_boards, verb
from otactl.errors import UsageError
from otactl.words import counted

if TYPE_CHECKING:
    from otactl.board.deploy import Deployed
    from otactl.board.link import Link
    from otactl.board.moving.over import Moved
    from otactl.cli.chosen import Boards
    from otactl.cli.many import Ending
    from otactl.cli.rows import Row
    from otactl.cli.shown import Shown
    from otactl.workspace.roster import Entry

_CUT = "stopped: the board starts its program; what was written stays, and `otactl deploy` writes the rest"


@verb(BOARD, "deploy /dev/ttyUSB0")
@in_workspace
@on_boards
@click.option("--app", type=FILE, metavar="FOLDER", help="And your program: app.py and all beside it, its first time.")
@click.option("--source", is_flag=True, help="With --app: leave .py files as they are.")
@click.option("--force-names", is_flag=True, help="With --app: also names of MicroPython's own modules.")
@click.option("--remove-leftovers", is_flag=True, help="With --app: once it runs, remove the modules of before.")
@click.option("--undo-app", is_flag=True, help="Take the application away: what was there before it runs again.")
@click.option("--py", is_flag=True, help="Install .py instead of .mpy.")
@click.option("--replace-keys", is_flag=True, help="Also where a board has a newer trust document than this workspace.")
@as_json
def deploy(
    *,
    workspace: Path,
    boards: "Boards",
    app: Path | None,
    source: bool,
    force_names: bool,
    remove_leftovers: bool,
    undo_app: bool,
    py: bool,
    replace_keys: bool,
    as_json: bool,
) -> int:
    """Install the agent, its configuration and keys on boards, and with --app their first application."""
    from otactl.board.deploy import deploy as install
    from otactl.board.moving import over
    from otactl.release.application import Asked
    from otactl.workspace.workspace import Workspace

    if (source or force_names or remove_leftovers) and not app:
        raise UsageError("--source, --force-names and --remove-leftovers are for --app: name its folder too")
    if undo_app and app:
        raise UsageError("--undo-app takes an application away, --app brings one: name one of them")
    if undo_app:
        return _undo(boards, as_json=as_json)
    found = Workspace.find(workspace)
    asked = Asked(app, source=source, any_names=force_names) if app else None

    def one(link: "Link", entry: "Entry", bars: "Shown") -> "Deployed | Moved":
        say = bars.wait if bars.moves else bars.note  # on a terminal the spinner says which file it is
        how: dict[str, Any] = {"name": entry.name, "as_py": py, "replace_keys": replace_keys, "say": say}
        if asked:
            return over.move(link, found, asked, remove_leftovers=remove_leftovers, **how)
        return install(link, found, **how)

    return _installed(one, boards, as_json=as_json)


def _installed(one: Any, boards: "Boards", *, as_json: bool) -> int:
    """`one`: deploys by a link, and gives what was done."""
    from otactl.cli import display, many
    from otactl.cli.reach import reached

    def run(entry: "Entry", bars: "Shown") -> "tuple[Deployed, Moved | None]":
        with reached(entry.device, entry.slow, bars) as link:
            try:
                done = one(link, entry, bars)
            except KeyboardInterrupt:
                raise KeyboardInterrupt(_CUT) from None
        return (done.deployed, done) if hasattr(done, "deployed") else (done, None)

    def in_row(entry: "Entry", row: "Row") -> "Ending":
        done, moved = run(entry, row)
        for advice in [*done.advice, *(_warnings(moved) if moved else [])]:
            row.say(f"! {advice}")
        return many.Ending(True, "deployed", why=_counts(done), told=_as_told(done, moved))

    if boards.several:
        return many.run(boards.entries, in_row, as_json=as_json)
    (entry,) = boards.entries
    with display.Bars(quiet=as_json) as bars:
        done, moved = run(entry, bars)
    if as_json:
        print(json.dumps(_as_told(done, moved)))
        return 0
    display.done(f"deployed: {_counts(done)}")
    if moved:
        _show(moved)
    for advice in done.advice:
        display.warn(advice)
    if not done.advice:  # what is to be mended comes first
        display.follow_up("update", "or wait for the board's next look")
    return 0


def _undo(boards: "Boards", *, as_json: bool) -> int:
    from otactl.board.moving import over
    from otactl.cli import display, many
    from otactl.cli.reach import reached

    def place(entry: "Entry", bars: "Shown") -> str:
        with reached(entry.device, entry.slow, bars) as link:
            return over.undo(link, bars.wait if bars.moves else bars.note)

    def in_row(entry: "Entry", row: "Row") -> "Ending":
        gone = place(entry, row)
        return many.Ending(True, "as before", why=f"{gone} is gone", told={"removed": gone})

    if boards.several:
        return many.run(boards.entries, in_row, as_json=as_json)
    (entry,) = boards.entries
    with display.Bars(quiet=as_json) as bars:
        gone = place(entry, bars)
    if as_json:
        print(json.dumps({"removed": gone}))
        return 0
    display.done(f"{gone} is gone: the board starts what was there before")
    return 0


def _counts(done: "Deployed") -> str:
    return f"{len(done.written)} written, {done.unchanged} unchanged, {len(done.removed)} removed"


def _show(moved: "Moved") -> None:
    from otactl.cli import display

    how = "runs" if moved.written else "was there already, and runs"
    display.done(f"the application {how}: {counted(moved.files, 'file')}, {moved.size} bytes in {moved.place}")
    for path in moved.removed:
        display.show(f"  removed {path}")
    for warning in _warnings(moved):
        display.warn(warning)


def _warnings(moved: "Moved") -> list[str]:
    said = []
    if moved.hide:
        said.append(f"hide the application, as they are found before it: {', '.join(moved.hide)}")
    if moved.hidden:
        said.append(f"of before, and not used while the application is there: {', '.join(moved.hidden)}")
    if moved.kept:
        said.append(f"main.py of before is kept as {moved.kept}")
    if said:
        said.append("back to it: `otactl deploy --undo-app`; done with it: the same again with --remove-leftovers")
    return said


def _as_told(done: "Deployed", moved: "Moved | None") -> dict[str, Any]:
    told = {"written": done.written, "unchanged": done.unchanged, "removed": done.removed, "advice": done.advice}
    if moved:
        facts = asdict(moved)
        del facts["deployed"]
        told["application"] = facts
    return told
