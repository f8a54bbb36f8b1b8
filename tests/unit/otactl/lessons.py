"""A workspace that is served, in which boards A and B are lent: as `otactl dev --wifi` and boards have it, over plain HTTP."""

import json
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from otactl.fleet import borrowing, lending
from otactl.fleet.store import Store
from otactl.release import drafting, envelope
from otactl.release.application import Asked
from otactl.release.drafts import Draft
from otactl.release.publish import publish
from otactl.server.hub import Hub
from otactl.server.server import Server
from otactl.workspace import dsse
from otactl.workspace.workspace import Workspace

A, B = "240ac4000001", "240ac4000002"
MINUTE, HOUR = 60, 3600


@dataclass
class Site:
    """A workspace whose boards A and B run 1.0.0, which has firmware and an application. `now`: the server's time."""

    place: Workspace
    store: Store
    root: Path
    port: int = 0
    now: float = 1e9
    hub: Hub | None = None
    server: Server | None = None

    def looks(
        self, board: str, have: int, said: str = "phase=idle", method: str = "GET", channel: str = "stable"
    ) -> tuple[int, str | None]:
        """(the sequence that it is answered with, what it is asked for: seconds until the next look)."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/{channel}.json", method=method)
        request.add_header("Ota-Board", f"id={board};product=lamp;have={have};{said}")
        with urllib.request.urlopen(request, timeout=20) as answer:
            data, soon = answer.read(), answer.headers.get("Ota-Look")
        return int(payload(data)["sequence"]) if data else 0, soon

    def program(self, text: str) -> Asked:
        (self.root / "app.py").write_text(text)
        return Asked(self.root)

    def publish(self, version: str, firmware: list[Path] | None = None, **more) -> int:
        return publish(self.place, firmware or [], version, app=self.program(f"# {version}"), **more).sequence

    def borrow(self, *boards: str) -> list[str]:
        guests = borrowing.borrow(self.place, self.store, {board: board for board in boards})
        lending.put(self.store, *(guest.lent for guest in guests))
        return [guest.lent.version for guest in guests]

    def save(self, text: str, *boards: str) -> int:
        """As the loop does at a save: its sequence."""
        made = drafting.application(self.place, self.program(text), Draft("1.0.0", boards)).sequence
        lent = [lending.of(self.store, board) for board in boards]
        for one in lent:
            assert one
            until = self.now + 5 * MINUTE
            lending.put(self.store, lending.Lent(one.board, made, until, one.version, one.have, back=False))
        return made


def payload(sealed: bytes) -> dict:
    found: dict = json.loads(dsse.unwrap(sealed, envelope.PAYLOAD_TYPE, "release")[0])
    return found
