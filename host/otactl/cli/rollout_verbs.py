"""The verbs `otactl rollout ...`: a release that boards get one after another."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from otactl.cli.options import WORKSPACE, as_json, family, in_workspace, verb_of, with_passphrase
from otactl.errors import UsageError

if TYPE_CHECKING:
    from otactl.fleet.rollout import View
    from otactl.fleet.store import Store
    from otactl.workspace.workspace import Workspace

rollout = family(
    "rollout",
    WORKSPACE,
    "Let boards get a release one after another, and stop where they roll it back.",
    "rollout start 1.1.0 --percent 10,50,100 --soak 1h",
    usual="status",
)


@verb_of(rollout, "rollout start 1.1.0 --to canary --percent 50,100 --soak 1h --halt-at 2")
@in_workspace
@click.argument("version", help="That is published already, by `otactl publish --no-channel`.")
@click.option("--to", "cohorts", metavar="COHORT,...", help="First to these cohorts, one after the other.")
@click.option("--percent", "percents", metavar="N,...", help="Then to these shares of all boards (default: 100).")
@click.option("--channel", metavar="NAME", help="Whose boards get it (default: that of otactl.toml).")
@click.option("--soak", metavar="TIME", help="A stage lasts at least as long (default: twice the time between looks).")
@click.option(
    "--halt-at",
    type=click.IntRange(min=1),
    default=2,
    metavar="N",
    help="Stop once N boards rolled it back (default: 2).",
)
@click.option(
    "--min-confirmed",
    type=click.IntRange(min=1),
    metavar="N",
    help="So many boards of a stage are enough (default: all that were heard).",
)
@click.option("--by-hand", is_flag=True, help="A stage ends by `otactl rollout next` alone.")
@click.option("--static", is_flag=True, help="Cohorts are channels, for a web server that counts nothing.")
@with_passphrase
@as_json
def start_rollout(
    *,
    workspace: Path,
    version: str,
    cohorts: str | None,
    percents: str | None,
    channel: str | None,
    soak: str | None,
    halt_at: int,
    min_confirmed: int | None,
    by_hand: bool,
    static: bool,
    as_json: bool,
) -> int:
    """Begin to offer a release to the first boards."""
    from otactl.cli import display
    from otactl.fleet import machine, plan, rollout, rollout_static
    from otactl.fleet.known import known_boards
    from otactl.fleet.rollout_view import duration

    place, store = _found(workspace)
    there = place.on(channel) if channel else place
    if static and by_hand:
        raise UsageError("--static: its stages are moved by hand already; leave out --by-hand")
    between = plan.between_looks(there.board)
    asked = rollout.Asked(
        rollout_static.plan(there, cohorts, percents) if static else plan.steps(cohorts, percents),
        plan.span(soak, "--soak") if soak is not None else 2 * between,
        halt_at,
        min_confirmed,
        machine.STATIC if static else machine.BY_HAND if by_hand else machine.COUNTED,
    )
    known = known_boards(place, store)
    made = rollout.start(there, store, version, asked, known)
    said = f"{version} (sequence {made.sequence}) goes to {made.stages[0].label}{'' if static else f' of {made.channel}'} now"
    _told(place, store, said, as_json=as_json)
    if not as_json:
        for name in () if static else plan.unknown(asked.plan, known):
            display.warn(
                f"no board that is known is in the cohort {name}, so its stage waits for `otactl rollout next`; "
                "`cohort` in boards.toml says which are"
            )
        if asked.mode == machine.COUNTED and asked.soak < between:
            display.warn(
                f"boards look every {duration(between)}: those that do not within --soak have no say in their stage"
            )
        display.follow_up("rollout next" if static else "rollout status")
    return 0


@verb_of(rollout, "rollout status --json")
@in_workspace
@as_json
def status_of_rollout(*, workspace: Path, as_json: bool) -> int:
    """Show the stages, and what they wait for."""
    from otactl.cli import display
    from otactl.fleet import machine, rollout

    found = rollout.latest(*_found(workspace))
    if as_json:
        return _as_json(found)
    if found is None:
        display.show("no rollout yet: boards get what their channel names")
        display.follow_up("rollout start VERSION --percent 10,50,100")
        return 0
    _show(found)
    if found.state == machine.HALTED:
        display.follow_up("rollout start VERSION", "once it is mended; or `otactl rollout abort`")
    return 0


@verb_of(rollout, "rollout next")
@in_workspace
@with_passphrase
@as_json
def next_stage(*, workspace: Path, as_json: bool) -> int:
    """Begin the next stage, whatever this one waits for; after the last the channel names the release."""
    from otactl.fleet import rollout

    place, store = _found(workspace)
    made = rollout.go_on(place, store)
    said = (
        f"{made.channel} names {made.version}"
        if made.over
        else f"{made.version} goes to {made.stages[made.stage].label}"
    )
    return _told(place, store, f"{said} now", as_json=as_json)


@verb_of(rollout, "rollout pause")
@in_workspace
@as_json
def pause_rollout(*, workspace: Path, as_json: bool) -> int:
    """Offer it to no further board; those that were offered it go on."""
    from otactl.fleet import rollout

    place, store = _found(workspace)
    made = rollout.pause(store)
    return _told(place, store, f"no further board is offered {made.version}", as_json=as_json)


@verb_of(rollout, "rollout resume")
@in_workspace
@as_json
def resume_rollout(*, workspace: Path, as_json: bool) -> int:
    """Let it go on, with the stage's time from the start."""
    from otactl.fleet import rollout

    place, store = _found(workspace)
    made = rollout.resume(store)
    return _told(place, store, f"{made.version} goes on", as_json=as_json)


@verb_of(rollout, "rollout abort --back")
@in_workspace
@click.option("--back", is_flag=True, help="Boards that have it go back, too: the one before gets a new sequence.")
@with_passphrase
@as_json
def abort_rollout(*, workspace: Path, back: bool, as_json: bool) -> int:
    """End it: boards get what the channel named before."""
    from otactl.fleet import rollout

    place, store = _found(workspace)
    made = rollout.abort(place, store, back=back)
    return _told(place, store, f"{made.channel} names {made.before}, as before, and boards get that", as_json=as_json)


def _found(workspace: Path) -> tuple["Workspace", "Store"]:
    from otactl.fleet.store import FILE, Store
    from otactl.workspace.workspace import Workspace

    place = Workspace.find(workspace)
    return place, Store(place.root / FILE)


def _told(place: "Workspace", store: "Store", said: str, *, as_json: bool) -> int:
    """What a verb has come to."""
    from otactl.cli import display
    from otactl.fleet import rollout

    found = rollout.latest(place, store)
    if as_json:
        return _as_json(found)
    display.done(said)
    if found:
        _show(found)
    return 0


def _as_json(found: "View | None") -> int:
    print(json.dumps({"rollout": asdict(found) if found else None}))
    return 0


def _show(found: "View") -> None:
    from rich.table import Table

    from otactl.cli import display
    from otactl.fleet.machine import STATIC

    display.show(f"{found.version} instead of {found.before} in {found.channel}: {found.state}")
    if found.why:
        display.show(f"  {display.plain(found.why)}")
    heads = (
        ("channel", "state")
        if found.mode == STATIC
        else ("stage", "state", "boards", "given", "confirmed", "rolled back")
    )
    table = Table(*heads, box=None, pad_edge=False)
    for one in found.stages:
        counts = [str(count) for count in (one.known, one.given, one.confirmed, one.rolled_back)]
        table.add_row(one.label, one.state, *(counts if found.mode != STATIC else []))
    display.show_table(table)
