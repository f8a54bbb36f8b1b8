"""The verbs `otactl engine ...`: releases through a fleet engine, gooseBit or hawkBit."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from otactl.cli.options import WORKSPACE, as_json, family, in_workspace, verb_of
from otactl.errors import UsageError

if TYPE_CHECKING:
    from otactl.engine.model import Engine
    from otactl.release.swu import Swu

engine = family(
    "engine", WORKSPACE, "Releases through a fleet engine, gooseBit or hawkBit.", "engine status", usual="status"
)
_group = click.option("--group", metavar="NAME", help="Of boards; a feed of gooseBit's (default: that of otactl.toml).")
_halt_at = click.option(
    "--halt-at",
    type=click.IntRange(min=1),
    metavar="N",
    help="Stay and watch; stop it once N boards have failed, which engines do not.",
)
_limit = click.option("--for", "limit", metavar="TIME", help="With --halt-at: watch for so long at most, as 2h.")


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
    from otactl.workspace.roster import Roster
    from otactl.workspace.workspace import Workspace

    place = Workspace.find(workspace)
    there, boards = opened.engine(place), opened.group(place, group)
    known = [board.name for board in Roster.load(place.root).entries]
    for name in names:
        there.add(name, fleet_tokens.make(place, name), boards)
        if not as_json:
            display.done(f"{name} may ask the engine, in group {boards}")
    if remark := there.remark():
        display.warn(remark)
    if as_json:
        print(json.dumps({"added": list(names), "group": boards}))
        return 0
    if place.board.get("ddi") is None:
        display.warn("boards do not ask it yet: `ddi = {}` below [board] in otactl.toml")
    if unknown := [name for name in names if name not in known]:
        display.warn(f"{', '.join(unknown)}: not in boards.toml, by whose names `otactl deploy` brings tokens")
    display.follow_up(f"deploy {' '.join(names)}", "boards ask the engine from then on")
    return 0


@verb_of(engine, "engine push 1.1.0 --group canary,class --halt-at 2")
@in_workspace
@click.argument("version", help="That is published.")
@click.option(
    "--group",
    metavar="NAME,...",
    help="Of boards (default: that of otactl.toml). Several get it at once; with --halt-at one after the other.",
)
@_halt_at
@_limit
@click.option("--upload", is_flag=True, help="The file itself (default: its address on your server, gooseBit alone).")
@click.option("--with-files", is_flag=True, help="Images too, for boards that reach the engine alone; uploads them.")
@as_json
def push_release(
    *,
    workspace: Path,
    version: str,
    group: str | None,
    halt_at: int | None,
    limit: str | None,
    upload: bool,
    with_files: bool,
    as_json: bool,
) -> int:
    """Roll a published release out to a group of boards; those that have failed before are offered it too."""
    from otactl.cli import display, engine_shown
    from otactl.engine import opened, watch
    from otactl.release import swu
    from otactl.workspace.workspace import Workspace

    place = Workspace.find(workspace)
    groups, give_up_s = opened.groups(place, group), _seconds(limit, halt_at)
    there = opened.engine(place)
    file = swu.write(place, version, with_files=with_files)
    software = there.take(file, upload=upload or with_files or not opened.is_goosebit(place))
    told: list[dict[str, Any]] = []
    code = 0
    for n, boards in enumerate(groups):
        told.append(_offered(there, software, file, boards, quiet=as_json))
        if halt_at is None:
            continue
        seen = engine_shown.follow(there, told[-1]["rollout"], halt_at, give_up_s, quiet=as_json)
        told[-1] |= engine_shown.facts(seen)
        code = int(seen.ended != watch.THROUGH)
        if not as_json:
            engine_shown.ended(seen, halt_at, groups[n + 1 :])
        if code:
            break
    if as_json:
        print(json.dumps({"version": version} | ({"groups": told} if halt_at or len(told) > 1 else told[0])))
    elif halt_at is None or code:
        display.follow_up("engine status", "who has it")
    return code


def _offered(there: "Engine", software: str, file: "Swu", group: str, *, quiet: bool) -> dict[str, Any]:
    """Roll it out to one group, also to those of its boards that have failed before; for scripts, what was done."""
    from otactl.cli import display

    rollout = there.roll_out(software, file.version, group)
    members = [board for board in there.boards() if board.group == group]
    failed = [board.name for board in members if board.failed]
    there.again(failed)
    if not quiet:
        what = f"{file.path.name}, {file.size} bytes"
        display.done(f"{file.version} is rolled out to group {group} (rollout {rollout}): {what}")
        if failed:
            display.show(f"  offered again, as their last release had failed: {', '.join(failed)}")
        if not members:
            display.warn(f"no board is in group {group}: `otactl engine add NAME --group {group}`")
    return {"group": group, "rollout": rollout, "again": failed}


@verb_of(engine, "engine rollout 3 --pause")
@in_workspace
@click.argument("number", type=int, required=False, help="Of one, as the list has it.")
@click.option("--pause/--resume", "paused", default=None, help="Offer it to no further board, or go on.")
@_halt_at
@_limit
@as_json
def rollout_list(
    *,
    workspace: Path,
    number: int | None,
    paused: bool | None,
    halt_at: int | None,
    limit: str | None,
    as_json: bool,
) -> int:
    """Show the engine's rollouts, pause one, or watch one and stop it where boards fail."""
    from otactl.cli import engine_shown
    from otactl.engine import opened, watch
    from otactl.workspace.workspace import Workspace

    if (number is None) != (paused is None and halt_at is None):
        raise UsageError("a rollout's number and --pause, --resume or --halt-at belong together")
    if paused and halt_at is not None:
        raise UsageError("--pause stops a rollout, --halt-at watches one that goes on: name one of them")
    give_up_s = _seconds(limit, halt_at)
    there = opened.engine(Workspace.find(workspace))
    if number is not None and paused is not None:
        watch.named(watch.rollouts(there), number)
        there.pause(number, paused=paused)
    if number is not None and halt_at is not None:
        seen = engine_shown.follow(there, number, halt_at, give_up_s, quiet=as_json)
        if as_json:
            print(json.dumps(engine_shown.facts(seen)))
            return int(seen.ended != watch.THROUGH)
        return engine_shown.ended(seen, halt_at)
    found = there.rollouts()
    if as_json:
        print(json.dumps({"rollouts": [asdict(one) for one in found]}))
    else:
        engine_shown.rollouts(found)
    return 0


@verb_of(engine, "engine status")
@in_workspace
@as_json
def status_of_boards(*, workspace: Path, as_json: bool) -> int:
    """Show what the engine knows of its boards, and why releases failed."""
    from otactl.cli import engine_shown
    from otactl.engine import opened
    from otactl.workspace.workspace import Workspace

    engine_shown.boards(opened.engine(Workspace.find(workspace)), as_json=as_json)
    return 0


def _seconds(limit: str | None, halt_at: int | None) -> float | None:
    from otactl.fleet import plan

    if limit is not None and halt_at is None:
        raise UsageError("--for says how long --halt-at watches: name that as well")
    return None if limit is None else plan.span(limit, "--for")
