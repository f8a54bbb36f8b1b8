"""boards.toml: what may stand in it, which boards a command's words mean, and what a save leaves alone."""

import dataclasses
from pathlib import Path

import pytest
from otactl.errors import UsageError
from otactl.workspace.roster import Entry, Roster

DESK = """
# the boards of room 7
[[board]]
name = "desk-07"  # by the window
port = "/dev/ttyUSB0"
mac = "240AC4-123456"
chip = "esp32"
tags = ["lab", "window"]
features = ["wifi", "loopback:4-5"]
power = "uhubctl:1-1.2"
slow = 3

[[board]]
name = "desk-08"
serial = "24:0A:C4:12:34:57"
tags = ["lab"]

[[board]]
name = "attic"
mac = "24:0A:C4:12:34:58"
"""
FULL = Entry(
    "desk-07",
    "/dev/ttyUSB0",
    "esp32",
    "24:0a:c4:12:34:56",
    ("lab", "window"),
    ("wifi", "loopback:4-5"),
    "uhubctl:1-1.2",
    3.0,
)


def roster(folder: Path, text: str = DESK) -> Roster:
    (folder / "boards.toml").write_text(text)
    return Roster.load(folder)


def board(**keys: object) -> str:
    def value(of: object) -> str:
        return repr(of).replace("'", '"')

    return "[[board]]\n" + "".join(f"{key} = {value(of)}\n" for key, of in keys.items())


def names(entries: tuple[Entry, ...]) -> list[str]:
    return [entry.name for entry in entries]


# --- the file --------------------------------------------------------------------------------


def test_what_a_board_has(tmp_path: Path) -> None:
    first, second, third = roster(tmp_path).entries
    assert first == FULL
    assert second == Entry("desk-08", "id:24:0A:C4:12:34:57", tags=("lab",))
    assert third == Entry("attic", "mac:24:0a:c4:12:34:58", mac="24:0a:c4:12:34:58")


def test_no_file_is_no_boards(tmp_path: Path) -> None:
    assert Roster.load(tmp_path).entries == ()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("board = 3", "each board is a table of its own"),
        ("[board]\nname = 'a'", "each board is a table of its own"),
        ("[[boards]]\nname = 'a'", "unknown key 'boards'"),
        ("[[board", "boards.toml: "),
        (board(port="u0"), "board 1: name is missing"),
        (board(name="a"), "board a: where is it"),
        (board(name="a", port="u0", serial="1"), "board a: port and serial"),
        (board(name="a", prot="u0"), "board a: unknown key 'prot' .*: is it port"),
        (board(name="a", port="u0", xyzzy=1), "board a: unknown key 'xyzzy' .*: remove it"),
        (board(name="all", port="u0"), "name = 'all' must be a name"),
        (board(name="auto", port="u0"), "name = 'auto' must be a name"),
        (board(name="u7", port="u0"), "name = 'u7' must be a name"),
        (board(name="com3", port="u0"), "name = 'com3' must be a name"),
        (board(name="a/b", port="u0"), "name = 'a/b' must be a name"),
        (board(name="id:7", port="u0"), "name = 'id:7' must be a name"),
        (board(name="-w", port="u0"), "name = '-w' must be a name"),
        (board(name="", port="u0"), "board 1: name = '' must be a name"),
        (board(name="a", port=0), "port = 0 must be a device"),
        (board(name="a", mac="24:0a:c4"), "mac = '24:0a:c4' must be the chip's address"),
        (board(name="a", port="u0", tags="lab"), "tags = 'lab' must be a list"),
        (board(name="a", port="u0", features=[1]), "features = .* must be a list"),
        (board(name="a", port="u0", power="relay"), "power = 'relay' must be uhubctl:PLACE"),
        (board(name="a", port="u0", slow=0.5), "slow = 0.5 must be a number of 1 or more"),
        ("[[board]]\nname = 'a'\nport = 'u0'\nslow = inf", "slow = inf must be a number"),
        (board(name="a", port="u0", slow="3"), "slow = '3' must be a number"),
        (board(name="a", port="u0") + board(name="a", port="u1"), "two boards are called a"),
        (board(name="a", port="u0") + board(name="b", port="u0"), "a and b have the same device, u0"),
        (board(name="a", port="/dev/ttyUSB0") + board(name="b", port="u0"), "a and b have the same device, u0"),
        (
            board(name="a", port="u0", mac="24:0a:c4:12:34:56") + board(name="b", mac="240ac4123456"),
            "a and b have the same mac",
        ),
    ],
)
def test_what_may_not_stand_in_it_is_named(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why) as caught:
        roster(tmp_path, text)
    assert "boards.toml" in str(caught.value) and "\n" not in str(caught.value)


# --- words -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "tags", "chosen"),
    [
        ([], [], ["auto"]),
        (["desk-08", "desk-07"], [], ["desk-08", "desk-07"]),
        (["desk-07", "/dev/ttyUSB0"], [], ["desk-07"]),
        (["desk-07", "attic", "u0"], [], ["desk-07", "attic"]),
        (["u0", "port:/dev/ttyUSB0"], [], ["desk-07"]),
        (["id:24:0A:C4:12:34:57"], [], ["desk-08"]),
        (["/dev/ttyACM3", "u4", "socket://rig:4000"], [], ["/dev/ttyACM3", "u4", "socket://rig:4000"]),
        (["all"], [], ["desk-07", "desk-08", "attic"]),
        (["all", "u4"], [], ["desk-07", "desk-08", "attic", "u4"]),
        ([], ["lab"], ["desk-07", "desk-08"]),
        ([], ["window", "lab"], ["desk-07", "desk-08"]),
        (["all"], ["window"], ["desk-07"]),
        (["attic"], ["window"], ["attic", "desk-07"]),
    ],
)
def test_words_and_tags_mean_boards(tmp_path: Path, words: list[str], tags: list[str], chosen: list[str]) -> None:
    assert names(roster(tmp_path).chosen(words, tags)) == chosen


@pytest.mark.parametrize(
    ("words", "tags", "why"),
    [
        (["desk-7"], [], "no board 'desk-7' in .*: is it desk-07"),
        (["xyzzy"], [], "no board 'xyzzy' in .*`otactl boards` lists them"),
        ([], ["lap"], r"has the tag 'lap' \(tags: lab, window\)"),
        (["auto", "attic"], [], "auto means one board"),
    ],
)
def test_words_that_mean_no_board_are_refused(tmp_path: Path, words: list[str], tags: list[str], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        roster(tmp_path).chosen(words, tags)


def test_two_links_to_a_device_are_one_board(tmp_path: Path) -> None:
    (tmp_path / "tty").touch()
    for name in ("a", "b"):
        (tmp_path / name).symlink_to(tmp_path / "tty")
    known = roster(tmp_path, board(name="desk", port=f"{tmp_path}/b"))
    assert names(known.chosen([f"{tmp_path}/a", f"{tmp_path}/tty", "desk"])) == ["desk"]


def test_without_boards_a_word_is_a_device_or_nothing_and_all_is_none(tmp_path: Path) -> None:
    empty = Roster.load(tmp_path)
    assert empty.one("/dev/board") == Entry("/dev/board", "/dev/board")
    with pytest.raises(UsageError, match=rf"no board 'board': .* no board is named in {tmp_path}/boards.toml"):
        empty.one("board")
    with pytest.raises(UsageError, match=r"no boards in .*boards discover"):
        empty.chosen(["all"])
    with pytest.raises(UsageError, match=r"tags: none"):
        empty.chosen([], ["lab"])


def test_a_path_that_is_there_is_a_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "desk").touch()
    assert roster(tmp_path).one("desk") == Entry("desk", "desk")


# --- save ------------------------------------------------------------------------------------


def test_a_save_keeps_what_a_person_wrote(tmp_path: Path) -> None:
    known = roster(tmp_path)
    known.add(dataclasses.replace(FULL, device="/dev/ttyUSB9"))
    known.save()
    assert (tmp_path / "boards.toml").read_text() == DESK.replace("ttyUSB0", "ttyUSB9").replace(
        "240AC4-123456", "24:0a:c4:12:34:56"
    )


@pytest.mark.parametrize("before", ["", "# mine\n", "board = []\n", DESK])
def test_what_is_added_is_read_again(tmp_path: Path, before: str) -> None:
    known = roster(tmp_path, before)
    more = (
        Entry("new-1", "id:ABC", "esp32s3", "24:0a:c4:00:00:01", ("lab",), ("wifi",), "manual", 2.5),
        Entry("new-2", "mac:24:0a:c4:00:00:02", mac="24:0a:c4:00:00:02"),
        Entry("new-3", "socket://rig:4000"),
    )
    for entry in more:
        known.add(entry)
    known.save()
    assert Roster.load(tmp_path).entries == known.entries
    assert known.entries[-3:] == more


def test_a_new_file_says_where_its_keys_are_listed(tmp_path: Path) -> None:
    known = Roster.load(tmp_path)
    known.add(Entry("a", "u0"))
    known.save()
    assert (tmp_path / "boards.toml").read_text().startswith("# The boards of this workspace: docs/otactl.md")


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (Entry("all", "u0"), "must be a name"),
        (Entry("new", "/dev/ttyUSB0"), "desk-07 and new have the same device"),
        (Entry("new", "u5", mac="24:0a:c4:12:34:56"), "desk-07 and new have the same mac"),
    ],
)
def test_what_would_not_be_read_again_is_not_added(tmp_path: Path, entry: Entry, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        roster(tmp_path).add(entry)
