"""The verbs of `otactl boards`: the boards of a workspace and what answers now; find those that are plugged in."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from otactl.cli.options import BOARD, as_json, family, slow_link, verb_of, with_roster
from otactl.errors import RigError
from otactl.words import counted

if TYPE_CHECKING:
    from otactl.board.discover import Found
    from otactl.cli.rows import Row
    from otactl.workspace.roster import Entry
    from otactl.workspace.roster_merge import Merged

boards = family(
    "boards",
    BOARD,
    "List the boards of the workspace (boards.toml) with what answers now; or find those that are plugged in.",
    "boards",
    usual="list",
)


@verb_of(boards, "boards --watch")
@with_roster
@click.option(
    "--seen", is_flag=True, help="The boards that have looked at `otactl serve`, as it heard them: none is touched."
)
@click.option(
    "--watch", is_flag=True, help="The same as it goes, until Ctrl-C; in a pipe a line for each thing that happens."
)
@click.option("--history", metavar="BOARD", help="What became of that board: which releases it had, and why not.")
@slow_link
@as_json
def list_boards(
    *, workspace: Path | None, seen: bool, watch: bool, history: str | None, slow: float, as_json: bool
) -> int:
    """List the boards of boards.toml, with what answers now; and those that `otactl serve` has heard.

    Those of boards.toml are each asked at their prompt: a board's program is interrupted, and started again.
    """
    from otactl.cli import fleet_views

    if history:
        return fleet_views.history(workspace, history, as_json=as_json)
    if watch:
        return fleet_views.watch(workspace, as_json=as_json)
    if seen:
        return fleet_views.seen(workspace, as_json=as_json)
    return _plugged_in(workspace, slow, as_json)


def _plugged_in(workspace: Path | None, slow: float, as_json: bool) -> int:
    from otactl.cli import display, fleet_views
    from otactl.cli.chosen import roster

    entries, heard = roster(workspace).entries, fleet_views.heard(workspace)
    found = _looked(entries, slow, rows=not as_json)
    if as_json:
        told = {one.name: _facts(one) | _answer(found[one.name]) for one in entries}
        fleet = {"fleet": fleet_views.facts(workspace)} if heard else {}
        print(json.dumps({"boards": told} | fleet, indent=1))
        return 0
    if heard and not entries:
        return fleet_views.seen(workspace, as_json=False)
    if not entries:
        display.show("no boards in boards.toml yet")
        display.follow_up("boards discover", "writes down those that are plugged in")
        return 0
    rows = [
        (one.name, one.device, found[one.name].state, *_shown(found[one.name]), " ".join(one.tags)) for one in entries
    ]
    _show(("board", "device", "now", "chip", "MicroPython", "release", "tags"), rows)
    if heard:
        display.show("")
        return fleet_views.seen(workspace, as_json=False)
    return 0


@verb_of(boards, "boards discover --name desk")
@with_roster
@click.argument("devices", nargs=-1, metavar="[DEVICE]...", help="To look at as well: what is no USB port.")
@click.option("--name", default="board", metavar="PREFIX", help="New ones are PREFIX-01 and so on (default: board).")
@slow_link
@as_json
def discover(*, workspace: Path | None, devices: tuple[str, ...], name: str, slow: float, as_json: bool) -> int:
    """Look at each USB port, and write the boards that answer into boards.toml.

    Programs are interrupted, and started again. A board that boards.toml has already is known by its chip's address:
    its port is brought up to date, and all else stays.
    """
    from otactl.board import ports
    from otactl.cli import display
    from otactl.cli.chosen import roster
    from otactl.workspace.roster import Entry
    from otactl.workspace.roster_merge import KNOWN, Seen, merge, require_prefix

    require_prefix(name)
    roster(workspace)  # a mistake in it is told of before any program is interrupted
    places = dict.fromkeys([*ports.on_usb(), *devices])
    if not places:
        raise RigError("no USB serial port is there: plug a board in, or name a device")
    found = _looked([Entry(place, place) for place in places], slow, rows=not as_json)
    seen = [
        Seen(_device(place, one.port), one.port, one.mac, one.chip)
        for place, one in found.items()
        if one.known and one.mac not in _before(found, place)
    ]
    known = roster(workspace)  # the look took a while: somebody may have written into it
    merged = merge(known, seen, name)
    if any(one.what != KNOWN for one in merged.values()):
        known.save()
    by_mac = {one.mac: merged[one.device] for one in seen}
    if as_json:
        told = {place: _answer(one) | _named(by_mac, one) for place, one in found.items()}
        print(json.dumps({"boards": told}, indent=1))
        return 0 if seen else 3
    rows = [(place, one.state, *_named(by_mac, one).values(), *_shown(one)) for place, one in found.items()]
    _show(("device", "now", "board", "is", "chip", "MicroPython", "release"), rows)
    where, new = display.short(known.path), sum(one.what != KNOWN for one in merged.values())
    if not seen:
        display.failed("no board says who it is")
        return 3
    if new:
        count = len(known.entries)
        display.done(f"{where} has {counted(count, 'board')}, new or changed: {new}")
    else:
        display.done(f"{where} is as it was")
    return 0


def _looked(entries: "Sequence[Entry]", slow: float, *, rows: bool) -> "dict[str, Found]":
    """What is at each, all asked at once, by name. `rows`: on a terminal show for whom one waits."""
    from otactl.board import ports
    from otactl.board.discover import Found, look
    from otactl.cli import many
    from otactl.cli.reach import Waits

    found: dict[str, Found] = {}

    def one(entry: "Entry", row: "Row") -> many.Ending:
        row.wait("looking")
        tell = Waits(row, moves=row.moves)
        found[entry.name] = look(entry.device, slow=entry.slow * slow, tell=tell, stop=row.stop)
        return many.Ending(True, found[entry.name].state)

    _, stopped = many.gathered(entries, one, lines=False, rows=rows)
    if stopped:
        raise stopped
    lost = Found(ports.NOT_THERE)  # one that only its address is known of, and that is at no port
    return {entry.name: found.get(entry.name, lost) for entry in entries}


def _before(found: "dict[str, Found]", place: str) -> set[str]:
    """The addresses of the boards at the ports before this one: a board may have two."""
    places = list(found)
    return {found[one].mac for one in places[: places.index(place)]}


def _device(place: str, port: str) -> str:
    """How a board is reached from now on, from any folder: a chip with its own USB by its serial number, whatever its port is
    called."""
    from otactl.board.ports import usb_serial

    serial = usb_serial(port)
    if serial:
        return f"id:{serial}"
    return str(Path(place).absolute()) if Path(place).exists() else place


def _named(by_mac: "dict[str, Merged]", one: "Found") -> dict[str, str | None]:
    merged = by_mac.get(one.mac)
    return {"name": merged.entry.name, "is": merged.what} if merged else {"name": None, "is": None}


def _facts(entry: "Entry") -> dict[str, Any]:
    return {name: value for name, value in dataclasses.asdict(entry).items() if name != "name"}


def _answer(one: "Found") -> dict[str, Any]:
    """What a look has found, but for what boards.toml knows better."""
    return {name: value for name, value in dataclasses.asdict(one).items() if value}


def _shown(one: "Found") -> tuple[str, str, str]:
    return one.chip, one.micropython, one.release


def _show(heads: Sequence[str], rows: "Sequence[Sequence[str | None]]") -> None:
    from rich.table import Table
    from rich.text import Text

    from otactl.cli import display

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for head in heads:
        table.add_column(head)
    for row in rows:
        table.add_row(*(Text(display.plain(cell or "")) for cell in row))
    display.show_table(table)
