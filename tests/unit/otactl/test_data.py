"""A file that is published for a data partition: what its release says, what is refused, what a person is told."""

from hashlib import sha256
from pathlib import Path

import pytest
from otactl.cli.main import main
from otactl.errors import ReleaseError, UsageError
from otactl.release import channels, publish
from otactl.release.data import Asked
from otactl.workspace.workspace import Workspace

MODEL = bytes(range(256)) * 40


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.bin"
    path.write_bytes(MODEL)
    return path


def test_a_partition_alone_is_for_any_chip_and_its_file_lies_beside_the_release(place: Workspace, model: Path) -> None:
    done = publish.publish(place, [], "1.0.0", partition=Asked("model", model))
    (target,) = (channels.current(place) or {})["targets"]
    url = "1.0.0/data-model.bin"
    said = {"kind": "data", "partition": "model", "url": url, "size": len(MODEL), "sha256": sha256(MODEL).hexdigest()}
    assert target == done.targets[0] == said
    assert (place.releases / url).read_bytes() == MODEL
    assert "data = ['model'] below [board]" in done.notes[0]


def test_with_firmware_it_is_for_the_same_chips(place: Workspace, firmware_file, model: Path) -> None:
    place.board["data"] = ["model"]
    images = [firmware_file("esp32"), firmware_file("esp32c3")]
    done = publish.publish(place, images, "1.0.0", partition=Asked("model", model, unsafe=True), build="ESP32*")
    parts = [(one["kind"], one["chip"], one["build"], one.get("unsafe")) for one in done.targets]
    assert parts[2:] == [("data", "esp32", "ESP32*", True), ("data", "esp32c3", "ESP32*", True)]
    assert [note for note in done.notes if "model" in note] == [done.notes[-1]]
    assert done.notes[-1].startswith("unsafe: a board without room for a second copy writes model in place")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("nvs", b"x", "boards never let a release write that partition"),
        ("ota_1", b"x", "boards never let a release write that partition"),
        ("vfs", b"x", "boards never let a release write that partition"),
        ("../up", b"x", "letters, digits"),
        ("a" * 17, b"x", "16 at the most"),
        ("model", b"", "has 0 bytes"),
        ("model", b"-----BEGIN PRIVATE KEY-----", "a private key"),
        ("model", None, "No such file"),
    ],
)
def test_what_is_refused(place: Workspace, tmp_path: Path, name: str, content: bytes | None, said: str) -> None:
    file = tmp_path / "file.bin"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises((UsageError, ReleaseError), match=said):
        publish.publish(place, [], "1.0.0", partition=Asked(name, file))
    assert not list(place.releases.rglob("*"))


def otactl(capsys, place: Workspace, *words: object) -> tuple[int, str]:
    code = main([*map(str, words), "-w", str(place.root)])
    return code, capsys.readouterr().out


def test_what_the_verbs_say_of_it(capsys, place: Workspace, model: Path) -> None:
    words = ["--data", f"model={model}", "--unsafe", "--chip", "esp32"]
    _, said = otactl(capsys, place, "publish", *words, "--version", "1.0.0")
    assert "published 1.0.0 (sequence 1), data for partition model: 10240 bytes" in said
    _, said = otactl(capsys, place, "releases", "show", "1.0.0")
    assert "  data of partition model, unsafe for esp32  10240 bytes  1.0.0/data-model.bin" in said
    assert "  data  " in otactl(capsys, place, "releases", "list")[1]


@pytest.mark.parametrize("words", [["--data", "model"], ["--data", "model="], ["--unsafe"]])
def test_words_that_name_no_file_are_wrong_usage(capsys, place: Workspace, firmware_file, words: list[str]) -> None:
    assert otactl(capsys, place, "publish", firmware_file(), "--version", "1.0.0", *words)[0] == 2
