"""Names for boards that are provisioned, and ports that are new."""

from pathlib import Path
from typing import NamedTuple

import pytest
from otactl.board.provision.arrivals import Arrivals
from otactl.board.provision.names import Names
from otactl.errors import UsageError
from otactl.workspace.roster import Roster

A, B, C = (f"24:0a:c4:00:00:0{number}" for number in (1, 2, 3))


def listed(root: Path, text: str) -> Names:
    (root / "names.csv").write_text(text)
    return Names(root, listed=root / "names.csv")


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("desk-01\ndesk-02\n", ["desk-01", "desk-02", ""]),
        ("name\ndesk-01\n", ["desk-01", "", ""]),
        (f"mac,name\n{B},desk-07\n", ["", "desk-07", ""]),
        (f"{B.upper()},desk-07\ndesk-01\n", ["desk-01", "desk-07", ""]),
        ("desk-07,240AC4000002\n# a line for people\n\n desk-01 \n", ["desk-01", "desk-07", ""]),
        ("\ufeffdesk-01\n", ["desk-01", "", ""]),  # as a spreadsheet writes it
    ],
)
def test_names_go_by_address_or_in_their_order(tmp_path: Path, text: str, given: list[str]) -> None:
    names = listed(tmp_path, text)
    assert [names.for_board(mac) for mac in (A, B, C)] == given
    assert [names.for_board(mac) for mac in (C, B, A)] == given[::-1]  # asked again, each has what it had


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("desk-01\ndesk-01\n", "line 2: desk-01 is there twice"),
        ("desk-01,desk-02\n", "line 1: a name, or an address"),
        (f"{A}\n", "line 1: a name, or an address"),
        ("desk 1\n", "line 1: name = 'desk 1' must be a name"),
        ("all\n", "line 1: name = 'all' must be a name"),
    ],
)
def test_a_list_that_names_no_boards_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        listed(tmp_path, text)


def test_names_that_boards_have_are_not_given_again(tmp_path: Path) -> None:
    first = listed(tmp_path, "desk-01\ndesk-02\n")
    first.note(first.for_board(A), A, "esp32", "/rig/left")
    again = listed(tmp_path, "desk-01\ndesk-02\n")
    assert [again.for_board(mac) for mac in (B, A)] == ["desk-02", "desk-01"]
    assert again.left == []
    (entry,) = Roster.load(tmp_path).entries
    assert (entry.name, entry.mac, entry.chip, entry.device) == ("desk-01", A, "esp32", "/rig/left")


def test_what_a_person_wrote_of_a_board_stays(tmp_path: Path) -> None:
    path = tmp_path / "boards.toml"
    path.write_text('# mine\n[[board]]\nname = "lamp"\nport = "/rig/lamp"\ntags = ["hall"]\n')
    names = Names(tmp_path, name="lamp")
    names.note(names.for_board(A), A, "esp32s3", "/dev/other")
    (entry,) = Roster.load(tmp_path).entries
    assert (entry.mac, entry.chip, entry.device, entry.tags) == (A, "esp32s3", "/rig/lamp", ("hall",))
    assert path.read_text().startswith("# mine\n")


def test_one_port_for_many_boards_is_no_place_to_find_them(tmp_path: Path) -> None:
    names = listed(tmp_path, "desk-01\ndesk-02\n")
    for mac in (A, B):
        names.note(names.for_board(mac), mac, "esp32", "/rig/bench")
    assert [entry.device for entry in Roster.load(tmp_path).entries] == ["/rig/bench", f"mac:{B}"]


def test_the_name_of_another_board_is_refused(tmp_path: Path) -> None:
    Names(tmp_path, name="lamp").note("lamp", A, "esp32", "/rig/lamp")
    with pytest.raises(UsageError, match=f"lamp is {A} in .*boards.toml: take another name"):
        Names(tmp_path, name="lamp").for_board(B)
    assert Names(tmp_path, name="lamp").for_board(A) == "lamp"


def test_a_port_is_new_at_its_second_look_and_once(tmp_path: Path) -> None:
    port, other = tmp_path / "port-1", tmp_path / "port-2"
    arrivals = Arrivals([str(tmp_path / "port-*")])
    port.touch()
    assert arrivals.look() == []
    assert arrivals.look() == [(str(port), str(port))]
    other.touch()
    assert arrivals.look() == []
    assert arrivals.look() == [(str(other), str(other))]
    assert arrivals.look() == []


def test_a_port_that_went_away_is_new_again_but_not_while_it_is_at_work(tmp_path: Path) -> None:
    port = tmp_path / "port"
    arrivals = Arrivals([str(port)])
    port.touch()
    new = arrivals.look() + arrivals.look()
    assert len(new) == 1

    def replugged() -> int:
        port.unlink()
        gone = arrivals.look()
        port.touch()
        return len(gone + arrivals.look() + arrivals.look())

    assert replugged() == 0
    arrivals.done(str(port))
    assert replugged() == 1


class UsbPort(NamedTuple):
    device: str
    vid: int | None
    location: str | None = None


def test_without_a_pattern_only_what_a_board_may_be_and_what_comes_later_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = [UsbPort("/dev/ttyUSB0", 0x10C4, "1-1"), UsbPort("/dev/ttyS0", None)]
    monkeypatch.setattr("otactl.board.provision.arrivals.list_ports.comports", lambda: list(there))
    arrivals = Arrivals([])
    assert arrivals.left_alone == {"1-1": "/dev/ttyUSB0"}
    phone, board = UsbPort("/dev/ttyACM0", 0x18D1, "1-2"), UsbPort("/dev/ttyACM1", 0x303A, "1-3")
    there += [phone, board]
    assert arrivals.look() + arrivals.look() == [("1-3", "/dev/ttyACM1")]
    replugged = there.pop(0)
    assert arrivals.look() == []
    there.append(replugged)
    assert arrivals.look() + arrivals.look() == [("1-1", "/dev/ttyUSB0")]
