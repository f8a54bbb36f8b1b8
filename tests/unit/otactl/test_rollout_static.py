"""A rollout by files alone: each cohort has a channel, and a person says when the next one names the release."""

import shutil
from pathlib import Path

import pytest
import shared
from otactl.errors import ReleaseError, UsageError
from otactl.fleet import offer, rollout, rollout_static
from otactl.fleet.checkin import CheckIn
from otactl.fleet.machine import STATIC
from otactl.fleet.store import FILE, Store
from otactl.release import channels
from otactl.release.publish import publish
from otactl.workspace.workspace import Workspace
from vboard.flash.images import build_app


@pytest.fixture
def place(made: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """1.0.0 in stable and canary, 1.1.0 in none."""

    def make(at: Path) -> None:
        shutil.copytree(made, at, dirs_exist_ok=True)
        for number, version in enumerate(("1.0.0", "1.1.0")):
            image = at / "image.bin"
            image.write_bytes(build_app("esp32", seed=number, size=20_000))
            publish(Workspace.find(at), [image], version, named=not number)
        channels.promote(Workspace.find(at), "1.0.0", "canary")

    shutil.copytree(shared.made(tmp_path_factory, "rollout-static", make), tmp_path / "static")
    return Workspace.find(tmp_path / "static")


@pytest.fixture
def store(place: Workspace) -> Store:
    return Store(place.root / FILE)


def start(place: Workspace, store: Store, cohorts: str = "canary,beta") -> rollout.View:
    return rollout.start(
        place, store, "1.1.0", rollout.Asked(rollout_static.plan(place, cohorts, None), mode=STATIC), {}
    )


def named(place: Workspace) -> dict[str, tuple[str, int]]:
    return {name: (one["version"], one["sequence"]) for name, one in channels.named(place).items()}


def test_a_channel_after_the_other_names_the_same_file(place: Workspace, store: Store) -> None:
    assert start(place, store).stages[0].state == "running"
    assert named(place) == {"canary": ("1.1.0", 2), "stable": ("1.0.0", 1)}
    rollout.go_on(place, store)
    assert named(place) == {"canary": ("1.1.0", 2), "beta": ("1.1.0", 2), "stable": ("1.0.0", 1)}
    assert rollout.go_on(place, store).state == "done"
    assert len({path.read_bytes() for path in place.releases.glob("*.json")}) == 1
    with pytest.raises(UsageError, match="is done"):
        rollout.go_on(place, store)


def test_while_it_is_paused_no_channel_follows(place: Workspace, store: Store) -> None:
    start(place, store)
    rollout.pause(store)
    with pytest.raises(UsageError, match="`otactl rollout resume` first"):
        rollout.go_on(place, store)
    assert "beta" not in named(place)


def test_after_abort_channels_go_back_under_a_later_sequence(place: Workspace, store: Store) -> None:
    start(place, store)
    rollout.go_on(place, store)
    with pytest.raises(UsageError, match="by the release key"):  # which no page takes
        rollout.give_up(store)
    assert rollout.abort(place, store).state == "aborted"
    assert named(place) == {"canary": ("1.0.0", 3), "beta": ("1.0.0", 4), "stable": ("1.0.0", 1)}


def test_it_is_begun_again_under_a_sequence_beyond_all_of_them(place: Workspace, store: Store) -> None:
    start(place, store)
    rollout.abort(place, store)
    start(place, store, "canary")
    rollout.go_on(place, store)
    assert named(place) == {"canary": ("1.1.0", 4), "stable": ("1.1.0", 4)}


def test_a_channel_that_was_moved_meanwhile_is_not_moved_back(place: Workspace, store: Store) -> None:
    start(place, store)
    image = place.root / "image.bin"
    image.write_bytes(build_app("esp32", seed=9, size=20_000))
    publish(place.on("beta"), [image], "1.2.0")
    with pytest.raises(ReleaseError, match=r"beta names 1\.2\.0 meanwhile"):
        rollout.go_on(place, store)
    view = rollout.current(place, store)
    assert view
    assert (view.state, view.stage) == ("running", 0)


def test_who_asks_a_server_gets_the_file_of_the_channel(place: Workspace, store: Store) -> None:
    start(place, store)
    assert offer.envelope_for(place, store, CheckIn("b0"), "canary") == place.channel_file


@pytest.mark.parametrize(("cohorts", "percents"), [(None, None), ("stable", None), ("canary", "50")])
def test_what_files_cannot_do_is_refused(place: Workspace, cohorts: str | None, percents: str | None) -> None:
    with pytest.raises(UsageError, match=r"--static|--percent"):
        rollout_static.plan(place, cohorts, percents)
