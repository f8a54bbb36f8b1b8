"""`otactl provision` with real esptool: from blank flash, or a stock board, to one that takes updates."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import provisioning
import pytest
import rig as rigs
from otactl.board.provision import prompt
from otactl.release import fullflash
from otactl.workspace.roster import Roster
from provisioning import FILES, cut_at, held, otactl, stock_file
from vboard.board import Board
from vboard.chips import CHIPS
from vboard.flash import bootimage
from vboard.flash.otadata import State
from vboard.loader.commands import Commands, Refused
from vboard.loader.roms import ROMS

S3 = "esp32s3"
_INVALID = 0x05  # the ROM's word for a command that it does not take
_SECURE_DOWNLOAD = 1 << 2  # of the flags in GET_SECURITY_INFO


Otactl = Callable[..., str]


@pytest.fixture
def otactl_(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Otactl:
    monkeypatch.chdir(tmp_path)
    return lambda *words, code=0: otactl(capsys, *words, code=code)


@pytest.fixture
def blank(tmp_path: Path) -> Iterator[Board]:
    """An ESP32-S3 as it comes from its factory: nothing in its flash."""
    with Board(tmp_path / "blank", chip=S3, flash_mib=8, blank=True) as board:
        board.power_on()
        yield board


@pytest.fixture
def stocked(tmp_path: Path) -> Iterator[Board]:
    with provisioning.stocked(tmp_path) as board:
        yield board


def test_a_blank_chip_comes_to_its_first_confirmed_update(rig: rigs.Rig, blank: Board, otactl_: Otactl) -> None:
    file = stock_file(rig.root, S3)
    blank.network = rig.network
    said = otactl_("provision", blank.port, "-w", rig.workspace.root, "--firmware", file)
    assert "nothing is lost" in said and "the agent is on the board" in said
    new = rigs.image(2, S3)
    rig.publish("1.1.0", new)
    otactl_("update", blank.port)
    assert rigs.boots(blank) == ("ota_1", State.VALID)
    assert rigs.slot_bytes(blank, "ota_1", len(new)) == new
    row = blank.table.find("ota_1")
    assert row and row.offset == 0x290000  # what 8 MiB of flash are used for


def test_a_dry_run_draws_and_changes_no_byte(stocked: Board, tmp_path: Path, otactl_: Otactl) -> None:
    before = stocked.flash.read(0, stocked.flash.size)
    said = otactl_("provision", stocked.port, "--firmware", stock_file(tmp_path, "esp32"), "--dry-run")
    assert said.index("the flash now:") < said.index("factory") < said.index("and then") < said.index("ota_1")
    assert (
        "will be lost: 5 files of yours: /app.py, /boot.py, /gr\u00fc?\u00dfe.txt, /lib/deep/data.bin and 1 more"
        in said
    )
    told = json.loads(
        otactl_("provision", stocked.port, "--firmware", stock_file(tmp_path, "esp32"), "--dry-run", "--json")
    )
    assert [loss["asks"] for loss in told["lost"]] == [True] and told["steps"][-1][
        "offset"
    ] == 0x8000  # it has the bootloader
    assert stocked.flash.read(0, stocked.flash.size) == before


def test_files_are_lost_only_with_a_yes_and_kept_on_demand(
    stocked: Board,
    tmp_path: Path,
    otactl_: Otactl,
) -> None:
    before = stocked.flash.read(0, stocked.flash.size)
    words = ("provision", stocked.port, "--no-deploy", "--firmware", stock_file(tmp_path, "esp32"))
    assert "this would lose 5 files of yours" in otactl_(*words, code=2)
    assert stocked.flash.read(0, stocked.flash.size) == before

    (tmp_path / "whole.bin").touch()
    assert "is there already" in otactl_(*words, "--keep-files", "--backup", tmp_path / "whole.bin", code=2)
    said = otactl_(*words, "--keep-files")
    assert "5 files are back, and compared" in said
    assert held(stocked) == FILES
    assert [row.label for row in stocked.table.ota_slots] == ["ota_0", "ota_1"]


def test_what_was_written_on_a_board_since_is_not_put_back_over(
    stocked: Board, tmp_path: Path, otactl_: Otactl
) -> None:
    """A copy that never got back: its board went on by other means, and its files count."""
    words = ("provision", stocked.port, "--no-deploy", "--firmware", stock_file(tmp_path, "esp32"), "--keep-files")
    otactl_(*words)
    (copy,) = (tmp_path / "provision").glob("*/kept.json")
    copy.write_text(copy.read_text().replace('"returned": true', '"returned": false'))
    with rigs.repl(stocked) as link:
        link.put("/app.py", b"newer")
        link.run("import os; os.remove('/lib/mine.py')")
    said = otactl_(*words)
    assert "left as they are on the board now: /app.py" in said
    assert held(stocked) == FILES | {"/app.py": b"newer"}
    assert "put back" not in otactl_(*words, "--dry-run")


CUTS = [  # in the order of the steps, so that each run gets a step further than the one before
    ("the app, in the middle", 0x10000, 0x1C0000, "program", 2),
    ("the room for files", 0x370000, 0x380000, "erase", 0),
    ("the table, erased and not written", 0x8000, 0x9000, "program", 0),
    ("the bootloader, erased and not written", 0x1000, 0x8000, "program", 0),
]


def test_a_run_that_power_ends_again_and_again_is_taken_up(
    stocked: Board, tmp_path: Path, otactl_: Otactl, monkeypatch: pytest.MonkeyPatch
) -> None:
    provisioning.do_not_wait_long(monkeypatch)
    file = stock_file(tmp_path, "esp32", seed=6)
    stocked.flash.force(0x1000, bootimage.build("esp32", 4 << 20, rollback=False))
    for address in (0x1C0000, 0x370000, 0xE000):  # what no step would have to erase is no step to cut
        stocked.flash.force(address, b"old")
    words = ("provision", stocked.port, "--no-deploy", "--firmware", file, "--keep-files")
    for what, *cut in CUTS:
        went = cut_at(stocked, *cut)
        otactl_(*words, code=3)
        assert went, what
        stocked.flash.before = None
        stocked.power_on()
    said = otactl_(*words)
    assert "5 files are back, and compared" in said
    assert held(stocked) == FILES
    app = fullflash.load(file).firmware.app
    assert rigs.slot_bytes(stocked, "ota_0", len(app)) == app and stocked.slot == "ota_0"
    assert len(list((tmp_path / "provision").iterdir())) == 1  # they were taken once, before anything was written


def test_a_wrong_file_or_none_changes_nothing_and_says_which_to_get(
    blank: Board, tmp_path: Path, otactl_: Otactl
) -> None:
    said = otactl_("provision", blank.port, "--no-deploy", "--firmware", stock_file(tmp_path, "esp32"), code=1)
    assert "esp32-1.bin is for esp32, the board is an esp32s3" in said
    said = otactl_("provision", blank.port, "--no-deploy", code=2)
    assert "get ESP32_GENERIC_S3-DATE-VERSION.bin, 1.23 or newer, from https://micropython.org/download/" in said
    assert not blank.flash.read(0, blank.flash.size).strip(b"\xff")


@pytest.mark.parametrize(
    ("address", "bit", "says"),
    [(0x3FF5A000, 1 << 20, "its flash is encrypted"), (0x3FF5A018, 1 << 4, "it has secure boot")],
)
def test_a_chip_whose_fuses_are_burnt_is_left_alone(
    tmp_path: Path, otactl_: Otactl, monkeypatch: pytest.MonkeyPatch, address: int, bit: int, says: str
) -> None:
    rom = ROMS["esp32"]
    burnt = replace(rom, efuses=lambda mac, revision: {**rom.efuses(mac, revision), address: bit})
    monkeypatch.setattr("vboard.loader.registers.ROMS", {"esp32": burnt})
    with Board(tmp_path / "board", blank=True) as board:
        board.power_on()
        file = stock_file(tmp_path, "esp32")
        said = otactl_("provision", board.port, "--no-deploy", "--yes", "--firmware", file, code=1)
        assert f"is not to be provisioned: {says}" in said
        assert not board.flash.read(0, board.flash.size).strip(b"\xff")


def test_a_chip_in_secure_download_mode_is_said_to_be_in_it(
    tmp_path: Path, otactl_: Otactl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It runs no stub and tells nothing of its flash, so that it looks like no loader at all."""
    answer = Commands._security_info

    def locked(self: Commands, data: bytes, size: int) -> tuple[int, bytes]:
        value, info = answer(self, data, size)
        return value, bytes([info[0] | _SECURE_DOWNLOAD]) + info[1:]

    def refused(*_: object) -> tuple[int, bytes]:
        raise Refused(_INVALID)

    monkeypatch.setattr(Commands, "_security_info", locked)
    monkeypatch.setattr(Commands, "_read_reg", refused)
    monkeypatch.setattr(Commands, "_write_reg", refused)
    with Board(tmp_path / "board", chip="esp32c3", blank=True) as board:
        board.power_on()
        file = stock_file(tmp_path, "esp32c3")
        said = otactl_("provision", board.port, "--no-deploy", "--yes", "--firmware", file, code=1)
        assert "is not to be read or written: its loader is in secure download mode" in said


def test_a_stock_board_of_before_gets_a_bootloader_that_rolls_back(
    tmp_path: Path, firmware: Path, otactl_: Otactl
) -> None:
    old, new = (firmware / f"ESP32_GENERIC_C3-{name}.bin" for name in ("20230426-v1.20.0", "20241129-v1.24.1"))
    with Board(tmp_path / "c3", chip="esp32c3", full_flash=old.read_bytes()) as board:
        board.power_on()
        board.wait_repl()
        assert "too old for the agent" in otactl_(
            "provision", board.port, "--no-deploy", "--yes", "--firmware", old, code=1
        )
        said = otactl_("provision", board.port, "--no-deploy", "--firmware", new)
        assert "MicroPython 1.24.1 runs" in said
        file = fullflash.load(new)
        assert board.flash.read(0, len(file.bootloader)) == file.bootloader
        assert rigs.slot_bytes(board, "ota_0", len(file.firmware.app)) == file.firmware.app
        slots = [(row.label, row.size) for row in board.table.ota_slots]
        assert slots == [("ota_0", 0x1C0000), ("ota_1", 0x1C0000)]


def test_four_boards_in_one_command_are_named_and_one_with_files_stops_none(
    stocked: Board, tmp_path: Path, otactl_: Otactl
) -> None:
    (tmp_path / "firmware").mkdir()
    for chip in CHIPS:
        stock_file(tmp_path / "firmware", chip)
    before = stocked.flash.read(0, stocked.flash.size)
    with ExitStack() as opened:
        boards = [
            opened.enter_context(Board(tmp_path / f"b{number}", chip=chip, blank=True))
            for number, chip in enumerate(("esp32s2", "esp32c3", "esp32c6"))
        ]
        for board in boards:
            board.power_on()
        (tmp_path / "names.csv").write_text(f"name\ndesk-01\n{boards[1]._mac.hex(':')},desk-07\ndesk-02\ndesk-03\n")
        ports = [board.port for board in (*boards, stocked)]
        said = otactl_("provision", *ports, "--no-deploy", "--names", "names.csv", code=1)
        assert said.count("this would lose 5 files of yours") == 2  # its line, and the table
        for board in boards:
            assert [row.label for row in board.table.ota_slots] == ["ota_0", "ota_1"]
            assert board.slot == "ota_0"
        assert stocked.flash.read(0, stocked.flash.size) == before
        named = {entry.mac: entry.name for entry in Roster.load(tmp_path).entries}
        assert named[boards[1]._mac.hex(":")] == "desk-07"
        assert len(named) == 3 and set(named.values()) - {"desk-07"} < {"desk-01", "desk-02", "desk-03"}
        assert otactl_("provision", "desk-07", "--no-deploy").count("it takes updates as it is") == 1


def test_boards_that_are_plugged_in_are_ticked_off_and_done_once(tmp_path: Path) -> None:
    file = stock_file(tmp_path, "esp32")
    words = [
        "provision",
        "--watch",
        str(tmp_path / "b*/port"),
        "--no-deploy",
        "--firmware",
        str(file),
        "--names",
        "n.csv",
    ]
    (tmp_path / "n.csv").write_text("desk-01\ndesk-02\ndesk-03\n")
    log = tmp_path / "log"
    with ExitStack() as opened:
        watching = opened.enter_context(
            subprocess.Popen([sys.executable, "-m", "otactl", *words], cwd=tmp_path, stdout=log.open("w"))
        )
        opened.callback(watching.kill)

        def plugged(number: int, says: str) -> Board:
            board = opened.enter_context(Board(tmp_path / f"b{number}", blank=True))
            board.power_on()
            board.wait(lambda: says in log.read_text(), 60, says)
            return board

        boards = [plugged(1, "desk-01 esp32"), plugged(2, "desk-02 esp32")]
        for board in boards:
            board.wait(lambda: log.read_text().count("✓ provisioned") == 2, 60, "two ticks")
        written = len([op for op in boards[0].flash.trace if op.actor == "host"])
        terminal = boards[0].port.readlink()
        boards[0].port.unlink()
        time.sleep(2.5)  # two looks at the ports
        boards[0].port.symlink_to(terminal)
        boards[0].wait(lambda: "✓ ready" in log.read_text(), 60, "its line")
        watching.send_signal(signal.SIGINT)
        assert watching.wait(60) == 0
        assert len([op for op in boards[0].flash.trace if op.actor == "host"]) == written > 0
    said = log.read_text()
    assert said.count("provisioned") == 4 and "not seen: desk-03" in said  # two lines, and two rows of the table
    assert {entry.name for entry in Roster.load(tmp_path).entries} == {"desk-01", "desk-02"}


def test_the_prompt_is_heard_through_a_port_on_the_network(tmp_path: Path) -> None:
    with Board(tmp_path / "board", network_port=0) as board:
        board.power_on()
        heard = prompt.wait(board.url, 20)
    assert heard.at_prompt, heard
