"""Boards are leased: one session each, from a pool, across processes, whatever name leads to the port."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from otactl.errors import RigError, UsageError
from otactl.workspace.roster import Entry
from otactl_pytest import lease

HOLDS = """
import sys
from pathlib import Path
from otactl.workspace.roster import Entry
from otactl_pytest import lease
taken = lease.take([Entry(sys.argv[1], sys.argv[1])], 0, folder=Path(sys.argv[2]))
print("taken", flush=True)
sys.stdin.read()
"""


@contextmanager
def another_session(device: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the board until it is told to end, or is killed."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, device, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "taken\n"
        try:
            yield process
        finally:
            process.kill()


def boards(*names: str) -> list[Entry]:
    return [Entry(name, name) for name in names]


def taken_and_given_back(folder: Path, *names: str) -> str:
    """Which of the boards was free."""
    taken = lease.take(boards(*names), 0, folder=folder)
    taken.release()
    return taken.entry.name


def test_a_board_that_another_session_holds_is_not_taken_and_its_holder_is_named(tmp_path: Path) -> None:
    with another_session("/dev/desk", tmp_path) as process, pytest.raises(RigError) as told:
        lease.take(boards("/dev/desk"), 0, folder=tmp_path)
    assert str(told.value).startswith(f"no board is free after 0 s: /dev/desk is held by process {process.pid} in ")


def test_of_a_pool_the_one_that_is_free_is_taken(tmp_path: Path) -> None:
    with another_session("/dev/desk", tmp_path):
        assert taken_and_given_back(tmp_path, "/dev/desk", "/dev/shelf") == "/dev/shelf"


@pytest.mark.parametrize("how", ["ends", "is killed"])
def test_a_board_is_waited_for_and_taken_once_the_other_session(tmp_path: Path, how: str) -> None:
    said: list[str] = []
    with another_session("/dev/desk", tmp_path) as process:

        def tell(text: str) -> None:
            said.append(text)
            if how == "ends" and process.stdin:
                process.stdin.close()
            else:
                process.kill()

        taken = lease.take(boards("/dev/desk"), 30, tell, folder=tmp_path)
    taken.release()
    assert taken.entry.name == "/dev/desk"
    assert [text.startswith("waiting 30 s at most for a board: /dev/desk is held by") for text in said] == [True]


def test_a_board_given_back_can_be_taken_again(tmp_path: Path) -> None:
    for _ in range(2):
        assert taken_and_given_back(tmp_path, "/dev/desk") == "/dev/desk"


def test_two_names_of_one_port_are_one_board(tmp_path: Path) -> None:
    os.symlink("/dev/null", tmp_path / "by-id")
    with another_session(str(tmp_path / "by-id"), tmp_path), pytest.raises(RigError, match="no board is free"):
        lease.take(boards("/dev/null"), 0, folder=tmp_path)


def test_each_session_has_a_virtual_board_of_its_own(tmp_path: Path) -> None:
    with another_session("virtual", tmp_path):
        assert taken_and_given_back(tmp_path, "virtual") == "virtual"


BOARDS = """
[[board]]
name = "desk"
port = "/dev/ttyUSB7"
chip = "esp32c3"
tags = ["room"]
features = ["wifi", "loopback:4-5"]
[[board]]
name = "shelf"
serial = "A7"
tags = ["room"]
"""


@pytest.mark.parametrize(
    ("words", "tags", "names"),
    [
        (["desk"], [], ["desk"]),
        (["shelf", "desk"], [], ["shelf", "desk"]),
        (["virtual:esp32c3", "/dev/ttyUSB7"], [], ["virtual:esp32c3", "desk"]),
        ([], ["room"], ["desk", "shelf"]),
        (["all"], [], ["desk", "shelf"]),
    ],
)
def test_words_mean_boards(tmp_path: Path, words: list[str], tags: list[str], names: list[str]) -> None:
    (tmp_path / "boards.toml").write_text(BOARDS)
    assert [entry.name for entry in lease.pool(words, tmp_path / "boards.toml", tags)] == names


def test_a_name_that_nobody_has_is_refused(tmp_path: Path) -> None:
    (tmp_path / "boards.toml").write_text(BOARDS)
    with pytest.raises(UsageError, match="is it desk"):
        lease.pool(["dessk"], tmp_path / "boards.toml")


def test_what_the_command_line_says_goes_before_boards_toml(tmp_path: Path) -> None:
    (tmp_path / "boards.toml").write_text(BOARDS)
    entry = lease.named("/dev/ttyUSB7", tmp_path / "boards.toml")
    told = lease.with_options(entry, chip="esp32s3", power="manual", features=["camera"], slow=3.0)
    assert (told.name, told.chip, told.power, told.slow) == ("desk", "esp32s3", "manual", 3.0)
    assert told.features == ("wifi", "loopback:4-5", "camera")
    assert lease.with_options(entry, slow=None) == entry
