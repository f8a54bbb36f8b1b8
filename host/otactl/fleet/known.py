"""The boards whose word may let a rollout go on: those that were heard before it began, and those that a person has named."""

from otactl.fleet.names import Names
from otactl.fleet.store import Store
from otactl.workspace.workspace import Workspace


def known_boards(place: Workspace, store: Store) -> dict[str, str]:
    """Their cohorts by id. Raises UsageError where boards.toml or boards.csv is damaged."""
    names = Names(place.root)
    heard = [seen.said.id for seen in store.boards()]
    return {board: names.of(board)[1] for board in [*names.every(), *heard]}
