"""Copies of a board's files on this machine: what is known of the flash they came from, and which are whole."""

import hashlib
from pathlib import Path

import pytest
from otactl.board.provision import files, untouched
from otactl.board.provision.files import Kept, Listing
from otactl.board.provision.plan import Step
from otactl.errors import RigError

MAC = "24:0a:c4:12:34:56"


class Memory:
    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data)

    def digest(self, offset: int, size: int) -> str:
        return hashlib.md5(self.data[offset : offset + size], usedforsecurity=False).hexdigest()


def step(offset: int, size: int) -> Step:
    return Step("a step", offset, bytes(size))


@pytest.mark.parametrize(
    ("steps", "left"),
    [
        ([], [(100, 50)]),
        ([step(0, 100), step(150, 9)], [(100, 50)]),  # side by side
        ([step(120, 10)], [(100, 20), (130, 20)]),
        ([step(140, 100), step(90, 20)], [(110, 30)]),
        ([step(110, 5), step(110, 20)], [(100, 10), (130, 20)]),
        ([step(90, 100)], []),
    ],
)
def test_what_no_step_writes_to_is_what_tells_a_filesystem(steps: list[Step], left: list[tuple[int, int]]) -> None:
    assert untouched.beside((100, 50), steps) == left


def test_a_filesystem_is_the_same_where_steps_wrote_and_another_where_anything_else_did() -> None:
    flash = Memory(bytes(200))
    steps = [step(120, 10)]
    prints = untouched.printed(flash, untouched.beside((100, 50), steps))
    flash.data[120:130] = b"?" * 10
    assert untouched.same(flash, prints)
    flash.data[149] = 1
    assert not untouched.same(flash, prints)
    assert not untouched.same(flash, ())  # of an earlier version's copy nothing is known


def kept(place: Path, **content: bytes) -> Kept:
    folder = place / "provision" / f"{MAC.replace(':', '-')}-20260101T000000"
    (folder / "files").mkdir(parents=True)
    for name, data in content.items():
        (folder / "files" / name).write_bytes(data)
    digests = {f"/{name}": hashlib.sha256(data).hexdigest() for name, data in content.items()}
    return Kept(folder, MAC, digests, (), 0, begun=True, rest=((0x200000, 0x1000, "0" * 32),)).saved()


def test_a_copy_that_is_to_go_back_is_found_with_all_that_is_known_of_it(tmp_path: Path) -> None:
    made = kept(tmp_path, a=b"1")
    assert files.unreturned(tmp_path, MAC) == made
    assert files.unreturned(tmp_path, "24:0a:c4:12:34:57") is None


def test_a_copy_of_an_earlier_version_is_found(tmp_path: Path) -> None:
    listed = kept(tmp_path, a=b"1").folder / "kept.json"
    text = listed.read_text()
    listed.write_text(text[: text.index(',\n "rest"')] + "}")
    found = files.unreturned(tmp_path, MAC)
    assert found and found.rest == ()


def test_a_copy_that_is_damaged_is_said_to_be(tmp_path: Path) -> None:
    (kept(tmp_path, a=b"1").folder / "kept.json").write_text("{")
    with pytest.raises(RigError, match="is damaged: move its folder away"):
        files.unreturned(tmp_path, MAC)


def test_what_a_copy_lacks_is_what_is_new_or_otherwise_on_the_board(tmp_path: Path) -> None:
    made = kept(tmp_path, a=b"1", b=b"2")
    there = {"/a": (1, made.files["/a"]), "/b": (1, "0" * 64), "/c": (1, "1" * 64)}
    assert made.lacks(Listing(there, (), 0), ["/a", "/b", "/c"]) == ["/b", "/c"]


def test_a_file_of_a_copy_that_is_not_what_was_read_is_seen(tmp_path: Path) -> None:
    made = kept(tmp_path, a=b"1")
    assert made.whole("/a")
    made.path("/a").write_bytes(b"2")
    assert not made.whole("/a")
    made.path("/a").unlink()
    assert not made.whole("/a")
