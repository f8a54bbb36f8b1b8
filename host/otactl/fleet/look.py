"""The fleet of a workspace as it is now: what the store has heard, with the names and versions that the workspace knows."""

from otactl.fleet.store import Store
from otactl.fleet.table import UNKNOWN, Row, row
from otactl.workspace.workspace import Workspace


def versions(place: Workspace, store: Store) -> dict[int, str]:
    """Of the releases that were published here, by sequence."""
    from otactl.release import channels

    found = {one.sequence: one.version for one in channels.releases(place)}
    return found | {top["sequence"]: top["version"] for top in channels.named(place).values()}


def rows(place: Workspace, store: Store, now: float) -> list[Row]:
    """A row for each board that was heard."""
    known = versions(place, store)
    return [row(one, name=one.said.id, cohort=UNKNOWN, versions=known, now=now) for one in store.boards()]
