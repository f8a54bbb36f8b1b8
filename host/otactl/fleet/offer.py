"""Whom a release is offered. Without a rollout every board gets what its channel names."""

from pathlib import Path

from otactl.fleet.checkin import CheckIn
from otactl.fleet.store import Store
from otactl.workspace.workspace import Workspace


def envelope_for(place: Workspace, store: Store, said: CheckIn, cohort: str) -> Path:
    """The signed release that a board which looks at the channel is answered with."""
    return place.channel_file
