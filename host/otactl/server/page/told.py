"""The fleet as JSON, in the shapes that the page's scripts know. Times are seconds since 1970."""

from dataclasses import asdict
from typing import Any

from otactl.fleet.machine import STATIC
from otactl.fleet.rollout import View
from otactl.fleet.store import Event
from otactl.fleet.table import NEEDS_A_HAND, Row, told
from otactl.server.page.slots import Slot, release


def board(row: Row) -> dict[str, Any]:
    """A row of the list."""
    seen, said = row.seen_board, row.seen_board.said
    return {
        "id": row.id,
        "name": row.name,
        "cohort": row.cohort,
        "product": row.product,
        "version": row.version or release(said.have, {}),
        "newest": row.newest or release(seen.offered, {}),
        "have": said.have,
        "offered": seen.offered,
        "state": row.state,
        "hand": row.state in NEEDS_A_HAND,
        "why": row.why,
        "reason": said.reason,
        "percent": row.percent,
        "phase": said.phase,
        "uptime": said.uptime,
        "heap": said.heap,
        "rssi": said.rssi,
        "peer": seen.peer,
        "first_seen": seen.first_seen,
        "seen": row.seen,
    }


def slot(drawn: Slot) -> dict[str, Any]:
    """A slot as it is drawn."""
    return asdict(drawn)


def event(happened: Event, versions: dict[int, str]) -> dict[str, Any]:
    """A line of a board's history."""
    return {"at": happened.at, "event": happened.event, "text": told(happened, versions)}


def rollout(view: View | None) -> dict[str, Any] | None:
    """A rollout with its stages; None where there is none."""
    if view is None:
        return None
    stages = [
        {
            "label": one.label,
            "state": one.state,
            "boards": max(one.known, one.given),
            "given": one.given,
            "confirmed": one.confirmed,
            "rolled_back": one.rolled_back,
            "held": one.held,
        }
        for one in view.stages
    ]
    return {
        "version": view.version,
        "state": view.state,
        "why": view.why,
        "over": view.over,
        "static": view.mode == STATIC,
        "stages": stages,
    }
