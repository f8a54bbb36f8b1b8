"""Whether a channel may be moved by hand: not while a rollout is to move it."""

from otactl.errors import UsageError
from otactl.fleet.rollout_tables import reading
from otactl.fleet.store import FILE, Store
from otactl.workspace.workspace import Workspace


def require_no_rollout(place: Workspace) -> None:
    """Raises UsageError where a release is being rolled out to the channel of `place`."""
    path = place.root / FILE
    if not path.exists():
        return
    with reading(Store(path)) as tables:
        found = tables.last(place.channel)
    if found and not found.over:
        raise UsageError(
            f"{found.version} is being rolled out to {place.channel} ({found.state}), and all boards would get this one at once: "
            "publish it with --no-channel, then `otactl rollout start VERSION`, or `otactl rollout abort` first"
        )
