"""What hawkBit does otherwise than gooseBit, by a fake after its source: no real hawkBit ran here."""

import pytest
from otactl.cli.main import main
from rig import NEW, boots, slot_bytes, touched, update_code
from vboard.board import Board
from vboard.flash.otadata import State

from engine.fleet import Fleet
from engine.hawkbit import Hawkbit
from engine.served import Asked, Reply, Served


def look(board: Board) -> str:
    """One look, which must install nothing: its code."""
    before = len(board.flash.trace)
    code = update_code(board)
    assert boots(board) == ("ota_0", State.VALID)
    assert not touched(board, "ota_1", before)
    return code


def test_actions_of_hawkbit(hawkbit: tuple[Fleet, Hawkbit, Served]) -> None:
    fleet, engine, server = hawkbit
    board = fleet.board("lamp", heap_kib=152)
    fleet.release("1.1.0", NEW, "lamp", "--upload")
    assert [(one.version, one.group, one.paused) for one in fleet.rollouts("lamp")] == [("1.1.0", "lamp", False)]

    engine.window = "unavailable"
    assert look(board) == "not-now"
    assert engine.attributes == {"hw_boardname": "esp32", "hw_revision": "demo", "sw_version": "1.0.0"}
    assert engine.states == {11: "running"}
    engine.window = "available"
    engine.download_only = True  # a board that has fetched a release has installed it
    assert look(board) == "not-now"
    assert engine.states == {11: "running"}
    engine.download_only = False

    engine.states[11] = "canceling"
    assert look(board) == "up-to-date"
    assert engine.states == {11: "canceled"}  # accepted: nothing had begun
    assert engine.details[-1] == "runs 1.0.0"

    waits = engine.assign("waiting")
    assert look(board) == "not-now"
    assert engine.states[waits] == "waiting"  # a person confirms it, and never the board

    engine.states[waits] = "running"
    server.answer = closing(engine, waits)  # as by a person, between two requests of one look
    assert look(board) == "not-now"
    server.answer = engine.answer

    stale = engine.assign()
    done = engine.assign()
    asked = len(server.asked)
    server.answer = losing(engine)
    board.reset()
    board.wait_text("ota: confirmed 1.1.0", 60)
    assert engine.states[stale] == "canceled"  # left in the very look that finds what has taken its place
    assert engine.states[done] == "running"  # it says nothing before
    board.wait_text("ota: up-to-date 1.1.0", 20)
    board.wait_text("app: runs", 20)
    assert engine.states[done] == "running"
    assert engine.attributes["sw_version"] == "1.0.0"  # else gooseBit would not offer it once more, to hear the answer
    server.answer = engine.answer
    assert update_code(board) == "up-to-date"
    assert engine.states[done] == "finished"
    assert engine.attributes["sw_version"] == "1.1.0"
    assert engine.details[-1] == "confirmed 1.1.0"
    assert boots(board) == ("ota_1", State.VALID)
    assert slot_bytes(board, "ota_1", len(NEW)) == NEW
    paths = [(one.method, one.path.partition("/lamp")[2], one.query) for one in server.asked[asked:]]
    assert ("GET", f"/deploymentBase/{done}", "c=-2127183556") in paths
    assert ("POST", f"/deploymentBase/{done}/feedback", "") in paths


def test_operator_of_hawkbit(hawkbit: tuple[Fleet, Hawkbit, Served], capsys: pytest.CaptureFixture[str]) -> None:
    fleet, engine, _ = hawkbit

    def otactl(*words: str) -> int:
        return main(["engine", *words, "-w", str(fleet.place.root)])

    engine.tokens = False
    assert otactl("add", "hall", "--group", "class") == 0
    assert "hawkBit does not take boards' tokens" in capsys.readouterr().out
    engine.tokens = True
    assert otactl("add", "hall", "kitchen", "--group", "canary") == 0
    assert "tokens: switch" not in capsys.readouterr().out
    assert {name: one["group"] for name, one in engine.targets.items()} == {"hall": "canary", "kitchen": "canary"}

    fleet.rig.publish("1.1.0", NEW)
    assert otactl("push", "1.1.0", "--group", "canary", "--halt-at", "1", "--for", "0s") == 1
    assert "2 boards of group canary still to come: `otactl engine rollout" in capsys.readouterr().out
    engine.states[11], engine.status, engine.details = "error", "error", ["trial-crash", "failed-before 1.1.0"]
    beside = engine.assign()
    assert otactl("rollout", "7", "--halt-at", "1") == 1
    said = capsys.readouterr().out
    assert "hall  ✗ trial-crash: The new release reset by itself" in said.replace("✕", "✗")
    assert "halted, as 2 boards of group canary failed" in said
    assert engine.rollouts[0]["status"] == "stopped"
    assert engine.states[beside] == "canceling"  # which to pause it would not do
    assert otactl("status") == 0
    assert "hall, kitchen" in capsys.readouterr().out


def losing(engine: Hawkbit):  # type: ignore[no-untyped-def]
    """The engine, where no answer comes through that closes an action."""

    def answer(asked: Asked) -> Reply:
        lost = b'"closed"' in asked.body and "deploymentBase" in asked.path
        return Reply(503) if lost else engine.answer(asked)

    return answer


def closing(engine: Hawkbit, action: int):  # type: ignore[no-untyped-def]
    """The engine, where that action is over as soon as a board has been told of it."""

    def answer(asked: Asked) -> Reply:
        reply = engine.answer(asked)
        if asked.method == "GET" and "deploymentBase" in asked.path:
            engine.states[action] = "canceled"
        return reply

    return answer
