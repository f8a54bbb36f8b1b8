"""The REPL link: that no board can hang it, and what it does on the virtual board."""

import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest
import scripted
from otactl.board import link as links
from otactl.board import ports
from otactl.board.console import Console
from otactl.board.link import Link
from otactl.errors import BoardError, RigError
from serial.tools.list_ports_common import ListPortInfo
from vboard.board import Board

PLACES = [scripted.on_terminal, scripted.on_socket]
ENDLESS = b"x" * 64


def gives_up(why: str) -> AbstractContextManager:
    return pytest.raises(RigError, match=why)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short limits: these tests wait for them to pass."""
    for module, name, value in (
        (links, "_ENTER_S", 1.0),
        (links, "_TRY_S", 0.3),
        (ports, "_READ_S", 0.3),
        (ports, "_WRITE_S", 0.3),
    ):
        monkeypatch.setattr(module, name, value)


# --- boards that hang: each of these tests would run into pytest's time limit -----------------


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("script", "more"),
    [
        (scripted.silent, {}),
        (scripted.chatting, {}),
        (scripted.silent, {"chatter": ENDLESS}),
        (scripted.silent, {"reads": False}),
        (scripted.silent, {"chatter": ENDLESS, "reads": False}),
    ],
    ids=["silent", "noise", "endless", "deaf", "endless-and-deaf"],
)
@pytest.mark.usefixtures("hurried")
def test_a_board_without_a_repl_is_given_up(place, script, more) -> None:
    with (
        place(script, **more) as device,
        pytest.raises(RigError, match="does not answer"),
        Link(device),
    ):
        pass


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("answer", [b"", b"word", b"out\x04", b"out\x04err"], ids=["silence", "word", "out", "error"])
@pytest.mark.usefixtures("hurried")
def test_a_board_that_falls_silent_in_a_call_is_given_up(place, answer: bytes) -> None:
    script = scripted.well(lambda _: answer)
    with place(script) as device, Link(device) as link, gives_up("stopped answering"):
        link.run("pass", timeout_s=0.5)


@pytest.mark.usefixtures("hurried")
def test_output_without_end_is_no_sign_of_life() -> None:
    script = scripted.well(lambda _: ENDLESS * 40_000)
    with scripted.on_terminal(script) as device, Link(device) as link, gives_up("time is up"):
        link.run("pass", timeout_s=0.5)


@pytest.mark.usefixtures("hurried")
def test_a_board_that_takes_no_more_of_a_program_is_given_up() -> None:
    script = scripted.well(lambda _: b"")  # grants one window only
    with scripted.on_socket(script) as device, Link(device) as link, gives_up("stopped"):
        link.run("#" * 100_000, timeout_s=0.5)


def test_a_path_under_dev_pts_is_no_exception(hurried: None) -> None:
    with scripted.on_terminal(scripted.silent) as device:
        assert device.startswith("/dev/pts/")
        with pytest.raises(RigError, match="does not answer"), Link(device):
            pass


@pytest.mark.usefixtures("hurried")
def test_a_port_is_given_back_after_a_failure() -> None:
    with scripted.on_terminal(scripted.silent) as device:
        for _ in range(2):
            with gives_up("does not answer"), Link(device):
                pass


@pytest.mark.usefixtures("hurried")
def test_a_program_that_was_interrupted_in_vain_is_started_again() -> None:
    heard = bytearray()
    with scripted.on_terminal(lambda data, _: heard.extend(data)) as device:
        with gives_up("does not answer"), Link(device):
            pass
        time.sleep(0.2)
    assert heard.endswith(b"\x02\x04")


def test_an_error_without_words_is_an_error() -> None:
    script = scripted.well(lambda _: b"\x04\r\n\x04>")
    with scripted.on_terminal(script) as device, Link(device) as link, pytest.raises(BoardError, match="without words"):
        link.run("1")


def test_an_answer_that_is_no_json_is_named() -> None:
    script = scripted.well(lambda _: b"what?\r\n\x04\x04>")
    with scripted.on_terminal(script) as device, Link(device) as link, gives_up(r"what.*no JSON"):
        link.value("1")


def test_a_full_filesystem_has_its_code_and_leaves_no_half_file() -> None:
    ran: list[bytes] = []

    def answer(program: bytes) -> bytes:
        ran.append(program)
        full = program.startswith(b"_w(")
        return b"\x04OSError: [Errno 28] ENOSPC\r\n\x04>" if full else b"\x04\x04>"

    full = pytest.raises(BoardError, match=r"vfs-full: no room .* /a\.bin \(5000 bytes\)")
    with scripted.on_terminal(scripted.well(answer)) as device, Link(device) as link, full:
        link.put("/a.bin", bytes(5000))
    assert ran[-1] == b"os.remove('/a.bin.new')"


def test_an_errno_that_only_contains_28_is_not_a_full_filesystem() -> None:
    def answer(program: bytes) -> bytes:
        wrong = program.startswith(b"_w(")
        return b"\x04OSError: 128\r\n\x04>" if wrong else b"\x04\x04>"

    failed = pytest.raises(BoardError, match=r"cannot write /a\.bin.*128")
    with scripted.on_terminal(scripted.well(answer)) as device, Link(device) as link, failed:
        link.put("/a.bin", b"x")


# --- ports -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("device", "why"),
    [
        ("/dev/ttyNothing", "no such port"),
        ("u97", "/dev/ttyUSB97: there is no such port"),
        ("port:/dev/ttyNothing", "no such port"),
        ("socket://127.0.0.1:1", "is that server up"),
        ("socket://127.0.0.1", "is that server up"),
        ("bogus://x", "is that server up"),
        ("id:none-has-this", "no board found for 'id:none-has-this'"),
        ("", "cannot open"),
        (__file__, "that is no serial port"),
    ],
)
def test_a_port_that_does_not_open_says_why_in_one_line(device: str, why: str) -> None:
    with pytest.raises(RigError, match=why) as caught:
        Link(device)
    assert "\n" not in str(caught.value)


def test_a_port_without_permission_names_the_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "dialout" in ports.why_not("/dev/null", OSError())


@pytest.mark.parametrize(
    ("device", "paths"),
    [
        ("u0", ["/dev/ttyUSB0"]),
        ("a12", ["/dev/ttyACM12"]),
        ("c3", ["COM3"]),
        ("port:/dev/x", ["/dev/x"]),
        ("/dev/x", ["/dev/x"]),
        ("rfc2217://h:1", ["rfc2217://h:1"]),
    ],
)
def test_device_strings_are_mpremotes(device: str, paths: list[str]) -> None:
    assert ports.candidates(device) == paths


def listed(device: str, *, vid: int = 0x303A) -> ListPortInfo:
    port = ListPortInfo(device)
    port.vid, port.serial_number = vid, "3C8427AABB00"
    return port


@pytest.mark.parametrize(("vid", "found"), [(0x303A, True), (0x10C4, False)], ids=["chip's own USB", "a bridge"])
def test_a_chip_that_comes_back_under_another_name_is_found_by_its_usb_serial(
    monkeypatch: pytest.MonkeyPatch, vid: int, found: bool
) -> None:
    with scripted.on_terminal(scripted.silent) as first, scripted.on_terminal(scripted.silent) as second:
        there = [listed(first, vid=vid)]
        monkeypatch.setattr("serial.tools.list_ports.comports", lambda: there)
        with Console(first) as console:
            there[:] = [listed(second, vid=vid)]
            console._transport.serial.port.close()
            assert console.line(1) is None
            assert console._transport.serial.port.port == (second if found else first)
            assert console.reopened is not found  # a bridge's number says nothing of the board behind it


def test_mpremote_says_nothing_by_itself(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither what a failed try at the prompt got nor that a port is waited for: lines of other boards lie beside it."""
    deaf = pytest.raises(RigError, match="does not answer")
    with scripted.on_terminal(lambda _, send: send(b"noise\r\n")) as device, deaf, Link(device, slow=0.1):
        pass
    with pytest.raises(RigError, match="no serial port"):
        Link(__file__)
    assert capsys.readouterr() == ("", "")


# --- the virtual board -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    with Board(tmp_path_factory.mktemp("board")) as board:
        board.power_on()
        board.wait_repl()
        yield board


@pytest.fixture
def link(board: Board) -> Iterator[Link]:
    with Link(str(board.port)) as link:
        yield link


def test_code_runs_and_its_output_comes_back(link: Link) -> None:
    assert link.run("print('ü', 1 + 1)") == "ü 2\r\n"


def test_values_come_back(link: Link) -> None:
    assert link.value("[a, None, 'x']", "a = {'b': 1.5}") == [{"b": 1.5}, None, "x"]


def test_an_exception_on_the_board_is_its_last_line(link: Link) -> None:
    with pytest.raises(BoardError, match=r"^ValueError: no$"):
        link.run("raise ValueError('no')")
    assert link.value("1") == 1


def test_code_that_takes_too_long_is_given_up_and_the_board_comes_back(board: Board) -> None:
    with Link(str(board.port)) as link, pytest.raises(RigError, match="stopped answering"):
        link.run("while True: pass", timeout_s=0.5)
    with Link(str(board.port)) as link:
        assert link.value("1") == 1


@pytest.mark.parametrize("size", [0, 1, 2047, 2048, 2049, 20_000])
def test_a_file_arrives_as_it_is(link: Link, size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    link.put("/file.bin", data[:size])
    link.put("/file.bin", data[:size][::-1])  # over the one that is there
    read = "import binascii\nprint(binascii.hexlify(open('/file.bin', 'rb').read()).decode())"
    assert bytes.fromhex(link.run(read)) == data[:size][::-1]
    assert "file.bin.new" not in link.value("os.listdir('/')", "import os")


def test_a_file_larger_than_the_filesystem_leaves_the_old_one(link: Link) -> None:
    link.put("/keep.bin", b"old")
    free = link.value("os.statvfs('/')[0] * os.statvfs('/')[3]", "import os")
    with pytest.raises(BoardError, match="vfs-full"):
        link.put("/keep.bin", os.urandom(free + 4096))
    assert link.value("open('/keep.bin').read()") == "old"
    assert "keep.bin.new" not in link.value("os.listdir('/')")


def test_what_a_file_cannot_be_put_in_place_of_stays(link: Link) -> None:
    link.make_folder("/there")
    with pytest.raises(BoardError, match="cannot write /there"):
        link.put("/there", b"x")
    assert link.value("os.listdir('/there')", "import os") == []
    assert "there.new" not in link.value("os.listdir('/')")
    link.run("os.rmdir('/there')")


def test_a_folder_that_is_not_there_is_named(link: Link) -> None:
    with pytest.raises(BoardError, match=r"cannot write /none/file .*ENOENT"):
        link.put("/none/file", b"x")


def test_lines_of_started_code_come_until_it_ends(link: Link) -> None:
    link.start("for n in range(3):\n    print('line', n)\nraise ValueError('end')")
    said = list(link.lines(5))
    assert said[:3] == ["line 0", "line 1", "line 2"]
    assert "ValueError: end" in said
    assert link.ended


def test_leaving_starts_the_program_again(board: Board) -> None:
    with Link(str(board.port)) as link:
        link.put("/main.py", b"print('the ' + 'program')\n")
    seen = len(board.text)
    with Link(str(board.port)) as link:
        link.run("pass")
    board.wait_text("the program", 10, since=seen)
    with Link(str(board.port)) as link:
        link.run("import os\nos.remove('/main.py')")


def test_leaving_in_the_middle_of_a_command_starts_the_program_again(board: Board) -> None:
    with Link(str(board.port)) as link:
        link.put("/main.py", b"print('the ' + 'next')\n")
    board.wait_text("the next", 10)
    seen = len(board.text)
    with pytest.raises(KeyboardInterrupt), Link(str(board.port)) as link:
        port = link._transport.serial
        port.write(b"\x05A\x01")
        assert b"R\x01" in port.read(6)
        port.write(b"print('never ")
        raise KeyboardInterrupt
    board.wait_text("the next", 10, since=seen)
    with Link(str(board.port)) as link:
        link.run("import os\nos.remove('/main.py')")


def test_a_running_program_is_interrupted(board: Board) -> None:
    with Link(str(board.port)) as link:
        link.put("/main.py", b"import time\nprint('run' + 's')\nwhile True: time.sleep(1)\n")
        seen = len(board.text)
    board.wait_text("runs", 10, since=seen)
    with Link(str(board.port)) as link:
        assert link.value("1") == 1
        link.run("import os\nos.remove('/main.py')")
