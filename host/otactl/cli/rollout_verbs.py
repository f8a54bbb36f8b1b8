"""The verbs `otactl rollout ...`: a release that boards get one after another."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
@click.option("--soak", default="1h", metavar="TIME", help="A stage lasts at least as long (default: 1h).")
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
    soak: str,
    halt_at: int,
    min_confirmed: int | None,
    by_hand: bool,
    static: bool,
    as_json: bool,
) -> int:
    """Begin to offer a release to the first boards."""
    from otactl.cli import display
    from otactl.fleet import machine, plan, rollout
    from otactl.fleet.known import known_boards

    place, store = _found(workspace)
    there = place.on(channel) if channel else place
    if static:
        raise UsageError("--static is not built yet")
    asked = rollout.Asked(
        plan.steps(cohorts, percents),
        plan.span(soak, "--soak"),
        halt_at,
        min_confirmed,
        machine.BY_HAND if by_hand else machine.COUNTED,
    )
    made = rollout.start(there, store, version, asked, known_boards(place, store))
    if as_json:
        return _as_json(made)
    display.done(f"{version} (sequence {made.sequence}) goes to {made.stages[0].label} of {made.channel} now")
    _show(made)
    display.follow_up("rollout status")
    return 0


@verb_of(rollout, "rollout status --json")
@in_workspace
@click.option("--channel", metavar="NAME", help="Whose (default: that of otactl.toml).")
@as_json
def status_of_rollout(*, workspace: Path, channel: str | None, as_json: bool) -> int:
    """Show the stages, and what they wait for."""
    from otactl.cli import display
    from otactl.fleet import rollout

    place, store = _found(workspace)
    found = rollout.current(place.on(channel) if channel else place, store)
    if as_json:
        return _as_json(found)
    if found is None:
        display.show("no rollout yet: boards get what their channel names")
        display.follow_up("rollout start VERSION --percent 10,50,100")
        return 0
    _show(found)
    return 0


def _told(name: str, example: str, text: str, act: Callable[["Workspace", "Store"], "View"], said: str) -> None:
    """A verb that tells the rollout something. `said`: what is so then."""

    def tell(*, workspace: Path, as_json: bool) -> int:
        from otactl.cli import display

        made = act(*_found(workspace))
        if as_json:
            return _as_json(made)
        display.done(said.format(version=made.version, before=made.before, channel=made.channel))
        _show(made)
        return 0

    tell.__name__, tell.__doc__ = name, text
    verb_of(rollout, example)(in_workspace(as_json(tell)))


def _pause(place: "Workspace", store: "Store") -> "View":
    from otactl.fleet.rollout import pause

    return pause(store)


def _resume(place: "Workspace", store: "Store") -> "View":
    from otactl.fleet.rollout import resume

    return resume(store)


def _next(place: "Workspace", store: "Store") -> "View":
    from otactl.fleet.rollout import go_on

    return go_on(place, store)


def _abort(place: "Workspace", store: "Store") -> "View":
    from otactl.fleet.rollout import abort

    return abort(store)


_told(
    "next",
    "rollout next",
    "Begin the next stage, whatever this one waits for; after the last the channel names the release.",
    _next,
    "{version} goes on",
)
_told(
    "pause",
    "rollout pause",
    "Offer it to no further board; those that have it keep it.",
    _pause,
    "no further board is offered {version}",
)
_told("resume", "rollout resume", "Let it go on, with the stage's time from the start.", _resume, "{version} goes on")
_told(
    "abort",
    "rollout abort",
    "End it: boards get what the channel named before.",
    _abort,
    "the rollout of {version} is over: {channel} names {before}, as before",
)


def _found(workspace: Path) -> tuple["Workspace", "Store"]:
    from otactl.fleet.store import FILE, Store
    from otactl.workspace.workspace import Workspace

    place = Workspace.find(workspace)
    return place, Store(place.root / FILE)


def _as_json(found: "View | None") -> int:
    print(json.dumps({"rollout": _plain(found) if found else None}))
    return 0


def _plain(found: "View") -> dict[str, Any]:
    return asdict(found)


def _show(found: "View") -> None:
    from rich.table import Table

    from otactl.cli import display

    display.show(f"{found.version} to {found.channel}, before {found.before}: {found.state}")
    if found.why:
        display.show(f"  {display.plain(found.why)}")
    table = Table("stage", "state", "boards", "given", "confirmed", "rolled back", box=None, pad_edge=False)
    for one in found.stages:
        counts = [str(count) for count in (one.known, one.given, one.confirmed, one.rolled_back)]
        table.add_row(one.label, one.state, *counts)
    display.show_table(table)
