"""What Home Assistant is told of a board, held against its own schema; and what its button does."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from otactl.fleet import approval, homeassistant
from otactl.fleet.checkin import CheckIn
from otactl.fleet.store import FILE, Seen, Store
from otactl.fleet.table import Row, row
from otactl.release import publish
from otactl.workspace.workspace import Workspace
from vboard.flash import images

NOW = 1_800_000_000.0
ID = "240ac4000001"


def text(value: object) -> bool:
    return isinstance(value, str)


def topic(value: object) -> bool:
    return isinstance(value, str) and bool(value) and not set("+#\0") & set(value)


# Of homeassistant/components/mqtt/update.py, discovery.py and schemas.py (2026.11): what it knows, and of which type.
STATE: dict[str, Callable[[Any], bool]] = {
    "installed_version": text,
    "latest_version": text,
    "title": text,
    "release_summary": lambda value: text(value) and len(value) <= 255,
    "release_url": text,
    "entity_picture": text,
    "in_progress": lambda value: value is True or value is False,
    "update_percentage": lambda value: value is None or (type(value) is int and 0 <= value <= 100),
}
ENTITY: dict[str, Callable[[Any], bool]] = {
    "platform": lambda value: value == "update",
    "unique_id": text,
    "name": text,
    "device_class": lambda value: value == "firmware",
    "title": text,
    "state_topic": topic,
    "command_topic": topic,
    "payload_install": text,
    "availability": lambda value: all(set(one) == {"topic"} and topic(one["topic"]) for one in value),
    "availability_mode": lambda value: value in ("all", "any", "latest"),
}
DEVICE: dict[str, Callable[[Any], bool]] = {
    "identifiers": lambda value: bool(value) and all(map(text, value)),
    "name": text,
    "manufacturer": text,
    "model": text,
    "sw_version": text,
}


def fits(value: dict[str, Any], schema: dict[str, Callable[[Any], bool]]) -> None:
    for name, one in value.items():
        assert name in schema and schema[name](one), f"{name} = {one!r}"


def fits_discovery(config: dict[str, Any]) -> None:
    assert set(config) == {"device", "origin", "components"} and text(config["origin"]["name"])
    fits(config["device"], DEVICE)
    assert config["components"]
    for entity in config["components"].values():
        fits(entity, ENTITY)
        assert {"platform", "unique_id", "state_topic"} <= set(entity)
        assert ("command_topic" in entity) == ("payload_install" in entity)  # no button that sends nothing


def board(
    have: int = 1, *, offered: int = 2, done: int = 0, size: int = 0, name: str = "kitchen", ago: float = 5, **said
) -> Row:
    seen = Seen(CheckIn(said.pop("id", ID), "lamp", have, **said), "10.0.0.7", NOW - 60, NOW - ago, offered, done, size)
    return row(seen, name=name, cohort="default", versions={1: "1.0.0", 2: "1.1.0"}, now=NOW)


def told(row: Row, **more: Any) -> dict[str, Any]:
    found = homeassistant.messages(row, "lamp", **{"button": True, **more})
    config, state, online = found.values()
    fits_discovery(config)
    fits(json.loads(json.dumps(state)), STATE)
    assert all(topic(one) for one in found)
    return {"config": config, "online": online, **state}


UPDATING = {"phase": "writing", "sequence": 2}
FAILED = {"phase": "failed", "sequence": 2, "reason": "check-wifi"}


@pytest.mark.parametrize(
    ("given", "more", "expected"),
    [
        (board(2), {}, {"installed_version": "1.1.0", "latest_version": "1.1.0", "in_progress": False}),
        (board(1), {}, {"installed_version": "1.0.0", "latest_version": "1.1.0", "in_progress": False}),
        (board(2, offered=1), {}, {"installed_version": "1.1.0", "latest_version": "1.1.0"}),
        (board(1, done=42, size=100, **UPDATING), {}, {"in_progress": True, "update_percentage": 42}),
        (board(1, phase="trial", sequence=2), {}, {"in_progress": True, "update_percentage": None}),
        (board(2, phase="confirmed", sequence=2), {}, {"in_progress": False, "update_percentage": None}),
        (board(1, **FAILED), {}, {"in_progress": False, "latest_version": "1.1.0"}),
        (board(9), {}, {"installed_version": "sequence 9", "latest_version": "sequence 9"}),
        (board(1, offered=1), {"waiting": "1.1.0"}, {"latest_version": "1.1.0", "in_progress": False}),
        (board(1, offered=1), {"waiting": "1.1.0", "pressed": True}, {"latest_version": "1.1.0", "in_progress": True}),
        (board(1), {}, {"online": "online"}),
        (board(1, ago=86400), {}, {"online": "offline"}),
    ],
    ids=["has it", "behind", "never offered less", "downloads", "on trial", "done", "rolled back", "a stranger's release",
         "held back", "wanted", "there", "silent"],
)  # fmt: skip
def test_a_board_is_told_in_the_types_of_home_assistant(given: Row, more: dict, expected: dict[str, Any]) -> None:
    found = told(given, **more)
    assert {name: found[name] for name in expected} == expected


def test_what_a_board_does_not_know_is_left_out() -> None:
    found = told(board(0, offered=0))
    assert not {"installed_version", "latest_version"} & set(found)  # null would make Home Assistant drop all of it


def test_why_a_board_went_back_is_said_and_no_longer_than_home_assistant_takes() -> None:
    assert "Wi-Fi" in told(board(1, **FAILED))["release_summary"]
    long = Row(**{name: getattr(board(), name) for name in Row.__slots__} | {"why": "x" * 999})
    assert len(told(long)["release_summary"]) == 255


def test_a_board_without_a_button_has_no_topic_for_it() -> None:
    assert "command_topic" not in told(board(), button=False)["config"]["components"]["firmware"]


@pytest.mark.parametrize(
    ("given", "is_told"),
    [
        (board(), True),
        (board(name=ID), False),
        (board(id="../#/+", name="x"), False),
        (board(id="a.b", name="x"), False),
        (board(id="a-b_c", name="x"), True),
    ],
)
def test_only_boards_that_a_person_has_named_and_that_fit_into_a_topic_are_told(given: Row, is_told: bool) -> None:
    assert homeassistant.is_told(given) is is_told


def test_a_product_fits_into_a_topic() -> None:
    assert topic(homeassistant.hub_topic("lamp/+#")) and homeassistant.hub_topic("a b").count("/") == 2


@pytest.fixture(scope="module")
def published(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with 1.0.0, 1.1.0, which its channel names, and 1.2.0, which none names yet."""
    folder = tmp_path_factory.mktemp("held")
    place = Workspace.find(Path(shutil.copytree(made, folder / "workspace")))
    (folder / "firmware.bin").write_bytes(images.build_app("esp32", size=4096))
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        publish.publish(place, [folder / "firmware.bin"], version, named=version != "1.2.0")
    return place.root


@pytest.fixture
def held(published: Path, tmp_path: Path) -> tuple[Workspace, Store]:
    """A workspace with 1.0.0 and 1.1.0, which waits."""
    place = Workspace.find(Path(shutil.copytree(published, tmp_path / "workspace")))
    store = Store(place.root / FILE)
    approval.hold(store, True)
    return place, store


def answered(held: tuple[Workspace, Store], have: int, *, named: bool = True, **said: Any) -> str:
    place, store = held
    path = approval.offered(place, store, CheckIn(ID, have=have, **said), place.channel_file, named=named)
    return path.relative_to(place.root if approval.FOLDER in path.parts else place.releases).as_posix()


def test_a_release_waits_until_it_is_wanted_and_the_next_one_waits_anew(held: tuple[Workspace, Store]) -> None:
    place, store = held
    assert answered(held, 1) == "1.0.0/release.json"
    assert approval.waits(store, ID) == (2, False)
    assert approval.want(store, ID) == 2
    assert approval.waits(store, ID) == (2, True)
    assert answered(held, 1) == "stable.json"
    assert answered(held, 2) == "stable.json"
    assert approval.waits(store, ID) == (0, False)
    shutil.copy(place.releases / "1.2.0" / "release.json", place.channel_file)
    assert answered(held, 2) == "held/2.json"
    assert approval.waits(store, ID) == (3, False)


def test_a_board_is_answered_with_what_it_has_as_it_was_signed_last(held: tuple[Workspace, Store]) -> None:
    """An earlier file of the same release is a replay to a board, and an alarm."""
    place, _ = held
    assert answered(held, 2) == "stable.json"
    renewed = place.channel_file.read_bytes() + b"\n"
    place.channel_file.write_bytes(renewed)
    assert answered(held, 2) == "stable.json"
    shutil.copy(place.releases / "1.2.0" / "release.json", place.channel_file)
    assert (place.root / answered(held, 2)).read_bytes() == renewed


@pytest.mark.parametrize("phase", ["writing", "ready", "trial", "failed"])
def test_a_board_that_has_met_the_release_is_not_told_of_the_one_before(held, phase: str) -> None:
    assert answered(held, 1, phase=phase, sequence=2) == "stable.json"
    assert answered(held, 1, phase=phase, sequence=1) == "1.0.0/release.json"


@pytest.mark.parametrize(
    ("have", "named"), [(0, True), (7, True), (1, False)], ids=["knows of none", "a later one", "not named"]
)
def test_a_board_that_could_not_be_held_gets_what_the_channel_names(held, have: int, named: bool) -> None:
    assert answered(held, have, named=named) == "stable.json"
    assert approval.waits(held[1], ID) == (0, False)


def test_a_press_is_for_what_waits_alone(held: tuple[Workspace, Store]) -> None:
    assert approval.want(held[1], ID) == 0
    assert answered(held, 1) == "1.0.0/release.json"


def test_where_nothing_is_held_nothing_waits(held: tuple[Workspace, Store]) -> None:
    answered(held, 1)
    approval.hold(held[1], False)
    assert approval.waits(held[1], ID) == (0, False)
    assert answered(held, 1) == "stable.json"
