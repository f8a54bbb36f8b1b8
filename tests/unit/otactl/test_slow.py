"""Boards and links that are slow: what comes late is waited for, and who has to be patient is told so.

Link(slow=0.1) has limits for a board ten times faster than usual: to it a usual one is what a board ten times
slower is to `otactl` without --slow.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import scripted
import slow
from otactl.board import deploy
from otactl.board.link import Link
from otactl.errors import RigError
from otactl.workspace.workspace import Workspace
from vboard.board import Board

IMPATIENT, USUAL = 0.1, 1.0


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    with Board(tmp_path / "board") as board:
        board.power_on()
        board.wait_repl()
        yield board


def test_a_file_that_takes_longer_than_the_limit_arrives_while_its_bytes_come(board: Board) -> None:
    data = bytes(range(256)) * 8  # 2.7 kB as base64 in one command: 2.7 s, the limit is 1 s
    with slow.paced(board, 1000) as device, Link(device, slow=IMPATIENT) as link:
        link.put("/file.bin", data)
        assert link.value("len(open('/file.bin', 'rb').read())") == len(data)


def test_a_board_that_is_busy_in_the_middle_of_a_command_is_waited_for_longer_than_a_read_of_the_port_takes() -> None:
    """As one is that compiles what it has of it: its port gives nothing for 0.5 s, the limit is 1 s."""
    answers = scripted.well(lambda _: b"7\r\n\x04\x04>")

    def script(data: bytes, send: scripted.Send) -> None:
        if data == b"x = 1":  # all that fits into the window
            time.sleep(0.7)
            send(b"\x01")
        answers(data, lambda said: send(said.replace(b"R\x01\x00\x40\x01", b"R\x01\x05\x00")))

    with scripted.on_terminal(script) as device, Link(device, slow=IMPATIENT) as link:
        assert link.run("x = 1\ny") == "7\r\n"


def test_hashes_that_take_longer_than_the_limit_arrive_one_by_one(board: Board) -> None:
    with Link(str(board.port), slow=IMPATIENT) as link:
        link.run("import time\ndef slowly(x):\n    time.sleep(0.4)\n    return x")
        assert link.values("slowly", ["a", "b", "c", "d"]) == ["a", "b", "c", "d"]


def test_an_answer_that_comes_slowly_without_end_is_given_up() -> None:
    script = scripted.well(lambda _: b"x" * 500_000)
    given_up = pytest.raises(RigError, match="time is up")
    with scripted.on_terminal(script) as device, Link(device, slow=0.02) as link, given_up:
        link.value("1")


def test_deployment_on_a_board_ten_times_slower_needs_slow_and_says_so(board: Board, place: Workspace) -> None:
    with slow.halting(board, stands_s=1.1, runs_s=0.4):
        with pytest.raises(RigError, match="try --slow 10"), Link(str(board.port), slow=IMPATIENT) as link:
            deploy.deploy(link, place)
        with Link(str(board.port), slow=USUAL) as link:
            assert len(deploy.deploy(link, place).written) > 40


@pytest.mark.parametrize("slower", [0.05, 0.1])
def test_every_limit_is_times_slow(slower: float) -> None:
    with scripted.on_terminal(scripted.silent) as device, pytest.raises(RigError, match="does not answer"):
        link = Link(device, slow=slower)
        limits = (
            link.patience.limit(40),
            link._transport.serial.port.timeout,
            link._transport.serial.port.write_timeout,
        )
        assert limits == pytest.approx((40 * slower, 5 * slower, 5 * slower))
        with link:
            pass


def test_a_port_that_is_at_fault_is_not_called_slow() -> None:
    with ExitStack() as plugged, pytest.raises(RigError) as caught:
        device = plugged.enter_context(scripted.on_terminal(scripted.well(lambda _: b"")))
        with Link(device) as link:
            plugged.close()
            link.run("1")
    assert "is it still plugged in?" in str(caught.value) and "--slow" not in str(caught.value)


def test_a_long_wait_is_told_of_with_the_time_that_is_left() -> None:
    told: list[tuple[str, float]] = []
    with (
        scripted.on_terminal(scripted.silent) as device,
        pytest.raises(RigError, match="does not answer"),
        Link(device, slow=0.15, tell=lambda what, left_s: told.append((what, left_s))),
    ):
        pass
    assert {what for what, _ in told} == {"the board's prompt; its program may be in a long call"}
    left = [round(left_s) for _, left_s in told]
    assert left[0] == 4 and left == sorted(left, reverse=True)
