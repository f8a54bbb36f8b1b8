"""Releases: what is written, in which order, and what is refused before anything is."""

import json
import threading
from hashlib import sha256
from pathlib import Path

import pytest
from otactl.errors import ReleaseError, UsageError
from otactl.release import channels, envelope, parts, publish
from otactl.release.sequence import MAX_INT
from otactl.workspace import keys
from otactl.workspace.workspace import Workspace


def files_of(place: Workspace) -> dict[str, bytes]:
    kept = [*place.releases.rglob("*"), place.root / "sequence"]
    return {str(p.relative_to(place.root)): p.read_bytes() for p in kept if p.is_file()}


def channel(place: Workspace) -> dict:
    return envelope.unseal(place.channel_file.read_bytes(), keys.trusted(place.trusted))


def test_a_release_is_signed_and_its_files_are_as_it_says(place: Workspace, firmware_file) -> None:
    paths = [firmware_file("esp32"), firmware_file("esp32s3")]
    done = publish.publish(place, paths, "1.0.0")
    payload = channel(place)
    assert payload["schema"] == 1
    assert (payload["product"], payload["version"]) == ("lamp", "1.0.0")
    assert (payload["sequence"], payload["security_version"]) == (1, 0)
    assert payload["published"].endswith("Z")
    assert [t["chip"] for t in payload["targets"]] == ["esp32", "esp32s3"]
    for target, path in zip(payload["targets"], paths, strict=True):
        data = (place.releases / target["url"]).read_bytes()
        assert data == path.read_bytes()
        assert (target["size"], target["sha256"]) == (len(data), sha256(data).hexdigest())
        assert target["kind"] == "firmware"
        assert "build" not in target
    assert done.targets == payload["targets"]


def test_the_release_is_kept_beside_its_files_as_well(place: Workspace, firmware_file) -> None:
    publish.publish(place, [firmware_file()], "1.0.0")
    kept = place.releases / "1.0.0" / "release.json"
    assert kept.read_bytes() == place.channel_file.read_bytes()


def test_a_full_flash_file_is_published_as_its_app(place: Workspace, real_firmware: Path) -> None:
    path = real_firmware / "ESP32_GENERIC-20250911-v1.26.1.bin"
    done = publish.publish(place, [path], "1.26.1")
    assert done.targets[0]["size"] == 1672976
    assert done.notes == [f"{path.name}: a full-flash file: took the app out of its partition factory at 0x10000"]


@pytest.mark.parametrize(
    ("version", "warned"), [("1.23.0", True), ("1.25.0", True), ("1.26.0", False), ("1.30.1", False)]
)
def test_a_firmware_that_makes_no_partition_for_files_is_told_of(
    place: Workspace, firmware_file, version: str, warned: bool
) -> None:
    path = firmware_file()
    path.write_bytes(path.read_bytes() + f"MicroPython v{version} on 2025-09-11\0".encode())
    notes = publish.publish(place, [path], "1.0.0").notes
    assert [note.partition(" finds files in a vfs ")[0] for note in notes] == (
        [f"{path.name}: MicroPython {version}"] if warned else []
    )


def test_the_channel_always_points_at_the_newest(place: Workspace, firmware_file) -> None:
    for number, version in enumerate(("1.0.0", "1.1.0", "1.0.1"), 1):
        publish.publish(place, [firmware_file()], version)
        assert (channel(place)["version"], channel(place)["sequence"]) == (version, number)


def test_a_sequence_is_at_least_what_was_asked_for_and_the_next_ones_go_on_from_there(
    place: Workspace, firmware_file
) -> None:
    asked = {"1.0.0": None, "1.1.0": 40, "1.2.0": 7, "1.3.0": None}
    got = [publish.publish(place, [firmware_file()], name, sequence=at).sequence for name, at in asked.items()]
    assert got == [1, 40, 41, 42]
    assert channel(place)["sequence"] == 42
    for wrong in (0, -1, MAX_INT + 1):
        with pytest.raises(UsageError, match="--sequence"):
            publish.publish(place, [firmware_file()], "2.0.0", sequence=wrong)
    assert channel(place)["version"] == "1.3.0"


def test_a_build_glob_goes_into_each_target(place: Workspace, firmware_file) -> None:
    publish.publish(place, [firmware_file()], "1.0.0", build="ESP32_GENERIC*")
    assert channel(place)["targets"][0]["build"] == "ESP32_GENERIC*"


def test_the_security_version_is_kept_and_may_rise(place: Workspace, firmware_file) -> None:
    for version, asked, expected in (("1", None, 0), ("2", 3, 3), ("3", None, 3), ("4", 3, 3)):
        publish.publish(place, [firmware_file()], version, security_version=asked)
        assert channel(place)["security_version"] == expected


@pytest.mark.parametrize(
    ("version", "more", "error", "why"),
    [
        ("2", {"security_version": 2}, ReleaseError, "below the newest release's 3"),
        ("2", {"security_version": MAX_INT + 1}, UsageError, "from 0 to 2147483647"),
        ("2", {"security_version": -1}, UsageError, "from 0 to 2147483647"),
        ("1", {}, ReleaseError, "published already"),
        ("", {}, UsageError, "letters, digits"),
        ("../x", {}, UsageError, "letters, digits"),
        ("1 0", {}, UsageError, "letters, digits"),
        ("1" * 33, {}, UsageError, "32 at the most"),
        ("2\n", {}, UsageError, "letters, digits"),
        ("2", {"build": "x" * 65}, UsageError, "1 to 64"),
        ("2", {"build": ""}, UsageError, "1 to 64"),
    ],
)
def test_what_is_refused_changes_nothing(
    place: Workspace, firmware_file, version: str, more: dict, error: type, why: str
) -> None:
    publish.publish(place, [firmware_file()], "1", security_version=3)
    before = files_of(place)
    with pytest.raises(error, match=why):
        publish.publish(place, [firmware_file()], version, **more)
    assert files_of(place) == before


def test_a_damaged_file_among_good_ones_changes_nothing(place: Workspace, firmware_file) -> None:
    bad = firmware_file("esp32s3")
    bad.write_bytes(bad.read_bytes()[:-1])
    with pytest.raises(ReleaseError, match="damaged"):
        publish.publish(place, [firmware_file("esp32"), bad], "1.0.0")
    assert files_of(place) == {}


def test_a_firmware_too_old_for_the_agent_is_refused(place: Workspace, real_firmware: Path) -> None:
    before = files_of(place)
    with pytest.raises(ReleaseError, match=r"MicroPython 1\.20\.0, too old"):
        publish.publish(place, [real_firmware / "ESP32_GENERIC_C3-20230426-v1.20.0.bin"], "1.0.0")
    assert files_of(place) == before


def test_two_images_for_one_chip_are_refused(place: Workspace, firmware_file) -> None:
    with pytest.raises(UsageError, match="same chip"):
        publish.publish(place, [firmware_file(seed=1), firmware_file(seed=2)], "1.0.0")


def test_a_run_that_was_broken_off_can_be_repeated_under_a_new_sequence(
    place: Workspace, firmware_file, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = publish.write_atomic

    def broken(path: Path, data: bytes) -> None:
        if path == place.channel_file:
            raise OSError("no space left")
        whole(path, data)

    monkeypatch.setattr(channels, "write_atomic", broken)
    with pytest.raises(OSError, match="no space"):
        publish.publish(place, [firmware_file()], "1.0.0")
    assert not place.channel_file.exists()
    monkeypatch.undo()
    assert publish.publish(place, [firmware_file()], "1.0.1").sequence == 2


def test_the_channel_is_written_last(place: Workspace, firmware_file, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Path] = []
    whole = publish.write_atomic
    for module in (publish, parts, channels):
        monkeypatch.setattr(module, "write_atomic", lambda path, data: (written.append(path), whole(path, data)))
    publish.publish(place, [firmware_file("esp32"), firmware_file("esp32s3")], "1.0.0")
    names = [path.name for path in written]
    assert names == ["esp32.bin", "esp32s3.bin", "release.json", "stable.json"]


def test_releases_made_at_once_get_sequences_of_their_own(place: Workspace, firmware_file) -> None:
    path = firmware_file()
    runs = [threading.Thread(target=publish.publish, args=(place, [path], f"1.0.{n}")) for n in range(4)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    kept = [json.loads(p.read_text()) for p in place.releases.glob("*/release.json")]
    found = sorted(envelope.unseal(json.dumps(one).encode(), keys.trusted(place.trusted))["sequence"] for one in kept)
    assert found == [1, 2, 3, 4]
    assert channel(place)["sequence"] == 4


def test_the_current_release_must_be_ours(place: Workspace, firmware_file, stranger: Path) -> None:
    assert channels.current(place) is None
    publish.publish(place, [firmware_file()], "1.0.0")
    assert channels.current(place)["version"] == "1.0.0"  # type: ignore[index]
    place.channel_file.write_bytes(envelope.seal({"sequence": 9}, [keys.load(stranger)]))
    with pytest.raises(ReleaseError, match=r"stable\.json.*not signed by a key"):
        channels.current(place)
