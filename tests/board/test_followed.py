"""`update` and `rollback` followed on real virtual boards: what is told, and what becomes of the board."""

import signal
import socket
import threading
from pathlib import Path

import pytest
from otactl.board import follow
from otactl.board.codes import sentence
from otactl.board.deploy import deploy
from otactl.board.follow import Event, Outcome
from otactl.board.link import Link
from otactl.errors import BoardError, RigError
from rig import NEW, Rig, boots, image, started
from vboard.board import Board
from vboard.flash.otadata import State

BIG = image(5, size=600 << 10)


def updated(board: Board, **more: bool) -> tuple[Outcome, list[Event]]:
    seen: list[Event] = []
    with Link(str(board.port)) as link:
        return follow.update(link, seen.append, **more), seen


# --- the same board --------------------------------------------------------------------------


def test_another_board_that_comes_to_the_same_port_does_not_end_the_update_well(rig: Rig, tmp_path: Path) -> None:
    first, second = started(rig.board()), rig.board()
    rig.publish("1.1.0", BIG)
    rig.network.bytes_per_s = 400_000
    port = tmp_path / "port"
    port.symlink_to(first.port.resolve())

    def swap(event: Event) -> None:
        if event.name == "download" and first.slot:
            rig.network.bytes_per_s = None
            port.unlink()
            port.symlink_to(second.port.resolve())
            first.power_off()
            first.close()
            first.close = lambda: None  # the rig would close it again
            second.power_on()

    with pytest.raises(RigError, match=r"another board is at .*not known"), Link(str(port)) as link:
        follow.update(link, swap)


def test_the_same_board_that_comes_back_at_another_terminal_is_followed_to_the_end(rig: Rig, tmp_path: Path) -> None:
    board = started(rig.board())
    rig.publish("1.1.0", NEW)
    port = tmp_path / "port"
    port.symlink_to(board.port.resolve())

    def unplug(event: Event) -> None:
        if event.name == "switch":  # as a chip with its own USB does at a reset
            link._transport.serial.port.close()

    with Link(str(port)) as link:
        assert follow.update(link, unplug) == Outcome("confirmed", "1.1.0")
        assert link.reopened
    board.wait_text("ota: up-to-date 1.1.0", 20)  # asking who it is did not stop its program


# --- what is told ----------------------------------------------------------------------------


def test_a_board_without_a_program_gets_a_hint_and_no_error(rig: Rig) -> None:
    board = started(rig.board())
    with Link(str(board.port)) as link:
        link.run("import os\nos.remove('/app.py')")
    rig.publish("1.1.0", NEW)
    outcome, seen = updated(board)
    assert (outcome.name, outcome.version) == ("confirmed", "1.1.0")
    assert outcome.hint.startswith("no app.py yet: ")
    assert "error" not in [event.name for event in seen]


def test_a_release_that_was_rolled_back_by_hand_is_not_said_to_have_failed(rig: Rig) -> None:
    board = started(rig.board())
    rig.publish("1.1.0", NEW)
    assert updated(board)[0].name == "confirmed"
    with Link(str(board.port)) as link:
        assert follow.rollback(link, lambda _: None) == Outcome("confirmed", "1.0.0")
    outcome, _ = updated(board)
    assert outcome == Outcome("refused", "", "rollback", "1.1.0")
    said = sentence(outcome.reason, outcome.detail)
    assert "rolled back by request" in said and "Publish the next version" in said and "trial" not in said


def test_a_release_that_failed_is_said_to_have_failed(rig: Rig) -> None:
    board = started(rig.board())
    rig.publish("1.1.0", image(2, panic=True))
    outcome, seen = updated(board)
    assert (outcome.name, outcome.reason) == ("rolled-back", "trial-crash")
    assert "crash on core 0, LoadProhibited" in outcome.detail  # the panic on the console is the cause
    assert any(event.name == "console" and "LoadProhibited" in event.facts[0] for event in seen)
    assert updated(board)[0] == Outcome("refused", "", "failed-before", "1.1.0")


def test_a_firmware_that_hangs_before_boot_py_is_waited_for_aloud(rig: Rig) -> None:
    board = started(rig.board())
    rig.publish("1.1.0", image(2, hang="startup"))
    told: list[tuple[str, float]] = []
    with Link(str(board.port), tell=lambda what, left_s: told.append((what, left_s))) as link:
        outcome = follow.update(link, lambda _: None)
    assert (outcome.name, outcome.reason) == ("rolled-back", "trial-watchdog")
    waits = [left_s for what, left_s in told if what.startswith("the trial to report; the bootloader goes back")]
    assert len(waits) >= 5  # the bootloader's watchdog takes 9 s
    assert 90 < waits[0] < 110  # 20 s of trial and what comes around it


# --- main.py without the agent ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("main", "why"),
    [
        ("print('mine')\n", "does not call the agent.*Put `try: from ota import agent; agent.start()` and, below"),
        ("from ota import agent\nagent.run('app')\n", "does not call the agent"),
        ("# from ota import agent; agent.start()\n", "does not call the agent"),
        (None, "has no main.py.*otactl deploy"),
    ],
    ids=["no agent", "no start", "commented out", "none"],
)
def test_an_update_that_could_only_end_in_deadline_is_refused_before_a_download(
    rig: Rig, main: str | None, why: str
) -> None:
    board = started(rig.board())
    with Link(str(board.port)) as link:
        link.run("import os\nos.remove('/main.py')") if main is None else link.put("/main.py", main.encode())
    rig.publish("1.1.0", NEW)
    fetched = len(rig.transfers)
    with pytest.raises(BoardError, match=why.replace("()", r"\(\)")) as caught:
        updated(board)
    assert len(rig.transfers) == fetched
    assert "\n" not in str(caught.value)


def test_a_boot_py_without_the_agent_is_warned_of(rig: Rig) -> None:
    board = started(rig.board())
    with Link(str(board.port)) as link:
        link.put("/boot.py", b"print('mine')\n")
    rig.publish("1.1.0", NEW)
    outcome, seen = updated(board)
    assert outcome == Outcome("confirmed", "1.1.0")
    assert seen[0].name == "warning" and seen[0].facts[0].startswith("boot.py does not call the agent: a new release")


def test_an_update_goes_on_anyway_where_a_module_calls_the_agent(rig: Rig) -> None:
    board = started(rig.board())
    with Link(str(board.port)) as link:
        link.put("/mine.py", b"from ota import agent\nagent.start()\nagent.run('app')\n")
        link.put("/main.py", b"import mine\n")
    rig.publish("1.1.0", NEW)
    assert updated(board, anyway=True)[0] == Outcome("confirmed", "1.1.0")


# --- Ctrl-C ----------------------------------------------------------------------------------


def interrupted(board: Board, at: str) -> str:
    """Ctrl-C at the first event of that name; what is said."""

    def press(event: Event) -> None:
        if event.name == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught, Link(str(board.port)) as link:
        follow.update(link, press)
    return str(caught.value)


def test_ctrl_c_in_a_download_stops_it_and_the_board_goes_on_at_its_next_look(rig: Rig) -> None:
    board = started(rig.board())
    rig.publish("1.1.0", BIG)
    rig.network.bytes_per_s = 400_000
    seen = len(board.text)
    said = interrupted(board, "download")
    assert "made to stop" in said and "`otactl status`" in said
    rig.network.bytes_per_s = None
    board.wait_text("ota: confirmed 1.1.0", 60, since=seen)


def test_ctrl_c_in_a_trial_leaves_the_trial_alone(rig: Rig) -> None:
    board = started(rig.board())
    rig.publish("1.1.0", NEW)
    seen = len(board.text)
    said = interrupted(board, "trial")
    assert "goes on with the trial of 1.1.0 by itself" in said and "`otactl status`" in said
    board.wait_text("ota: confirmed 1.1.0", 40, since=seen)
    assert boots(board) == ("ota_1", State.VALID)


def test_ctrl_c_in_an_update_that_ends_in_a_refusal_leaves_the_program_running(rig: Rig) -> None:
    board = started(rig.board())
    board.wait_text("app: runs", 20)
    with socket.create_server(("127.0.0.1", 0)) as server:  # accepts, and says nothing: `tls`, three tries later
        rig.route(server.getsockname()[1])
        seen = len(board.text)

        def press() -> None:
            server.accept()
            signal.raise_signal(signal.SIGINT)

        with pytest.raises(KeyboardInterrupt), Link(str(board.port)) as link:
            threading.Thread(target=press).start()
            follow.update(link, lambda _: None)
    board.wait_text("app: runs", 40, since=seen)


def test_a_deployment_that_the_board_has_no_memory_for_is_said_to_be_that(rig: Rig) -> None:
    """It would have been deployed, and every look end in no-memory: a board compiles .py in its own memory."""
    board = started(rig.board(heap_kib=106), clock=False)
    with Link(str(board.port)) as link, pytest.raises(BoardError, match="deploy without --py"):
        deploy(link, rig.workspace, as_py=True)
