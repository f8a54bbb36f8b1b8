"""What is put back after tests: their files, and otadata, which never vouches for what it did not vouch for (P3, P4, P5)."""

from collections.abc import Iterator

import pytest
from otactl.board.slots_layout import ABORTED, NEW, PENDING, SECTOR, VALID, Entry, Part
from otactl.board.slots_repl import ReplSource
from otactl.errors import BoardError
from otactl_pytest.board import Board
from otactl_pytest.undo import Undo
from vboard.board import Board as Virtual


@pytest.fixture(scope="module")
def virtual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Virtual]:
    with Virtual(tmp_path_factory.mktemp("undo") / "board") as made:
        made.power_on()
        yield made


@pytest.fixture(scope="module")
def board(virtual: Virtual) -> Iterator[Board]:
    made = Board(str(virtual.port))
    made.open()
    made.fresh()  # whichever test a worker begins with
    yield made
    made.close()


def write_otadata(board: Board, *entries: Entry | None) -> None:
    board.fresh()
    source = ReplSource(board.link)
    row = next(part for part in source.parts() if part.is_otadata)
    for at, entry in enumerate(entries):
        source.write(row.offset + at * SECTOR, entry.encoded() if entry else b"\xff" * SECTOR)


def otadata(board: Board) -> list[str]:
    entries = board.slots().otadata
    assert entries
    return [entry.said for entry in entries]


def slot(source: ReplSource, name: str) -> Part:
    return next(part for part in source.parts() if part.name == name)


OTHER = b"another image".ljust(SECTOR, b"\0")


def overwrite(board: Board, name: str) -> None:
    source = ReplSource(board.link)
    source.write(slot(source, name).offset, OTHER)


def overwrite_the_end(board: Board, virtual: Virtual, name: str) -> None:
    """Without power: a chip does not survive a write to what it runs."""
    part = slot(ReplSource(board.link), name)
    virtual.power_off()
    with (virtual.port.parent / "flash.bin").open("r+b") as flash:
        flash.seek(part.offset + part.size - SECTOR)
        flash.write(OTHER)
    virtual.power_on()
    board.fresh()


@pytest.mark.parametrize("state", [NEW, PENDING])
def test_a_board_on_trial_is_refused_before_anything_is_changed(board: Board, state: int) -> None:
    write_otadata(board, Entry(1, state, True), None)
    with pytest.raises(BoardError, match="is on trial: `otactl confirm` or `otactl rollback`"):
        Undo(board)


def test_a_slot_that_holds_another_image_is_not_vouched_for_again(board: Board) -> None:
    write_otadata(board, Entry(3, VALID, True), Entry(2, VALID, True))
    undo = Undo(board)
    overwrite(board, "ota_1")
    write_otadata(board, Entry(3, VALID, True), Entry(4, VALID, True))
    undo.restore()
    assert otadata(board) == ["seq 3 valid", "blank"]


def test_a_slot_that_was_left_alone_is_vouched_for_again(board: Board) -> None:
    write_otadata(board, Entry(3, VALID, True), Entry(2, ABORTED, True))
    undo = Undo(board)
    write_otadata(board, Entry(3, VALID, True), Entry(4, VALID, True))
    undo.restore()
    assert otadata(board) == ["seq 3 valid", "seq 2 aborted"]


def test_a_slot_that_differs_far_behind_its_head_is_not_started_again(board: Board, virtual: Virtual) -> None:
    write_otadata(board, Entry(1, VALID, True), None)
    undo = Undo(board)
    overwrite_the_end(board, virtual, "ota_0")
    write_otadata(board, Entry(1, VALID, True), Entry(2, VALID, True))
    undo.restore()
    assert otadata(board) == ["seq 1 valid", "seq 2 valid"]
    assert [note.partition(" holds")[2] for note in undo.notes] == [" another image now: the board keeps what runs"]


def test_files_that_cannot_be_put_back_keep_otadata_from_nothing(board: Board) -> None:
    write_otadata(board, Entry(1, VALID, True), None)
    board.link.put("/main.py", b"1")
    undo = Undo(board)
    board.exec("import os\nos.remove('/main.py')\nos.mkdir('/main.py')\nos.mkdir('/main.py/in')")
    write_otadata(board, Entry(1, VALID, True), Entry(2, VALID, True))
    with pytest.raises(BoardError, match=r"is not as it was before its updates: cannot (read|write) /main\.py"):
        undo.restore()
    assert otadata(board) == ["seq 1 valid", "blank"]
    board.exec("import os\nos.rmdir('/main.py/in')\nos.rmdir('/main.py')")


# --- files of a test ----------------------------------------------------------------------------


def test_a_file_that_cannot_be_put_back_keeps_none_of_the_others_from_it(board: Board) -> None:
    for path in ("/a", "/b", "/c"):
        board.link.put(path, b"old")
        board.put(path, "new")
    board.exec("import os\nos.remove('/b')\nos.mkdir('/b')\nos.mkdir('/b/in')")
    with pytest.raises(BoardError, match=r"not as it was before the test: cannot write /b \(3 bytes\)") as told:
        board.files.restore()
    assert "/a" not in str(told.value)
    assert [board.get(path) for path in ("/a", "/c")] == [b"old"] * 2
    assert board.files.changed == ["/b"]
    board.exec("import os\nos.rmdir('/b/in')\nos.rmdir('/b')")
    board.files.restore()
    assert board.get("/b") == b"old"


FILL = """
f = open("/full", "wb")
try:
    while True:
        f.write(bytes(512))
except OSError:
    pass
try:
    f.close()
except OSError:
    pass
"""


def test_what_a_test_filled_the_flash_with_makes_room_for_what_was_there(board: Board) -> None:
    old = b"old" * 6000
    board.link.put("/was", old)
    board.put("/was", "new")
    board.files.keep("/full")
    board.exec(FILL, timeout=60)
    board.files.restore()
    assert board.get("/was") == old


def test_a_file_by_the_name_of_an_unfinished_one_is_a_persons_and_stays(board: Board) -> None:
    board.link.put("/notes.new", b"mine")
    board.put("/notes", "5")
    board.files.restore()
    assert board.get("/notes.new") == b"mine"
