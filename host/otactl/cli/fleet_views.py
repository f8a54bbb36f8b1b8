"""What `otactl boards` shows of the boards that have looked at the server: once, as it goes, or one board's history."""

import json
import time
from pathlib import Path
from typing import NoReturn

from otactl.cli import display, fleet_shown
from otactl.errors import UsageError
from otactl.fleet import loans, look, store, table
from otactl.fleet.names import Names
from otactl.fleet.store import Store
from otactl.workspace.workspace import Workspace

_PAUSE_S = 1.0


def heard(workspace: Path | None) -> bool:
    """Whether a server of this workspace has a memory."""
    try:
        return (Workspace.find(workspace or Path()).root / store.FILE).is_file()
    except UsageError:
        return False


def seen(workspace: Path | None, *, as_json: bool) -> int:
    """What was heard, once."""
    place = Workspace.find(workspace or Path())
    rows, now, lent = _rows(place)
    if as_json:
        print(json.dumps(fleet_shown.facts(rows, lent), indent=1))
        return 0
    display.show_page(fleet_shown.page(rows, now, lent))
    if not rows:
        display.follow_up("serve", "boards that look at it are listed here")
    return 0


def facts(workspace: Path | None) -> dict[str, object]:
    """The same for a script that asks for more."""
    rows, _, lent = _rows(Workspace.find(workspace or Path()))
    return fleet_shown.facts(rows, lent)


def _rows(place: Workspace) -> tuple[list[table.Row], float, dict[str, str]]:
    """The rows, when, and which boards are lent; who only asks makes no memory."""
    if not (place.root / store.FILE).is_file():
        return [], 0.0, {}
    with Store(place.root / store.FILE) as kept:
        now = kept.now()
        return look.rows(place, kept, now), now, loans.states(kept)


def watch(workspace: Path | None, *, as_json: bool) -> int:
    """The same as it goes, until Ctrl-C; where output is no terminal, a line for each thing that happens."""
    place = Workspace.find(workspace or Path())
    try:
        with Store(place.root / store.FILE) as kept:
            if as_json or not display.console().is_terminal:
                _follow(place, kept, as_json)
            _live(place, kept)
    except KeyboardInterrupt:
        return 0


def _live(place: Workspace, kept: Store) -> NoReturn:
    from rich.live import Live

    names = Names(place.root)
    with Live(console=display.console(), auto_refresh=False, vertical_overflow="ellipsis") as live:
        while True:
            now = kept.now()
            page = fleet_shown.page(look.rows(place, kept, now, names), now, loans.states(kept))
            live.update(page, refresh=True)
            time.sleep(_PAUSE_S)


def _follow(place: Workspace, kept: Store, as_json: bool) -> NoReturn:
    names, last = Names(place.root), max((number for number, _ in kept.events()), default=0)
    while True:
        for number, event in kept.events(after=last):
            last, versions = number, look.versions(place, kept)
            name, _ = names.of(event.board)
            if as_json:
                print(json.dumps({"name": name} | fleet_shown.event_facts(event, versions)), flush=True)
            else:
                print(f"{display.plain(name)}  {display.plain(table.told(event, versions))}", flush=True)
        time.sleep(_PAUSE_S)


def history(workspace: Path | None, board: str, *, as_json: bool) -> int:
    """What became of the board of that name, or that id. Raises UsageError where none such was heard."""
    place = Workspace.find(workspace or Path())
    found, now, _ = _rows(place)
    rows = [row for row in found if board in (row.name, row.id)]
    if not rows:
        raise UsageError(f"no board {board!r} has looked here: `otactl boards --seen` lists those that have")
    with Store(place.root / store.FILE) as kept:
        versions = look.versions(place, kept)
        events = [event for _, event in kept.events(rows[0].id)]
    if as_json:
        told = [fleet_shown.event_facts(event, versions) for event in events]
        print(json.dumps({"board": rows[0].id, "name": rows[0].name, "events": told}, indent=1))
    else:
        display.show_page(fleet_shown.history(events, versions, now))
    return 0
