"""The boards whose word may let a rollout go on: those that were heard before it began, and those that a person has named."""

from otactl.fleet.store import Store
from otactl.fleet.table import UNKNOWN
from otactl.workspace.roster import Roster
from otactl.workspace.workspace import Workspace


def known_boards(place: Workspace, store: Store) -> dict[str, str]:
    """Their cohorts by id."""
    named = [entry.mac.replace(":", "") for entry in Roster.load(place.root).entries if entry.mac]
    return dict.fromkeys([*named, *(seen.said.id for seen in store.boards())], UNKNOWN)
