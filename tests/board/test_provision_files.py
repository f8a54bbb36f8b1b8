"""`otactl provision` and what is a person's on a board: when it is asked about, and how it comes through."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import provisioning
import pytest
import rig as rigs
from otactl.board.provision import files
from otactl.errors import BoardError, RigError
from provisioning import FILES, cut_at, held, stock_file
from vboard.board import Board
from vboard.flash.table import LAYOUTS

COUNTS = b"""
import os
n = int(open("/boots").read()) if "boots" in os.listdir("/") else 0
with open("/boots", "w") as f: f.write(str(n + 1))
"""
ELSEWHERE = b"""
import os
class Ram:
    def __init__(self): self.data = bytearray(64 * 512)
    def readblocks(self, n, buf, at=0): buf[:] = self.data[n * 512 + at : n * 512 + at + len(buf)]
    def writeblocks(self, n, buf, at=0): self.data[n * 512 + at : n * 512 + at + len(buf)] = buf
    def ioctl(self, op, arg): return 64 if op == 4 else 512 if op == 5 else 0
disk = Ram()
os.VfsFat.mkfs(disk)
os.umount("/")
os.mount(disk, "/")
"""

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
_QUIET_S = 30
_OWNS_ITS_TERMINAL = """
import fcntl, runpy, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that Ctrl-C reaches it
runpy.run_module("otactl", run_name="__main__")
"""

Provision = Callable[..., str]


@pytest.fixture
def stocked(tmp_path: Path) -> Iterator[Board]:
    with provisioning.stocked(tmp_path) as board:
        yield board


@pytest.fixture
def provision(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stocked: Board
) -> Provision:
    """With the app that the board has, so that it starts whatever of the steps is done."""
    monkeypatch.chdir(tmp_path)
    words = ("provision", stocked.port, "--no-deploy", "--firmware", stock_file(tmp_path, "esp32"))
    return lambda *more, code=0: provisioning.otactl(capsys, *words, *more, code=code)


def put(board: Board, path: str, data: bytes) -> None:
    with rigs.repl(board) as link:
        link.put(path, data)


def test_files_that_came_after_the_copy_of_a_run_that_broke_off_are_asked_about(
    stocked: Board, tmp_path: Path, provision: Provision, monkeypatch: pytest.MonkeyPatch
) -> None:
    provisioning.do_not_wait_long(monkeypatch)
    stocked.flash.force(0x370000, b"old")  # so that there is something to erase, and to be cut
    assert cut_at(stocked, 0x370000, 0x380000, "erase", 0) == []
    provision("--keep-files", code=3)
    stocked.flash.before = None
    stocked.power_on()
    stocked.wait_repl()
    put(stocked, "/new.py", b"newer than the copy")
    before = stocked.flash.read(0x8000, 0x1000)

    assert "this would lose 1 file of yours: /new.py: say --yes, and what an earlier run took" in provision(code=2)
    (copy,) = (tmp_path / "provision").iterdir()
    said = provision("--keep-files", code=1)
    assert copy.name in said and "has not 1 file of yours: /new.py: move that folder out" in said
    assert stocked.flash.read(0x8000, 0x1000) == before

    assert "5 files are back, and compared" in provision("--yes")
    assert held(stocked) == FILES


def test_a_run_that_fails_while_files_go_back_says_where_they_are_and_another_puts_them_back_once(
    stocked: Board, tmp_path: Path, provision: Provision
) -> None:
    def damage(*_: object) -> None:
        (copy,) = (tmp_path / "provision").glob("*/files/app.py")
        copy.write_bytes(b"damaged")

    stocked.flash.before = damage  # from the first erase on, the disk of this machine is a bad one
    said = provision("--keep-files", code=3)
    stocked.flash.before = None
    (copy,) = (tmp_path / "provision").iterdir()
    assert f"are in provision/{copy.name}, and go back in the end" in said.replace("\n  ", " ")
    (copy / "files" / "app.py").write_bytes(FILES["/app.py"])
    assert "5 files are back, and compared" in provision()
    assert held(stocked) == FILES
    assert "files are back" not in provision()


def test_files_that_a_program_writes_at_each_start_are_carried_over_as_they_are_then(
    stocked: Board, tmp_path: Path, provision: Provision
) -> None:
    put(stocked, "/boot.py", COUNTS)
    assert "6 files are back, and compared" in provision("--keep-files")
    (copy,) = (tmp_path / "provision").glob("*/files/boots")
    with rigs.repl(stocked) as link:
        assert link.value("int(open('/boots').read())") >= int(copy.read_text()) > 1


def test_a_copy_of_files_that_change_meanwhile_or_are_damaged_on_this_disk_is_none(
    stocked: Board, tmp_path: Path
) -> None:
    mac = stocked._mac.hex(":")
    with rigs.repl(stocked) as link:

        def written(said: str) -> None:
            if "(3 of" in said:
                link.put("/app.py", b"written since")

        with pytest.raises(BoardError, match="change while they are copied"):
            files.take(link, mac, tmp_path / "changing", written)

        def damaged(said: str) -> None:
            if "(3 of" in said:
                (copy,) = (tmp_path / "disk" / "provision").glob("*/files/app.py")
                copy.write_bytes(b"another")  # as of a name in capitals, where the disk takes both for one

        with pytest.raises(RigError, match=r"app\.py is not what was read off the board"):
            files.take(link, mac, tmp_path / "disk", damaged)

        with pytest.raises(RigError, match="another board is at"):
            files.take(link, "24:0a:c4:12:34:56", tmp_path, lambda _: None)
    assert list(tmp_path.glob("*/provision/*/kept.json")) == []


def test_a_board_that_stops_answering_while_it_is_asked_for_its_files_can_still_be_given_up(
    stocked: Board, provision: Provision, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*_: object) -> files.Listing:
        raise RigError("the board stopped answering")

    monkeypatch.setattr(files, "listing", silent)
    assert "this would lose vfs: a littlefs of 2048 KiB, not readable from here" in provision(code=2)
    provision("--yes")
    assert stocked.slot == "ota_0"


def test_what_is_at_the_root_is_not_taken_for_what_would_be_lost(stocked: Board, provision: Provision) -> None:
    put(stocked, "/boot.py", ELSEWHERE)
    assert "this would lose vfs: a littlefs of 2048 KiB, not readable from here" in provision(code=2)
    assert "the files on the board cannot be read" in provision("--keep-files", code=1)


@pytest.mark.parametrize(
    ("typed", "code", "flashed"),
    [(b"\n", 2, False), (b"\x03", 130, False), (b"y\n", 0, True)],
    ids=["nothing", "ctrl-c", "yes"],
)
def test_a_person_at_a_terminal_is_asked_and_taken_at_his_word(
    tmp_path: Path, typed: bytes, code: int, flashed: bool
) -> None:
    with Board(tmp_path / "board", blank=True) as board:
        board.flash.force(0x8000, b"no table")
        board.power_on()
        before = board.flash.read(0, board.flash.size)
        words = ("provision", str(board.port), "--no-deploy", "--firmware", str(stock_file(tmp_path, "esp32")))
        ended, said = at_terminal(tmp_path, words, "Go on, and lose that?", typed)
        assert "! will be lost: whatever lies in its flash" in said
        assert said.count("Go on, and lose that?") == 1
        assert ended == code, said
        assert (board.flash.read(0, board.flash.size) != before) == flashed
        assert ("nothing was changed" in said) != flashed
        assert (board.slot == "ota_0") == flashed


def at_terminal(
    place: Path, words: tuple[str, ...], question: str, typed: bytes, meanwhile: Callable[[], object] = lambda: None
) -> tuple[int, str]:
    """Exit code and all that stands on a terminal of 80 columns, where `typed` is the answer to a question.

    `meanwhile` happens while the person thinks.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 80, 0, 0))
    with subprocess.Popen(
        [sys.executable, "-c", _OWNS_ITS_TERMINAL, *words],
        cwd=place,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        said, answered = b"", False
        try:
            while data := _read(ours, process):
                said += data
                if not answered and question.encode() in said:
                    answered = True
                    meanwhile()
                    time.sleep(0.2)  # as a person, who types once the program waits for him
                    os.write(ours, typed)
        except OSError:  # the other end is closed
            pass
        code = process.wait(60)
    os.close(ours)
    return code, ESCAPES.sub("", said.decode())


def test_a_script_that_wants_json_is_never_asked_what_it_has_not_been_shown(tmp_path: Path) -> None:
    with Board(tmp_path / "board", blank=True) as board:
        board.flash.force(0x8000, b"no table")
        board.power_on()
        words = (
            "provision",
            str(board.port),
            "--no-deploy",
            "--json",
            "--firmware",
            str(stock_file(tmp_path, "esp32")),
        )
        ended, said = at_terminal(tmp_path, words, "Go on, and lose that?", b"y\n")
        assert ended == 2 and "Go on" not in said and "this would lose whatever lies in its flash" in said
        assert "say --yes, with --backup FILE" in " ".join(said.split())


def test_a_board_that_is_another_or_has_changed_while_a_person_thinks_is_not_flashed(tmp_path: Path) -> None:
    with Board(tmp_path / "a", blank=True) as board, Board(tmp_path / "b", blank=True) as other:
        for one in (board, other):
            one.flash.force(0x8000, b"no table")
            one.power_on()
        path, at, theirs = tmp_path / "port", board.port.readlink(), other.port.readlink()
        path.symlink_to(at)
        before = board.flash.read(0, board.flash.size)
        words = ("provision", str(path), "--no-deploy", "--firmware", str(stock_file(tmp_path, "esp32")))

        def plug_in_another() -> None:
            path.unlink()
            path.symlink_to(theirs)

        ended, said = at_terminal(tmp_path, words, "Go on, and lose that?", b"y\n", plug_in_another)
        assert ended == 3 and "another board is at" in said
        assert other.flash.read(0, other.flash.size) == before

        def provision_it_elsewhere() -> None:
            board.flash.force(0x8000, LAYOUTS["ota"].to_bytes())

        path.unlink()
        path.symlink_to(at)
        ended, said = at_terminal(tmp_path, words, "Go on, and lose that?", b"y\n", provision_it_elsewhere)
        assert ended == 3 and "has changed since it was looked at" in " ".join(said.split())
        assert board.flash.read(0x10000, 0x1000) == b"\xff" * 0x1000


def _read(terminal: int, process: "subprocess.Popen[bytes]") -> bytes:
    """A program that says nothing more and does not end is ended: the test then shows what it said."""
    if not select.select([terminal], [], [], _QUIET_S)[0]:
        process.kill()
    return os.read(terminal, 65536)
