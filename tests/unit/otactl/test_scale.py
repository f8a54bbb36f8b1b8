"""Twenty boards at one `otactl serve`, as `make scale` has four hundred."""

import asyncio
from pathlib import Path

from otactl.release import publish
from otactl.workspace.workspace import Workspace
from scale.play import Asked, play
from scale.served import serving
from vboard.flash import images


def test_twenty_boards_look_update_and_report_at_once(place: Workspace, tmp_path: Path) -> None:
    (tmp_path / "firmware.bin").write_bytes(images.build_app("esp32", size=60_000))
    publish.publish(place, [tmp_path / "firmware.bin"], "1.0.0")
    publish.publish(place, [tmp_path / "firmware.bin"], "1.1.0")
    with serving(place) as server:
        assert asyncio.run(play(Asked(boards=20, speed=200_000, trial=0.1, spread=0, rounds=1), place, server))
