"""Which deltas publish makes, what the release says of them, and what a person is told."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import cable
import deltas
import pytest
from near import near
from otactl.errors import ReleaseError
from otactl.release import channels, pending, publish
from otactl.release.delta.offer import Asked
from otactl.workspace.workspace import Workspace
from vboard.flash.images import build_app

FIRST = build_app("esp32", seed=1, size=60_000)


@pytest.fixture
def willing(place: Workspace) -> Workspace:
    """Its boards take deltas, as nothing else is said."""
    return place


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
    there = replace(place, board={**place.board, "deltas": False}) if asked else willing
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


# --- whole images, compressed ----------------------------------------------------------------------------------------


@pytest.fixture
def slow(place: Workspace) -> Workspace:
    """Its boards are on a slow link."""
    return replace(place, board={**place.board, "compressed": True})


def test_image_that_is_worth_it_is_there_compressed(slow: Workspace) -> None:
    app = cable.wordy(60_000)
    done = released(slow, "1.0.0", app)
    said = done.targets[0]["compressed"]
    file = (slow.releases / said["url"]).read_bytes()
    assert said["size"] == len(file) < 0.8 * len(app)
    assert deltas.apply(file, b"", bytes.fromhex(said["chain"])) == app
    assert max(len(record) for record in deltas.records(file)) == said["room"]
    assert f"compressed: {len(file)} bytes" in "".join(done.deltas)
    assert bases(done) == []


def test_image_that_is_not_worth_it_is_not(slow: Workspace) -> None:
    done = released(slow, "1.0.0", FIRST)
    assert "compressed" not in done.targets[0]
    assert done.deltas == ["not compressed: it would be 100% of the image"]
    assert not list(slow.releases.glob("*/*.compressed"))


def test_boards_on_a_fast_link_get_none(place: Workspace, willing: Workspace) -> None:
    assert "compressed" not in released(place, "1.0.0", cable.wordy(60_000)).targets[0]
    assert "compressed" not in released(willing, "1.1.0", cable.wordy(60_000)).targets[0]


def test_deltas_give_way_before_the_compressed_image(slow: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Boards read no more than so much of a release file."""
    both = replace(slow, board={**slow.board, "deltas": True})
    apps = [cable.wordy(60_000 + 4096 * n) for n in range(2)]
    released(both, "1.0.0", apps[0])
    rooms = iter([False, True])
    monkeypatch.setattr(pending, "has_room", lambda *_: next(rooms))
    done = released(both, "1.1.0", apps[1])
    assert [name for name in ("deltas", "compressed") if name in done.targets[0]] == ["compressed"]
    rooms = iter([False, False, False, True])
    done = released(both, "1.2.0", cable.wordy(72_000))
    assert [name for name in ("deltas", "compressed") if name in done.targets[0]] == []
    assert not list(both.releases.glob("1.2.0/*.compressed"))
