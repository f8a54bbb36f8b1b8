"""A board that has the 0.1.0 agent: its record, configuration and files are taken over, in whatever it is doing."""

import json
from hashlib import sha256
from typing import Any

import rig as rigs
from otactl.board import deploy as deploying
from otactl.board.deploy import deploy
from rig import NEW, Rig, boots, started, status
from vboard.board import Board
from vboard.flash.nvs import NvsError
from vboard.flash.otadata import Entry, State

BOOT = """# Runs first on every boot: puts a new release on trial before anything else can hang.
try:
    import ota.trial

    ota.trial.start()
except Exception as e:  # the application comes first, whatever is wrong with the agent
    print("ota: error", repr(e))
"""
MAIN = """# The network and the agent, then your program: app.py.
try:
    from ota import agent
except ImportError as e:  # the agent's files are gone: the application comes first
    print("ota: error", repr(e))
    import app

    if hasattr(app, "main"):
        app.main()
else:
    agent.start()
    agent.run("app")
"""
# What 0.1.0 wrote after it had installed 1.0.0 (sequence 1) and was told of nothing since.
STATE: dict[str, Any] = {
    "installed": {"version": "1.0.0", "sequence": 1, "security_version": 0},
    "previous": None,
    "floor_sequence": 1,
    "floor_security": 0,
    "failed": [],
    "refused": None,
}
JOB: dict[str, Any] = {
    "phase": "idle", "version": None, "sequence": 0, "security_version": 0, "size": 0, "sha256": "", "slot": None,
    "etag": None, "switches": 0, "restarts": 0, "spoiled": 0, "reason": None, "detail": None, "told": True,
}  # fmt: skip


def remembers(board: Board, job: dict[str, Any], state: dict[str, Any]) -> None:
    """The board, which is off, has that record of 0.1.0 and no other."""
    store = rigs.nvs(board)
    space = store.namespace("ota")
    for key in ("job0", "job1", "state0", "state1"):
        try:
            store.erase_key(space, key)
        except NvsError:
            pass  # it has none
    store.set_blob(space, "job1", json.dumps([1, {**JOB, **job}]).encode())
    store.set_blob(space, "state1", json.dumps([1, {**STATE, **state}]).encode())


def test_record_of_an_idle_board(rig: Rig) -> None:
    board = rig.board()
    remembers(board, {}, {"failed": [[7, "trial-crash"]]})
    board.power_on()
    told = status(board)
    assert told["installed"] == {"version": "1.0.0", "sequence": 1, "security_version": 0}
    assert told["failed"] == [{"sequence": 7, "reason": "trial-crash"}]
    rig.publish("1.1.0", NEW)
    seen = len(board.text)
    board.reset()
    board.wait_text("ota: up-to-date 1.1.0", 40, since=seen)
    with rigs.repl(board) as link:
        link.start("from ota import agent\nagent.rollback()")  # to what it was told of by 0.1.0
        board.wait_text("ota: confirmed 1.0.0", 40, since=seen)
    assert boots(board) == ("ota_0", State.VALID)


def test_record_of_a_board_that_has_just_switched(rig: Rig) -> None:
    """The old agent downloaded and switched, the new one was deployed, and this is the trial's boot."""
    board = rig.board()
    rig.publish("1.1.0", NEW)
    row, otadata = board.table.find("ota_1"), board.table.otadata
    assert row and otadata
    board.program(row.offset, NEW)
    board.flash.program(otadata.offset + 4096, Entry.make(2, State.NEW).to_bytes(), actor="host")
    digest = sha256(NEW).hexdigest()
    job = {"phase": "ready", "version": "1.1.0", "sequence": 2, "size": len(NEW), "sha256": digest, "slot": "ota_1"}
    remembers(board, {**job, "switches": 1, "told": True}, {})
    started(board)
    board.wait_text("ota: confirmed 1.1.0", 40)
    board.wait_text("ota: up-to-date 1.1.0", 20)
    assert boots(board) == ("ota_1", State.VALID)
    assert status(board)["installed"]["version"] == "1.1.0"


def test_record_of_a_board_in_mid_download_goes_on(rig: Rig) -> None:
    board = rig.board()
    data = rigs.image(5, size=300 << 10)
    rig.publish("1.1.0", data)
    row = board.table.find("ota_1")
    assert row
    board.program(row.offset, data[: 128 << 10])
    digest = sha256(data).hexdigest()
    job = {"phase": "writing", "version": "1.1.0", "sequence": 2, "size": len(data), "sha256": digest, "slot": "ota_1"}
    remembers(board, {**job, "told": False}, {})
    store = rigs.nvs(board)
    store.set_i32(store.namespace("ota"), "offset", 128 << 10)
    started(board)
    board.wait_text("ota: up-to-date 1.1.0", 60)
    assert [t.start for t in rig.transfers if t.path.startswith("1.1.0")] == [128 << 10]


def test_files_of_the_old_agent_give_way(rig: Rig) -> None:
    board = rig.board()
    board.power_on()
    board.wait_repl()
    with rigs.repl(board) as link:
        link.put("/boot.py", BOOT.encode())
        link.put("/main.py", MAIN.encode())
        for name in ("slots", "record", "http", "install", "signature", "release", "diagnostics", "network", "image"):
            link.put(f"/lib/ota/{name}.mpy", b"of 0.1.0")
        done = deploy(link, rig.workspace)
        assert {f"/lib/ota/{name}.mpy" for name in ("slots", "install", "http")} <= set(done.removed)
        assert {"/boot.py", "/main.py"} <= set(done.written)
        assert done.advice == []
        have = link.value("_walk('/lib/ota')", deploying._ASK)
    assert not {"slots.mpy", "http.mpy"} & set(have)


def test_old_boot_py_still_arms_the_trial(rig: Rig) -> None:
    board = started(rig.board())
    board.wait_text("app: runs")
    with rigs.repl(board) as link:
        link.put("/boot.py", BOOT.encode())
    rig.publish("1.1.0", NEW)
    seen = len(board.text)
    board.reset()
    board.wait_text("ota: trial 1.1.0", 40, since=seen)
    board.wait_text("ota: confirmed 1.1.0", 40, since=seen)
