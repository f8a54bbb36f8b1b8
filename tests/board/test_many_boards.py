"""One command, many boards: real virtual boards, some of them broken, judged by what their bootloaders start."""

import json
import re
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from otactl.board import follow
from otactl.board.link import Link
from otactl.cli.main import main
from otactl.workspace.roster import Entry, Roster
from rig import Rig, boots, free_port, image
from vboard.board import Board
from vboard.flash.otadata import State

OLD, UPDATED = ("ota_0", State.VALID), ("ota_1", State.VALID)
BIG = image(5, size=400 << 10)


def names(count: int) -> list[str]:
    return [f"desk-{number}" for number in range(count)]


def room(rig: Rig, count: int, *, without_agent: int = -1) -> dict[str, Board]:
    """So many boards that run, all in boards.toml of the workspace, which tags the even ones."""
    boards = {}
    known = Roster.load(rig.workspace.root)
    for number, name in enumerate(names(count)):
        board = rig.board(deployed=number != without_agent)
        board.power_on()
        boards[name] = board
        known.add(Entry(name, str(board.port), tags=("odd",) if number % 2 else ("even",)))
    known.save()
    for number, board in enumerate(boards.values()):
        board.wait_repl(40) if number == without_agent else board.wait_text("ota: ", 40)
    return boards


def unplug(board: Board) -> None:
    """The cable, which is its power too."""
    board.power_off()
    board.close()
    board.close = lambda: None  # the rig would close it again


def otactl(capsys: pytest.CaptureFixture[str], rig: Rig, *words: str) -> tuple[int, str]:
    code = main([*words, "-w", str(rig.workspace.root)])
    said = capsys.readouterr()
    assert said.err == ""
    return code, said.out


def table(out: str) -> dict[str, list[str]]:
    """The rows of the table at the end: board -> outcome, and what follows, in words."""
    rows = parts(out)[1].splitlines()
    return {row.split()[0]: row.split()[1:] for row in rows}


def parts(out: str) -> tuple[str, str]:
    """The lines before the table, and the table without its head."""
    lines, rows = re.split(r"^board +outcome +version\n", out, flags=re.MULTILINE)
    return lines, rows


def meanwhile(act: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=act)
    thread.start()
    return thread


def test_status_of_four_one_without_an_agent_one_unplugged(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    boards = room(rig, 4, without_agent=2)
    unplug(boards["desk-3"])
    code, out = otactl(capsys, rig, "status", "all", "--json")
    found: dict[str, Any] = json.loads(out)["boards"]
    assert code == 1 and list(found) == names(4)
    assert [found[name]["running"] for name in names(2)] == ["ota_0", "ota_0"]
    assert "no agent on the board" in found["desk-2"]["error"]["message"]
    assert found["desk-3"]["error"]["kind"] == "rig" and "no such port" in found["desk-3"]["error"]["message"]

    code, out = otactl(capsys, rig, "status", "desk-1", "--tag", "even")
    assert code == 1 and list(table(out)) == ["desk-1", "desk-0", "desk-2"]
    assert table(out)["desk-0"][:3] == ["runs", "1.0.0", "esp32,"]
    assert table(out)["desk-2"][:3] == ["failed", "no", "agent"]

    code, out = otactl(capsys, rig, "status", "desk-1")
    assert code == 0 and out.startswith("chip esp32  MicroPython ")  # one board is told as ever
    for name in names(2):
        boards[name].wait_text("ota: up-to-date 1.0.0", 20)  # its program runs again


def test_update_of_eight_one_broken_one_unplugged_half_way(
    rig: Rig, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "_SLACK_S", -6)  # 14 s of silence are enough: nobody here has a hanging release
    boards = room(rig, 8, without_agent=2)
    folder = boards["desk-5"].port.parent
    rig.publish("1.1.0", BIG)
    rig.network.bytes_per_s = 800_000  # so that half way is a moment

    def pull() -> None:
        boards["desk-5"].wait_text("ota: download", 60)
        unplug(boards["desk-5"])
        rig.network.bytes_per_s = None

    puller = meanwhile(pull)
    code, out = otactl(capsys, rig, "update", "all")
    puller.join()

    lost = ["desk-2", "desk-5"]
    for name in names(8):
        if name not in lost:
            assert boots(boards[name]) == UPDATED, name
    assert boots(boards["desk-2"]) == OLD
    with Board(folder, network=rig.network) as again:  # plugged in again
        assert boots(again) == OLD
        again.power_on()
        assert again.wait_boots(1).slot == "ota_0"

    assert code == 1
    rows = table(out)
    assert {name: row[:2] for name, row in rows.items() if name not in lost} == {
        name: ["confirmed", "1.1.0"] for name in names(8) if name not in lost
    }
    assert " ".join(rows["desk-2"]).startswith("failed no agent on the board at ")
    assert re.match(r"failed the port .* has not come back for 14 s", " ".join(rows["desk-5"]))
    lines = parts(out)[0].splitlines()
    assert {line.split()[0] for line in lines} == set(names(8))  # each line is some board's
    assert all(f"{name}  ✓ confirmed 1.1.0" in lines for name in names(8) if name not in lost)
    logs = rig.workspace.root / ".otactl" / "logs"
    assert sorted(log.name.rpartition("-")[0][:6] for log in logs.iterdir()) == [n for n in names(8) if n != "desk-2"]


def test_ctrl_c_leaves_each_board_as_with_one(
    rig: Rig, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    boards = room(rig, 3)
    rig.publish("1.1.0", BIG)
    rig.network.bytes_per_s = 200_000
    seen = {name: len(board.text) for name, board in boards.items()}

    def press() -> None:
        for name, board in boards.items():
            board.wait_text("ota: download", 60, since=seen[name])
        signal.raise_signal(signal.SIGINT)

    presser = meanwhile(press)
    code = main(["update", "all", "-w", str(rig.workspace.root)])
    presser.join()
    said = capsys.readouterr()
    assert (code, said.err) == (130, "otactl: stopped\n")
    assert {name: row[0] for name, row in table(said.out).items()} == dict.fromkeys(names(3), "stopped")
    assert said.out.count("the board was made to stop too, and starts its program") >= 3
    assert f"`otactl status desk-1 -w {rig.workspace.root}` says how far it is" in said.out
    assert "stopped: stopped" not in said.out
    rig.network.bytes_per_s = None
    for name, board in boards.items():  # each goes on at its next look
        board.wait_text("ota: switch 1.1.0", 60, since=seen[name])
    rig.route(free_port())  # no server: the trial lasts
    boards["desk-1"].wait_text("ota: trial 1.1.0", 20, since=seen["desk-1"])
    assert table(otactl(capsys, rig, "status", "--tag", "odd")[1])["desk-1"][:3] == ["on", "trial", "1.1.0"]


def test_deploy_to_several_and_a_mistake_in_one_of_the_names(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    boards = room(rig, 2)
    assert main(["deploy", "desk-0", "desk-7", "-w", str(rig.workspace.root)]) == 2
    assert "no board 'desk-7'" in capsys.readouterr().err
    for board in boards.values():
        with Link(str(board.port)) as link:
            link.run("import os\nos.remove('/etc/ota/ca.pem')")
    code, out = otactl(capsys, rig, "deploy", "all")
    assert code == 0
    for name, board in boards.items():
        assert re.search(rf"^{name}  /etc/ota/ca.pem  \d+ bytes$", out, re.MULTILINE)
        assert table(out)[name][:3] == ["deployed", "1", "written,"]
        with Link(str(board.port)) as link:
            assert link.value("open('/etc/ota/ca.pem').read()") == (Path(rig.workspace.tls) / "ca.pem").read_text()
