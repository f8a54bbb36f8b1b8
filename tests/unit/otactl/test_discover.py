"""`otactl boards`: what answers at a port, which board of boards.toml it is, and which one `auto` takes."""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import scripted
import serial
from otactl.board import discover, ports
from otactl.board.discover import Found
from otactl.cli.main import main
from otactl.errors import RigError
from otactl.workspace.roster import Entry, Roster
from otactl.workspace.roster_merge import Seen, merge
from serial.tools.list_ports_common import ListPortInfo
from vboard.board import Board

A, B, C = (f"24:0a:c4:00:00:0{digit}" for digit in "abc")


@pytest.fixture(scope="module")
def boards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Board]]:
    """An ESP32 that runs MicroPython, an ESP32-C3, and an ESP32-S3 in its loader."""
    with ExitStack() as opened:
        made = [
            opened.enter_context(Board(tmp_path_factory.mktemp(chip), chip=chip))
            for chip in ("esp32", "esp32c3", "esp32s3")
        ]
        for board in made:
            board.power_on()
        for board in made:
            board.wait_repl()
        made[2].download_mode()
        yield made


def address(board: Board) -> str:
    return board._mac.hex(":")


def plugged_in(monkeypatch: pytest.MonkeyPatch, *found: tuple[str, int, str]) -> None:
    """Let these be the USB ports of this machine: (path, vendor, serial number)."""
    listed = []
    for device, vid, number in found:
        port = ListPortInfo(device)
        port.vid, port.serial_number, port.description = vid, number, "a port"
        listed.append(port)
    monkeypatch.setattr("serial.tools.list_ports.comports", lambda: listed)


BRIDGE, CHIPS_OWN = 0x10C4, 0x303A


# --- what answers ----------------------------------------------------------------------------


def test_a_board_at_its_prompt_says_who_it_is_and_runs_again(boards: list[Board]) -> None:
    for board in boards[:2]:
        seen = len(board.text)
        found = discover.look(str(board.port))
        assert found == Found("answers", str(board.port), board.chip.name, address(board), "1.26.1")
        board.wait_text("MPY: soft reboot", 10, since=seen)
        board.wait_repl()


def test_a_board_in_its_loader_says_who_it_is_and_stays_there(boards: list[Board]) -> None:
    found = discover.look(str(boards[2].port))
    assert found == Found("in its loader", str(boards[2].port), "esp32s3", address(boards[2]))
    assert boards[2].in_loader


def test_what_does_not_answer_says_why(boards: list[Board], monkeypatch: pytest.MonkeyPatch) -> None:
    port = str(boards[0].port)
    assert discover.look("/dev/ttyNothing") == Found("not there")
    assert discover.look("id:none-has-this") == Found("not there")
    assert discover.look(__file__) == Found("no serial port")
    with serial.Serial(port, exclusive=True):
        assert discover.look(port) == Found("busy")
    with scripted.on_terminal(scripted.silent) as device:
        assert discover.look(device, slow=0.2) == Found("no answer", device)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with serial.Serial(port, exclusive=True):  # root may open what it has no permission for
        assert discover.look(port) == Found("no permission")


@pytest.mark.parametrize(
    ("machine", "chip"),
    [
        ("Generic ESP32 module with ESP32", "esp32"),
        ("Generic ESP32C3 module with ESP32-C3", "esp32c3"),
        ("Board of somebody with ESP32-S3FH4R2", "esp32s3"),
        ("ESP32C61 module with ESP32C61", "esp32c61"),
        ("Raspberry Pi Pico with RP2040", "rp2040"),
    ],
)
def test_the_chip_is_spelled_as_esptool_does(machine: str, chip: str) -> None:
    assert discover._chip(machine) == chip


# --- mac: ------------------------------------------------------------------------------------


def test_an_address_is_found_by_the_chips_own_usb_without_a_look(
    boards: list[Board], monkeypatch: pytest.MonkeyPatch
) -> None:
    plugged_in(monkeypatch, ("/dev/ttyACM0", CHIPS_OWN, A.upper()), ("/dev/ttyACM1", CHIPS_OWN, B.replace(":", "")))
    monkeypatch.setattr(ports, "owner", lambda *_: pytest.fail("a look was taken"))
    assert ports.candidates(f"mac:{A}") == ["/dev/ttyACM0"]
    assert ports.candidates(f"mac:{B}") == ["/dev/ttyACM1"]


def test_an_address_behind_a_bridge_is_found_by_a_look_at_each_port(
    boards: list[Board], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = boards[:2]
    plugged_in(
        monkeypatch, ("/dev/ttyNothing", BRIDGE, "1"), *((str(one.port), BRIDGE, "1") for one in (first, second))
    )
    seen = len(second.text)
    assert ports.candidates(f"mac:{address(second)}") == [str(second.port)]
    second.wait_text("MPY: soft reboot", 10, since=seen)  # its program runs again
    with pytest.raises(RigError, match=rf"no board with the address {A} .*\(3 looked at\)"):
        ports.candidates(f"mac:{A}")


# --- which board it is -----------------------------------------------------------------------


def seen(device: str, mac: str, port: str = "") -> Seen:
    return Seen(device, port or device, mac, "esp32")


ESP = {"chip": "esp32"}


@pytest.mark.parametrize(
    ("before", "found", "after"),
    [
        (
            [],
            [seen("u0", A), seen("id:B", B)],
            [Entry("b-01", "u0", mac=A, **ESP), Entry("b-02", "id:B", mac=B, **ESP)],
        ),
        (  # the port has changed; the rest stays
            [Entry("x", "u0", "esp32", A, ("lab",), ("wifi",), "manual", 2.0)],
            [seen("u7", A)],
            [Entry("x", "u7", "esp32", A, ("lab",), ("wifi",), "manual", 2.0)],
        ),
        ([Entry("x", "u0")], [seen("u0", A)], [Entry("x", "u0", mac=A, **ESP)]),  # a person wrote the port only
        ([Entry("x", "id:S", mac=A, **ESP)], [seen("u0", A)], [Entry("x", "id:S", mac=A, **ESP)]),
        ([Entry("x", f"mac:{A}", mac=A)], [seen("u0", A)], [Entry("x", f"mac:{A}", mac=A, **ESP)]),
        ([Entry("x", "/link", mac=A, **ESP)], [seen("id:S", A, "/link")], [Entry("x", "/link", mac=A, **ESP)]),
        (  # two have changed places
            [Entry("x", "u0", mac=A, **ESP), Entry("y", "u1", mac=B, **ESP)],
            [seen("u0", B), seen("u1", A)],
            [Entry("x", "u1", mac=A, **ESP), Entry("y", "u0", mac=B, **ESP)],
        ),
        (  # another board is at its port, and it is nowhere
            [Entry("x", "u0", mac=A, **ESP)],
            [seen("u0", B)],
            [Entry("x", f"mac:{A}", mac=A, **ESP), Entry("b-01", "u0", mac=B, **ESP)],
        ),
        (
            [Entry("b-01", "u5", mac=C)],
            [seen("u0", A)],
            [Entry("b-01", "u5", mac=C), Entry("b-02", "u0", mac=A, **ESP)],
        ),
    ],
)
def test_boards_are_known_by_their_address(
    tmp_path: Path, before: list[Entry], found: list[Seen], after: list[Entry]
) -> None:
    known = Roster.load(tmp_path)
    for entry in before:
        known.add(entry)
    merged = merge(known, found, "b")
    known.save()
    assert list(Roster.load(tmp_path).entries) == after
    assert [merged[one.device].entry.mac for one in found] == [one.mac for one in found]
    for one in found:
        was, is_now = merged[one.device].what, merged[one.device].entry
        assert was == ("known" if is_now in before else "changed" if is_now.name in {e.name for e in before} else "new")


# --- the verbs -------------------------------------------------------------------------------


def test_discover_writes_what_list_shows(
    boards: list[Board], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    plugged_in(monkeypatch, (str(boards[0].port), BRIDGE, "1"))
    assert main(["boards"]) == 0 and "no boards in boards.toml yet" in capsys.readouterr().out
    assert main(["boards", "discover", "--name", "desk", str(boards[2].port)]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[1][1:] == ["answers", "desk-01", "new", "esp32", "1.26.1"]
    assert rows[2][1:] == ["in", "its", "loader", "desk-02", "new", "esp32s3"]
    assert [entry.mac for entry in Roster.load(tmp_path).entries] == [address(boards[0]), address(boards[2])]

    (tmp_path / "boards.toml").write_text("# mine\n" + (tmp_path / "boards.toml").read_text())
    kept = (tmp_path / "boards.toml").read_text()
    assert main(["boards", "discover", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["boards"][str(boards[0].port)]
    assert (told["name"], told["is"], told["mac"]) == ("desk-01", "known", address(boards[0]))
    assert (tmp_path / "boards.toml").read_text() == kept

    assert main(["boards", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["boards"]
    assert [(one["state"], one["chip"]) for one in told.values()] == [
        ("answers", "esp32"),
        ("in its loader", "esp32s3"),
    ]
    assert set(told["desk-01"]) >= {"device", "mac", "tags", "features", "power", "slow", "micropython"}


def test_discover_keeps_what_was_written_while_it_looked(
    boards: list[Board], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    plugged_in(monkeypatch)
    look = discover.look

    def edited(device: str, **how: Any) -> Found:
        (tmp_path / "boards.toml").write_text('[[board]]\nname = "mine"\nport = "/dev/mine"\n')
        return look(device, **how)

    monkeypatch.setattr(discover, "look", edited)
    assert main(["boards", "discover", str(boards[0].port)]) == 0
    assert "boards.toml has 2 boards, new or changed: 1\n" in capsys.readouterr().out
    assert [entry.name for entry in Roster.load(tmp_path).entries] == ["mine", "board-01"]


def test_discover_interrupts_nothing_for_a_name_that_is_none(
    boards: list[Board], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    plugged_in(monkeypatch)
    monkeypatch.setattr(discover, "look", lambda *_, **__: pytest.fail("a look was taken"))
    assert main(["boards", "discover", "--name", "room 7", str(boards[0].port)]) == 2
    assert "--name room 7: letters" in capsys.readouterr().err


def test_discover_where_nobody_says_who_it_is_is_the_rigs_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    plugged_in(monkeypatch)
    assert main(["boards", "discover", "/dev/ttyNothing"]) == 3
    assert "no board says who it is" in capsys.readouterr().out
    assert main(["boards", "discover", "/dev/ttyNothing", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["boards"]["/dev/ttyNothing"] == {
        "state": "not there",
        "name": None,
        "is": None,
    }


def test_discover_without_a_port_is_the_rigs_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    plugged_in(monkeypatch)
    assert main(["boards", "discover"]) == 3
    assert "plug a board in" in capsys.readouterr().err and not (tmp_path / "boards.toml").exists()


def test_a_board_that_is_known_by_its_address_and_is_nowhere_is_not_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    plugged_in(monkeypatch)
    known = Roster.load(tmp_path)
    known.add(Entry("attic", f"mac:{A}", mac=A, tags=("lab",)))
    known.save()
    assert main(["boards"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["attic", f"mac:{A}", "not", "there", "lab"]


def test_a_verb_of_one_board_takes_a_name_and_its_time_factor(
    boards: list[Board], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    known = Roster.load(tmp_path)
    known.add(Entry("desk", str(boards[0].port), slow=3))
    known.save()
    asked: list[float] = []
    silent = "otactl.board.slots.is_silent"
    monkeypatch.setattr(silent, lambda device, slow: asked.append(slow) or False)
    assert main(["slots", "desk", "--slow", "2"]) == 0
    assert "boots next: ota_0" in capsys.readouterr().out and asked == [6.0]
    assert main(["slots", "desc"]) == 2
    assert "no board 'desc'" in capsys.readouterr().err


def test_auto_says_which_it_took_where_nobody_is_there_to_ask(
    boards: list[Board], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = sorted(str(board.port) for board in boards[:2])
    plugged_in(monkeypatch, (first, BRIDGE, "1"), (second, BRIDGE, "2"))
    main(["status"])
    assert f"otactl: 2 boards are plugged in: took {first}; name one" in capsys.readouterr().err
    main(["status", second])
    assert "plugged in" not in capsys.readouterr().err
    plugged_in(monkeypatch, (first, BRIDGE, "1"))
    main(["status"])
    assert "plugged in" not in capsys.readouterr().err


def test_auto_asks_a_person_which(
    boards: list[Board], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from otactl.cli import chosen

    plugged_in(monkeypatch, ("/dev/a", BRIDGE, "1"), ("/dev/b", BRIDGE, "2"))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda *_: "2")
    assert chosen.board("auto", None, 1.0).device == "/dev/b"
    said = capsys.readouterr()
    assert said.out == "" and "2 boards are plugged in:\n  1  /dev/a  a port\n  2  /dev/b  a port\n" in said.err
    assert chosen.board("/dev/a", None, 1.0).device == "/dev/a"
