"""The fleet on a terminal and for scripts: a line on top, what needs a hand with the next step, a row a board, and one board's
history."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from otactl.cli import display
from otactl.fleet import loans, table
from otactl.fleet.store import Event
from otactl.fleet.table import Row

_STYLES = {
    "current": "green",
    "rolled-back": "red",
    "refused": "red",
    "silent": "dim",
    "updating": "bold",
    "on-trial": "bold",
}
_FIRST = {state: order for order, state in enumerate(("rolled-back", "refused", "on-trial", "updating"))}
_WIDEST = 24  # characters of a name or a version: both may be a stranger's


def page(rows: Sequence[Row], now: float, lent: Mapping[str, str] | None = None) -> RenderableType:
    """All of it, what needs a hand or is under way first. `now`: seconds since 1970; `lent`: as loans.states() has it."""
    if not rows:
        return Text("no board has looked here yet")
    told = loans.lines(lent or {}, {one.id: _short(one.name) for one in rows})
    lines = [Text(display.plain(line)) for line in told]
    return Group(Text(table.headline(rows), "bold"), *lines, *_reasons(rows), Text(), _boards(rows, now))


def _reasons(rows: Sequence[Row]) -> list[RenderableType]:
    """A line for each reason, with the boards that have it: what they need is the same."""
    names: dict[str, list[str]] = {}
    for one in rows:
        if one.why and one.state in table.NEEDS_A_HAND:
            names.setdefault(one.why, []).append(_short(one.name))
    found: list[RenderableType] = []
    for why, boards in names.items():
        found.append(display.verdict(f"{', '.join(boards[:8])}{' …' if len(boards) > 8 else ''}", False))
        found.append(Padding(Text(display.plain(why)), (0, 0, 0, 4)))
    return found


def _boards(rows: Sequence[Row], now: float) -> Table:
    drawn = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for head in ("board", "cohort", "release", "now", "seen"):
        drawn.add_column(head, no_wrap=True)
    for one in sorted(rows, key=lambda row: (_FIRST.get(row.state, len(_FIRST)), row.name)):
        cells = (
            _short(one.name),
            _short(one.cohort),
            _short(one.version or "unknown"),
            _words(one),
            table.ago(now - one.seen),
        )
        drawn.add_row(*(Text(cell, _STYLES.get(one.state, "") if at == 3 else "") for at, cell in enumerate(cells)))
    return drawn


def _words(one: Row) -> str:
    to = _short(one.newest)
    if one.state == "updating":
        return f"takes {to} {one.percent}%" if one.percent is not None else f"takes {to}"
    said = {
        "current": "up to date",
        "behind": f"gets {to}",
        "refused": f"refuses {to}",
    }
    return said.get(one.state, table.word(one.state))


def _short(text: str) -> str:
    text = display.plain(text)
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def facts(rows: Sequence[Row], lent: Mapping[str, str]) -> dict[str, Any]:
    """The same for scripts. Times in seconds since 1970."""
    boards = [_facts(one) | {"lent": lent.get(one.id, "")} for one in rows]
    return {"headline": table.headline(rows), "boards": boards}


def _facts(one: Row) -> dict[str, Any]:
    seen = one.seen_board
    found = {name: value for name, value in dataclasses.asdict(one).items() if name != "seen_board"}
    said = dataclasses.asdict(seen.said)
    return (
        found
        | {name: value for name, value in said.items() if name not in found}
        | {"peer": seen.peer, "first_seen": seen.first_seen}
    )


def history(events: Sequence[Event], versions: dict[int, str], now: float) -> Table:
    """What became of one board, the newest last."""
    drawn = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    drawn.add_column(no_wrap=True, style="dim")
    drawn.add_column()
    for event in events:
        drawn.add_row(table.ago(now - event.at), Text(display.plain(table.told(event, versions))))
    return drawn


def event_facts(event: Event, versions: dict[int, str]) -> dict[str, Any]:
    """One for scripts."""
    return dataclasses.asdict(event) | {"version": versions.get(event.sequence, "")}
