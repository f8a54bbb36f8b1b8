"""The verbs `otactl engine ...`: releases through a fleet engine, gooseBit or hawkBit."""

import json
from dataclasses import asdict
from pathlib import Path

import rich_click as click

from otactl.cli.options import WORKSPACE, as_json, family, in_workspace, verb_of

engine = family(
    "engine", WORKSPACE, "Releases through a fleet engine, gooseBit or hawkBit.", "engine status", usual="status"
)
_group = click.option("--group", metavar="NAME", help="Of boards; a feed of gooseBit's (default: that of otactl.toml).")


@verb_of(engine, "engine add kitchen hall --group canary")
@in_workspace
@click.argument("names", nargs=-1, required=True, metavar="NAME...", help="Names of boards.toml.")
@_group
@as_json
def add_boards(*, workspace: Path, names: tuple[str, ...], group: str | None, as_json: bool) -> int:
    """Let boards ask the engine, each with a token of its own; `otactl deploy` brings it to them."""
    from otactl.cli import display
    from otactl.engine import opened
    from otactl.workspace import fleet_tokens
    from otactl.workspace.workspace import Workspace

    place = Workspace.find(workspace)
    there, boards = opened.engine(place), opened.group(place, group)
    for name in names:
        there.add(name, fleet_tokens.make(place, name), boards)
        if not as_json:
            display.done(f"{name} may ask the engine, in group {boards}")
    if as_json:
        print(json.dumps({"added": list(names), "group": boards}))
        return 0
    if place.board.get("ddi") is None:
        display.warn("boards do not ask it yet: `ddi = {}` below [board] in otactl.toml")
    display.follow_up(f"deploy {' '.join(names)}", "boards ask the engine from then on")
    return 0


@verb_of(engine, "engine push 1.1.0 --group canary")
@in_workspace
@click.argument("version", help="That is published.")
@_group
@click.option("--upload", is_flag=True, help="The file itself (default: its address on your server, gooseBit alone).")
@click.option("--with-files", is_flag=True, help="Images too, for boards that reach the engine alone; uploads them.")
@as_json
def push_release(
    *, workspace: Path, version: str, group: str | None, upload: bool, with_files: bool, as_json: bool
) -> int:
    """Roll a published release out to a group of boards; those that have failed before are offered it too."""
    from otactl.cli import display
    from otactl.engine import opened
    from otactl.release import swu
    from otactl.workspace.workspace import Workspace

    place = Workspace.find(workspace)
    there, boards = opened.engine(place), opened.group(place, group)
    file = swu.write(place, version, with_files=with_files)
    software = there.take(file, upload=upload or with_files or not opened.is_goosebit(place))
    rollout = there.roll_out(software, version, boards)
    failed = [board.name for board in there.boards() if board.failed and board.group == boards]
    there.again(failed)
    if as_json:
        print(json.dumps({"version": version, "group": boards, "rollout": rollout, "again": failed}))
        return 0
    display.done(f"{version} is rolled out to group {boards} (rollout {rollout}): {file.path.name}, {file.size} bytes")
    if failed:
        display.show(f"  offered again, as their last release had failed: {', '.join(failed)}")
    display.follow_up("engine status", "who has it")
    return 0


@verb_of(engine, "engine rollout 3 --pause")
@in_workspace
@click.argument("number", type=int, required=False, help="Of one, as the list has it.")
@click.option("--pause/--resume", "paused", default=None, help="Offer it to no further board, or go on.")
@as_json
def rollout_list(*, workspace: Path, number: int | None, paused: bool | None, as_json: bool) -> int:
    """Show the engine's rollouts, or pause one."""
    from rich.table import Table

    from otactl.cli import display
    from otactl.engine import opened
    from otactl.errors import UsageError
    from otactl.workspace.workspace import Workspace

    if (number is None) != (paused is None):
        raise UsageError("a rollout's number and --pause or --resume belong together")
    there = opened.engine(Workspace.find(workspace))
    if number is not None and paused is not None:
        there.pause(number, paused=paused)
    found = there.rollouts()
    if as_json:
        print(json.dumps({"rollouts": [asdict(one) for one in found]}))
        return 0
    table = Table("", "version", "group", "done", "failed", "", box=None, pad_edge=False)
    for one in found:
        state = "paused" if one.paused else ""
        table.add_row(*map(str, (one.id, one.version, one.group, one.done, one.failed, state)))
    display.show_table(table)
    return 0


@verb_of(engine, "engine status")
@in_workspace
@as_json
def status_of_boards(*, workspace: Path, as_json: bool) -> int:
    """Show what the engine knows of its boards."""
    from rich.table import Table

    from otactl.cli import display
    from otactl.engine import opened
    from otactl.workspace.workspace import Workspace

    found = opened.engine(Workspace.find(workspace)).boards()
    if as_json:
        print(json.dumps({"boards": [asdict(one) for one in found]}))
        return 0
    table = Table("board", "group", "state", "runs", "meant", "seen", box=None, pad_edge=False)
    for one in found:
        seen = "never" if one.seen is None else f"{one.seen} s ago"
        table.add_row(*map(display.plain, (one.name, one.group, one.state, one.version, one.wanted, seen)))
    display.show_table(table)
    failed = [one.name for one in found if one.failed]
    if failed:
        display.warn(f"{', '.join(failed)}: offered nothing more until `otactl engine push` of their next release")
    return 0
