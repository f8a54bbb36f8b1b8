"""Which deltas publish makes, what the release says of them, and what a person is told."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import deltas
import pytest
from near import near
from otactl.errors import ReleaseError
from otactl.release import channels, publish
from otactl.release.delta.offer import Asked
from otactl.workspace.workspace import Workspace
from vboard.flash.images import build_app

FIRST = build_app("esp32", seed=1, size=60_000)


@pytest.fixture
def willing(place: Workspace) -> Workspace:
    """Its boards take deltas."""
    return replace(place, board={**place.board, "deltas": True})


def released(place: Workspace, version: str, app: bytes, asked: Asked | None = Asked()) -> publish.Published:
    path = place.root / f"{version}.bin"
    path.write_bytes(app)
    return publish.publish(place, [path], version, deltas=asked)


def bases(done: publish.Published) -> list[str]:
    return [one["base"] for one in done.targets[0].get("deltas", [])]


def digest(app: bytes) -> str:
    return sha256(app).hexdigest()


def test_the_last_three_releases_get_a_delta_which_makes_the_image(willing: Workspace) -> None:
    apps = [FIRST]
    for n in range(1, 5):
        apps.append(near(apps[-1], n))
    for n, app in enumerate(apps):
        done = released(willing, f"1.{n}.0", app)
    assert bases(done) == [digest(app) for app in (apps[3], apps[2], apps[1])]
    for base, said in zip((apps[3], apps[2], apps[1]), done.targets[0]["deltas"], strict=True):
        file = (willing.releases / said["url"]).read_bytes()
        assert (said["base_size"], said["size"]) == (len(base), len(file))
        assert deltas.apply(file, base, bytes.fromhex(said["chain"])) == apps[4]
        assert f"{len(file)} bytes" in "".join(done.deltas)
    assert channels.release(willing, "1.4.0").targets == done.targets


def test_what_is_not_worth_it_is_not_there(willing: Workspace) -> None:
    released(willing, "1.0.0", FIRST)
    done = released(willing, "1.1.0", build_app("esp32", seed=2, size=60_000))
    assert bases(done) == []
    assert done.deltas[0].startswith("no delta from 1.0.0: it would be ")
    assert not list(willing.releases.glob("*/*.delta"))


@pytest.mark.parametrize("asked", [None, Asked()])
def test_boards_that_take_none_get_none(place: Workspace, willing: Workspace, asked: Asked | None) -> None:
    there = place if asked else willing
    released(there, "1.0.0", FIRST, asked)
    assert bases(released(there, "1.1.0", near(FIRST, 1), asked)) == []


def test_a_file_that_is_named_is_a_base_as_well(willing: Workspace, tmp_path: Path, firmware_file: Any) -> None:
    path = tmp_path / "factory.bin"
    path.write_bytes(near(FIRST, 9))
    done = released(willing, "1.0.0", FIRST, Asked([path]))
    assert bases(done) == [digest(path.read_bytes())]
    with pytest.raises(ReleaseError, match="esp32c3"):
        released(willing, "1.1.0", FIRST, Asked([firmware_file("esp32c3")]))
    assert not (willing.releases / "1.1.0").exists()
