"""Where `otactl serve` tells of its boards beside its own commands: Prometheus, and Home Assistant by MQTT."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from otactl.errors import UsageError

if TYPE_CHECKING:
    from otactl.fleet.store import Store
    from otactl.server.broker import Broker
    from otactl.server.files import Room, Watch
    from otactl.workspace.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Asked:
    """As the command's options have it. `mqtt`: the broker's address; `install`: releases wait for a press of its button."""

    metrics: bool
    mqtt: str | None
    install: bool

    def check(self, remembers: bool) -> None:
        """Raises UsageError where it cannot be had. `remembers`: whether the server has a memory."""
        if self.install and not self.mqtt:
            raise UsageError("--mqtt-install: a button needs a broker, name it with --mqtt HOST")
        if (self.metrics or self.mqtt) and not remembers:
            raise UsageError("--metrics and --mqtt tell what a server remembers: leave out --no-fleet")

    def hold(self, store: "Store") -> None:
        """From now on releases wait for a press, or do not. Raises UsageError where the memory cannot be written."""
        from otactl.fleet import approval

        approval.hold(store, self.install)

    def rooms(
        self, place: "Workspace", store: "Store", watch: "Watch", tell: Callable[[str], None]
    ) -> "tuple[list[Room], Watch]":
        """What they add to a server, and its `watch`, which they listen to. Raises UsageError."""
        from otactl.fleet import look
        from otactl.fleet.names import Names

        found: list[Room] = []
        names = Names(place.root)

        def rows() -> list[look.Row]:
            return look.rows(place, store, time.time(), names)

        if self.metrics:
            from otactl.server.metrics import Metrics

            counting = Metrics(rows)
            watch = counting.watching(watch)
            found.append(counting.room)
        if self.mqtt:
            found.append(_bridge(place, store, rows, self.broker(place), self.install, tell))
        return found, watch

    def broker(self, place: "Workspace") -> "Broker":
        """Raises UsageError."""
        from otactl.server.broker import broker

        return broker(self.mqtt or "", place.mqtt, place.root)


def _bridge(
    place: "Workspace",
    store: "Store",
    rows: "Callable[[], list]",
    broker: "Broker",
    install: bool,
    tell: Callable[[str], None],
) -> "Room":
    from otactl.fleet import approval, look

    try:
        from otactl.server.mqtt import Bridge, Fleet
    except ModuleNotFoundError as error:
        raise UsageError(
            f"--mqtt needs {error.name}: pip install 'micropython-ota-agent[mqtt]', or pipx inject micropython-ota-agent aiomqtt"
        ) from None

    def version(sequence: int) -> str:
        return look.versions(place, store).get(sequence, f"sequence {sequence}") if sequence else ""

    def waits(board: str) -> tuple[str, bool]:
        sequence, wanted = approval.waits(store, board)
        return version(sequence), wanted

    def want(board: str) -> str:
        return version(approval.want(store, board))

    fleet = Fleet(rows, waits, want) if install else Fleet(rows)
    return Bridge(broker, place.product, fleet, tell).room
