"""A push that breaks off: where the next one begins, what the board does meanwhile, what damage on the cable does."""

import random
import time
from collections.abc import Callable

import cable
import pytest
import rig as rigs
from cable import Broken, newest, pushed
from otactl.board import agent, panic
from otactl.board import push as pushing
from otactl.board.follow import Event
from otactl.board.link import Link
from otactl.board.push import Pushed, push
from otactl.errors import BoardError, RigError
from otactl.release import offer
from rig import Rig, boots, image, slot_bytes, started, status
from vboard.board import Board
from vboard.chip.kept import HARD
from vboard.flash.otadata import State

BIG = image(5, size=240 << 10)
NOTED = 64 << 10  # bytes between two notes of the offset


@pytest.fixture
def board(rig: Rig) -> Board:
    """Without a network; 1.1.0 is published."""
    rig.publish("1.1.0", BIG)
    return cable.cabled(rig)


def power_cut(board: Board) -> Callable[[], None]:
    def cut() -> None:
        board.power_off()
        raise Broken

    return cut


def interrupt() -> None:
    raise KeyboardInterrupt


def finished(rig: Rig, board: Board) -> Pushed:
    """Push again; the whole image is there then, and boots."""
    done = pushed(board, newest(rig))
    assert (done.outcome.name, done.outcome.version) == ("confirmed", "1.1.0")
    assert slot_bytes(board, "ota_1", len(BIG)) == BIG
    assert boots(board) == ("ota_1", State.VALID)
    assert done.sent == len(BIG) - done.start
    return done


def test_push_goes_on_after_power_cuts_from_the_last_note(rig: Rig, board: Board) -> None:
    cuts = sorted(random.Random("push").sample(range(NOTED + 4096, len(BIG) - 4096), 3))
    before = 0
    for cut in cuts:
        starts: list[int] = []

        def watch(event: Event, cut: int = cut, starts: list[int] = starts) -> None:
            if event.name == "download":
                starts.append(int(event.facts[0].partition("/")[0]))
            cable.at(cut, power_cut(board))(event)

        with pytest.raises(Broken):
            pushed(board, newest(rig), watch)
        assert before - NOTED - 4096 <= starts[0] <= before
        before = cut
        started(board)
    assert before - NOTED - 4096 <= finished(rig, board).start <= before


def test_ctrl_c_ends_a_push_at_once_and_loses_nothing(rig: Rig, board: Board) -> None:
    with pytest.raises(KeyboardInterrupt, match="the next push goes on from there"):
        pushed(board, newest(rig), cable.at(150_000, interrupt))
    board.wait_text("ota: refused cable stopped", 10)
    assert rigs.ask(board, "print(6 * 7)").strip() == "42"
    job = status(board)["job"]
    assert (job["phase"], job["reason"], job["detail"]) == ("writing", "cable", "stopped")
    assert finished(rig, board).start >= 150_000 - 4096


HASTY = {"_SILENT_MS = const(30000)": "_SILENT_MS = const(1500)", "_ASK_MS = const(3000)": "_ASK_MS = const(500)"}


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A board that loses patience soon."""
    code = agent.cable()
    for usual, soon in HASTY.items():
        assert usual in code
        code = code.replace(usual, soon)
    monkeypatch.setattr(agent, "cable", lambda: code)


class Damaging:
    """In place of `send` of a link: the frames that are due come through as `fault` makes them."""

    def __init__(self, link: Link, faults: dict[int, Callable[[bytes], bytes]], *, ends: int | None = None) -> None:
        """`faults`: by the number of the frame. From frame number `ends` on nothing comes through."""
        self._whole, self._faults, self._ends = link.send, faults, ends
        self.count = 0

    def __call__(self, data: bytes) -> None:
        number, self.count = self.count, self.count + 1
        if self._ends is None or number < self._ends:
            self._whole(self._faults.get(number, bytes)(data))


def test_board_whose_computer_says_no_more_starts_its_program_again(rig: Rig, board: Board, hasty: None) -> None:
    seen = len(board.text)
    with Link(str(board.port)) as link:
        link.send = Damaging(link, {}, ends=20)  # type: ignore[method-assign]
        done = push(link, newest(rig), lambda _: None)
    assert (done.outcome.name, done.outcome.reason, done.outcome.detail) == ("refused", "cable", "silent")
    assert board.wait_boots(2).cause == HARD
    board.wait_text("app: runs", 20, since=seen)
    assert finished(rig, board).start == 20 * 2048


def test_board_that_waits_for_the_rest_of_a_frame_starts_its_program_again(rig: Rig, board: Board, hasty: None) -> None:
    """Nothing but Ctrl-C would end that wait, and nobody may be there to press it."""
    seen = len(board.text)
    with Link(str(board.port)) as link:
        link.send = Damaging(link, {40: lambda data: data[: len(data) // 2]}, ends=41)  # type: ignore[method-assign]
        done = push(link, newest(rig), lambda _: None)
    assert (done.outcome.name, done.outcome.reason, done.outcome.detail) == ("refused", "cable", "silent")
    assert board.wait_boots(2).cause == HARD
    board.wait_text("app: runs", 20, since=seen)
    assert finished(rig, board).start == 40 * 2048


def flipped(data: bytes) -> bytes:
    """A bit of the body; never so that Ctrl-C comes of it, which is always one."""
    bit = 0x40 if data[700] ^ 0x40 != 3 else 0x20
    return data[:700] + bytes([data[700] ^ bit]) + data[701:]


FAULTS: list[Callable[[bytes], bytes]] = [
    flipped,
    lambda data: data[:5] + b"f" + data[6:],  # in the head: another offset
    lambda data: data[:19] + b"f" + data[20:],  # thousands of holes, for whose digits the board must not wait
    lambda data: data[:900] + data[950:],
    lambda data: data[9:],  # the begin is gone, and with it all of it
    lambda data: data[:300] + b"W (1234) wifi: noise" + data[300:],
    lambda data: data + data,
]


def test_what_the_cable_damages_is_sent_again(rig: Rig, board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pushing, "_UNANSWERED_S", 0.2)
    numbers = random.Random(7).sample(range(110), len(FAULTS) * 2)
    with Link(str(board.port)) as link:
        damaging = Damaging(link, dict(zip(numbers, FAULTS * 2, strict=True)))
        link.send = damaging  # type: ignore[method-assign]
        done = push(link, newest(rig), lambda _: None)
    assert done.outcome.name == "confirmed", done
    assert slot_bytes(board, "ota_1", len(BIG)) == BIG
    assert boots(board) == ("ota_1", State.VALID)
    assert done.again >= len(FAULTS) * 2048


def test_board_that_restarts_in_a_push_is_not_taken_for_one_that_has_the_release(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its program looks at its server then, and finds nothing newer in the channel."""
    board = started(rig.board())
    board.wait_text("ota: up-to-date 1.0.0", 20)
    file = rig.root / "firmware.bin"
    file.write_bytes(BIG)
    offered = offer.of_file(rig.workspace, file)
    for banner in (True, False):
        if not banner:  # it may be lost: a chip's own USB is not there yet when the ROM says it
            monkeypatch.setattr(panic, "explain", lambda _: None)
        seen = len(board.text)
        with pytest.raises(BoardError, match=r"restarted in the middle of the push.*push again"):
            pushed(board, offered, cable.at(100_000, board.reset))
        board.wait_text("app: runs", 20, since=seen)  # nobody has stopped it
    assert pushed(board, offered).outcome.version == "push-2"
    assert boots(board) == ("ota_1", State.VALID)


def test_trial_that_runs_already_is_waited_for_and_not_taken_for_that_of_the_push(rig: Rig) -> None:
    board = cable.cabled(rig, {"trial": {**rigs.TRIAL, "settle_s": 3, "checks": []}})
    first = image(6)
    rig.publish("1.1.0", first)
    with pytest.raises(Broken):
        pushed(board, newest(rig), on_trial)
    rig.publish("1.2.0", BIG)
    seen: list[Event] = []
    done = pushed(board, newest(rig), seen.append)
    assert (done.outcome.name, done.outcome.version, done.sent) == ("confirmed", "1.2.0", len(BIG))
    assert any(event.name == "warning" and event.facts[0].startswith("1.1.0 was on trial") for event in seen)
    assert boots(board) == ("ota_0", State.VALID)
    assert slot_bytes(board, "ota_0", len(BIG)) == BIG


def on_trial(event: Event) -> None:
    if event.name == "trial":
        raise Broken


STOPPED_IN_A_WRITE = """
from ota.install import sectors
_write = sectors.Sectors.write
def _stopped(self, at):
    _write(self, at)
    if at >= 150000:
        raise KeyboardInterrupt
sectors.Sectors.write = _stopped
"""


def test_ctrl_c_while_flash_is_written_loses_nothing_either(
    rig: Rig, board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as only_now:
        only_now.setattr(pushing, "_PUSH", STOPPED_IN_A_WRITE + pushing._PUSH)
        with pytest.raises(BoardError, match="KeyboardInterrupt"):
            pushed(board, newest(rig))
    assert finished(rig, board).start >= 150_000


def test_port_that_goes_away_ends_the_push_at_once(rig: Rig, board: Board) -> None:
    def unplugged(_: bytes) -> bytes:
        board.power_off()
        board.close()
        board.close = lambda: None  # type: ignore[method-assign]  # the rig would close it again
        return b""

    with (
        Link(str(board.port)) as link,
        pytest.raises(RigError, match=r"went away in the middle of the push.*push again"),
    ):
        link.send = Damaging(link, {20: unplugged})  # type: ignore[method-assign]
        push(link, newest(rig), lambda _: None)


def test_board_is_as_patient_as_slow_says(rig: Rig, board: Board, hasty: None) -> None:
    def late(data: bytes) -> bytes:
        time.sleep(2.5)  # it would be 1.5 s at most
        return data

    with Link(str(board.port), slow=4) as link:
        link.send = Damaging(link, {20: late})  # type: ignore[method-assign]
        assert push(link, newest(rig), lambda _: None).outcome.name == "confirmed"


def test_wifi_and_cable_finish_what_the_other_has_begun(rig: Rig) -> None:
    board = started(rig.board())
    board.wait_text("ota: up-to-date 1.0.0", 20)
    rig.publish("1.1.0", BIG)
    rig.network.bytes_per_s = 200_000
    seen = len(board.text)
    board.reset()
    board.wait_text("ota: download 7", 30, since=seen)
    rig.network.bytes_per_s = None
    with pytest.raises(KeyboardInterrupt):
        pushed(board, newest(rig), cable.at(180_000, interrupt))
    board.wait_text("ota: confirmed 1.1.0", 40)  # its look at the start of its program
    assert slot_bytes(board, "ota_1", len(BIG)) == BIG
    assert boots(board) == ("ota_1", State.VALID)
    starts = [t.start for t in rig.transfers if t.path.endswith("1.1.0/esp32.bin")]
    assert starts[0] == 0
    assert starts[-1] >= 180_000 - 4096
    assert board.text.count("ota: release 1.1.0 245772 bytes from 0\r\n") == 1
