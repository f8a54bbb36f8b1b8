"""What the HIL suite does with the files of a board's owner: each is put back byte for byte, also after a run that was
broken off anywhere; nothing of somebody else's is taken for the suite's."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from otactl.board.slots_layout import Entry
from otactl.errors import BoardError, RigError
from otactl.hil import keep, slots
from otactl.hil.program import FOLDER
from otactl.hil.setting import Setting
from otactl.hil.site import Site
from otactl.hil.stage import Stage
from otactl_pytest.board import Board as Held
from powercut.flash import files
from rig import OLD
from vboard.board import Board
from vboard.flash.otadata import State

OTHER = ("ota_1", "as it was")
OWN = {  # two of them have one name when their folders become part of it
    "/boot.py": b"# my own",
    "/main.py": b"import app",
    "/lib/ota/boot/__init__.py": b"one",
    "/lib/ota/boot__/init__.py": b"two",
    "/lib/mine.py": b"mine",
}
SAME = "/lib/ota/agent.py"  # a file that the suite wants as it is
DYING = """
_moves, _rename = [], os.rename
def _dies(a, b):
    _moves.append(a)
    if len(_moves) > {}:
        raise OSError(5)
    _rename(a, b)
"""
WANTED = {"/main.py": b"the suite's", SAME: b"the agent", "/lib/ota/new.py": b"new"}


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    with Board(tmp_path_factory.mktemp("board"), app=OLD) as made:
        made.power_on()
        made.wait_repl()
        yield made


@pytest.fixture
def held(board: Board) -> Iterator[Held]:
    """A board with files of its owner's, and no others."""
    made = Held(str(board.port))
    made.open()
    made.fresh()
    made.link.run(
        f"{keep._CALLS}\nfor name in os.listdir('/'): _remove('/' + name)\n"
        "for name in ('/lib', '/lib/ota', '/lib/ota/boot', '/lib/ota/boot__'): os.mkdir(name)\n_set_record({})"
    )
    for path, data in {**OWN, SAME: WANTED[SAME]}.items():
        made.link.put(path, data)
    yield made
    made.close()


def lies(held: Held, board: Board) -> dict[str, bytes]:
    """All files, as the flash has them."""
    held.to_prompt()
    found: dict[str, bytes] = files(board.table, board.flash.read(0, board.flash.size))
    return found


def put_back(held: Held) -> list[str]:
    found = keep.put_back(held)
    wrong = keep.differences(held, found)
    keep.forget(held)
    return wrong


def test_each_file_is_put_back_byte_for_byte(held: Held, board: Board) -> None:
    before = lies(held, board)
    keep.take(held, "ota_0", OTHER, WANTED)
    for path, data in WANTED.items():
        held.link.put(path, data)
    held.link.put("/boot.py", b"the suite's")
    assert keep.kept(held).other == OTHER
    assert put_back(held) == []
    assert lies(held, board) == before


def test_a_file_that_a_test_spoils_is_put_back_too(held: Held, board: Board) -> None:
    before = lies(held, board)
    keep.take(held, "ota_0", OTHER, WANTED)
    keep.spare(held, SAME)
    held.link.put(SAME, b"garbage")
    keep.spare(held, SAME)  # a second time it is not the board's own any more
    assert put_back(held) == []
    assert lies(held, board) == before


@pytest.mark.parametrize("step", [0, 1, 3, 5])
def test_a_run_that_ends_among_its_first_moves_is_undone(held: Held, board: Board, step: int) -> None:
    before = lies(held, board)
    with pytest.raises(BoardError):
        held.link.run(
            f"{keep._CALLS}{DYING.format(step)}\n_take('ota_0', {list(OTHER)!r}, {{}})".replace("os.rename(", "_dies(")
        )
    assert keep.broken_off(held) == (step > 0)
    if step:
        assert put_back(held) == []
    assert {path: data for path, data in lies(held, board).items() if not path.startswith(FOLDER[1:])} == before
    keep.take(held, "ota_0", OTHER, WANTED)  # and nothing stands in the way of the next run
    assert put_back(held) == []
    assert lies(held, board) == before


@pytest.mark.parametrize("path", [FOLDER, f"{FOLDER}/data", f"{FOLDER}/kept/manifest"])
def test_what_has_the_suites_name_and_is_not_its_own_is_refused(held: Held, board: Board, path: str) -> None:
    for folder in (FOLDER, f"{FOLDER}/kept"):
        if path.startswith(f"{folder}/"):
            held.link.make_folder(folder)
    held.link.put(path, b"mine")
    before = lies(held, board)
    with pytest.raises(BoardError, match=path):
        keep.take(held, "ota_0", OTHER, WANTED)
    assert lies(held, board) == before


def test_a_folder_that_has_gone_meanwhile_is_made_again(held: Held, board: Board) -> None:
    before = lies(held, board)
    keep.take(held, "ota_0", OTHER, WANTED)
    held.link.run("import os\nos.rmdir('/lib/ota/boot__')")
    assert put_back(held) == []
    assert lies(held, board) == before


@pytest.fixture
def site(held: Held, tmp_path: Path) -> Site:
    """A stay in the suite that is not set up yet."""
    return Site(held, tmp_path, Setting(address="127.0.0.1", ssid="virtual", password="password"))


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_that_ends_while_files_are_put_aside_puts_them_back(
    held: Held, board: Board, site: Site, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    before = lies(held, board)
    take = keep.take

    def ends(*words: Any) -> None:
        if when == "after":
            take(*words)
        raise KeyboardInterrupt

    monkeypatch.setattr(keep, "take", ends)
    with pytest.raises(KeyboardInterrupt):
        site.set_up()
    assert (lies(held, board) == before) == (when == "before")
    assert site.put_back() == []
    assert lies(held, board) == before


@pytest.mark.parametrize("call", ["import time\nwhile True: time.sleep(1)", "import machine\nmachine.reset()"])
def test_a_call_that_ctrl_c_broke_off_does_not_keep_a_board_from_being_put_back(
    held: Held, board: Board, site: Site, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    before = lies(held, board)

    def ends(*_: object, **__: object) -> None:
        held.link._transport.exec_raw_no_follow(call)
        raise KeyboardInterrupt

    monkeypatch.setattr("otactl.hil.site.deploy", ends)
    with pytest.raises(KeyboardInterrupt):
        site.set_up()
    assert site.put_back() == []
    assert lies(held, board) == before


def test_what_is_not_put_back_at_once_is_put_back_at_the_second_try(held: Held, board: Board, site: Site) -> None:
    before = lies(held, board)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("otactl.hil.site.deploy", gone)
        with pytest.raises(RigError):
            site.set_up()
        patched.setattr(keep, "put_back", gone)
        with pytest.raises(RigError):
            site.put_back()
    assert lies(held, board) != before
    assert site.put_back() == []
    assert lies(held, board) == before


def gone(*_: object, **__: object) -> None:
    raise RigError("a cable")


def test_the_next_run_says_that_the_other_slot_is_not_what_it_was(
    held: Held, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep.take(held, "ota_0", OTHER, WANTED)
    monkeypatch.setattr(keep, "take", gone)
    with pytest.raises(RigError):
        site.set_up()
    assert site.notes == [
        "a run before this one was broken off; the board was put back first",
        "ota_1 does not hold what it held before that run",
    ]


@pytest.mark.parametrize(
    ("slot", "state", "said"),
    [
        (0, State.PENDING_VERIFY, "tries a release"),
        (1, State.NEW, "tries a release"),  # it waits for the reset
        (1, State.VALID, "otadata of .* names ota_1, and ota_0 runs"),
    ],
)
def test_a_board_that_is_not_at_rest_is_left_alone(
    held: Held, board: Board, site: Site, slot: int, state: State, said: str
) -> None:
    try:
        held.link.run(
            f"{slots._CALLS}{slots._SET}\n_erase()\n_set(0, {Entry(slot + 1, state, True, bytes(20)).encoded()!r})"
        )
        before, otadata = lies(held, board), slots.look(held).otadata
        with pytest.raises(BoardError, match=said):
            site.set_up()
        assert site.put_back() == []
        assert (lies(held, board), slots.look(held).otadata) == (before, otadata)
    finally:
        held.link.run(f"{slots._CALLS}{slots._SET}\n_erase()")


def test_a_new_image_is_another_one_than_the_run_before_has_left(held: Held, tmp_path: Path) -> None:
    seed = 7
    stage = Stage(held, tmp_path, Setting(seed=seed))
    stage.image, stage.chip, stage.other = OLD, "esp32", "ota_1"
    left = stage.new_image()
    held.link.run(f"{slots._CALLS}\n_slot('ota_1').writeblocks(0, {left[:4096]!r})")
    stage = Stage(held, tmp_path, Setting(seed=seed))
    stage.image, stage.chip, stage.other = OLD, "esp32", "ota_1"
    assert stage.new_image() not in (left, OLD)
