"""The HIL suite on a virtual board over a terminal and over socket://, and what it says of agents, boards and rigs with a
fault each: the right tests turn red, and no others; a broken rig is a rig fault.

A slice of the faults runs here, all of them by `make hil-self`.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import rig as rigs
from hilfaults import agents
from hilfaults.bridge import Bridge
from otactl.workspace.workspace import Workspace
from powercut.flash import files
from rig import OLD, boots
from vboard.board import Board
from vboard.flash.otadata import State
from vboard.link.network import Network

TESTS = Path(__file__).resolve().parents[1]
EVERY = bool(os.environ.get("HIL_SELF"))
SECRET = "correct horse"  # of the network that the suite is told to use
QUICK = ("second_deployment", "broken", "spoiled and signature", "certificate", "missing", "left")  # by name
LIMIT_S = 600
pytestmark = pytest.mark.timeout(LIMIT_S)  # a machine under load; each takes a part of a minute


@dataclass(frozen=True, slots=True)
class Ran:
    """What `otactl hil` made of it. `out`: its folder."""

    code: int
    outcomes: dict[str, str]  # test -> outcome
    told: dict[str, Any]
    text: str
    out: Path

    @property
    def red(self) -> set[str]:
        return {name for name, outcome in self.outcomes.items() if outcome == "failed"}

    @property
    def rig_faults(self) -> int:
        return list(self.outcomes.values()).count("rig fault")


def hil(device: object, out: Path, *words: str, agent: Path | None = None, patience_s: float = LIMIT_S) -> Ran:
    """Run `otactl hil DEVICE --json`, with another agent to deploy where one is given."""
    env = {**os.environ, "XDG_CACHE_HOME": str(out / "cache")}
    if agent:
        path = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
        env |= {"HIL_AGENT": str(agent), "PYTEST_PLUGINS": "hilfaults.in_place", "PYTHONPATH": path}
    line = [sys.executable, "-m", "otactl", "hil", str(device), "--json", "--out", str(out), "--address", "127.0.0.1"]
    done = subprocess.run([*line, *words], env=env, capture_output=True, text=True, timeout=patience_s, check=False)
    told = json.loads(done.stdout)["boards"][str(device)]
    return Ran(
        done.returncode,
        {test["id"]: test["outcome"] for test in told["tests"]},
        told,
        f"{told['trouble']}\n" + "\n".join(f"{test['id']}: {test['why']}" for test in told["tests"]) + done.stderr,
        out,
    )


def network() -> Network:
    """The network of the boards' own configuration, and that of the rig."""
    return Network(access_points={"virtual": "password", "rig": SECRET}, join_s=0.02)


@pytest.fixture
def board(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Board]:
    """A board that is on and has no agent yet; its watchdog bites in a fifth of its time."""
    settings = {"rollback": True} | getattr(request, "param", {})
    with Board(tmp_path / "board", app=OLD, watchdog_factor=5, network=network(), **settings) as made:
        made.wire(4, 5)
        made.power_on()
        made.wait_repl()
        yield made


@pytest.fixture(autouse=True)
def _network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTACTL_HIL_SSID", "rig")
    monkeypatch.setenv("OTACTL_HIL_PASSWORD", SECRET)


# --- a sound board ------------------------------------------------------------------------------------------------------


def test_suite_on_a_deployed_board_over_a_terminal(tmp_path: Path, place: Workspace, template: Path) -> None:
    """The quick tests and a few; then the flash, read from outside, is as it was but for the slot that does not run."""
    (tmp_path / "board").mkdir()
    (tmp_path / "board" / "flash.bin").write_bytes(template.read_bytes())
    with Board(tmp_path / "board", app=OLD, watchdog_factor=5, network=network()) as board:
        board.power_on()
        board.wait_text("ota: ", 20)
        board.wait_text("app: runs", 40)
        before = files(board.table, board.flash.read(0, board.flash.size))
        more = ["--all"] if EVERY else ["--only", " or ".join([*QUICK, "unconfirmed"])]
        ran = hil(board.port, tmp_path / "out", *more)
        assert (ran.code, ran.red, ran.rig_faults) == (0, set(), 0), ran.text
        assert len(ran.outcomes) - list(ran.outcomes.values()).count("skipped") >= len(QUICK) + 1
        board.wait_text("app: runs", 40, since=board.text.rindex("MPY: soft reboot"))
        board.power_off()
        assert files(board.table, board.flash.read(0, board.flash.size)) == before
        assert boots(board) == ("ota_0", State.VALID)
        assert rigs.slot_bytes(board, "ota_0", len(OLD)) == OLD
    _leaves_its_evidence(ran, str(board.port))


def _leaves_its_evidence(ran: Ran, device: str) -> None:
    page = (ran.out / "index.html").read_text()
    assert device in page and "✓" in page and "http" not in page
    assert (ran.out / "summary.txt").read_text() == f"{ran.told['summary']}\n"
    (junit,) = ran.out.glob("*/junit.xml")
    assert "test_broken_download_goes_on_where_it_broke" in junit.read_text()
    (console,) = ran.out.glob("*/logs/*/*broken*/console.log")
    assert "ota: confirmed" in console.read_text()
    (again,) = ran.out.glob("*/logs/*/*broken*/command.txt")
    assert again.read_text().startswith(
        f"otactl hil {device} --seed 1 --address 127.0.0.1 --only test_interrupted.py::"
    )
    kept = [path for path in ran.out.rglob("*") if path.is_file() and "cache" not in path.parts]
    assert len(kept) > 20 and not [path for path in kept if SECRET.encode() in path.read_bytes()]


def test_suite_over_a_socket(tmp_path: Path, board: Board) -> None:
    """A serial port on the network, with no modem lines and no power switch."""
    with Bridge(board.port) as bridge:
        ran = hil(bridge.url, tmp_path / "out", *([] if EVERY else ["--only", "broken or left"]))
    assert (ran.code, ran.red, ran.rig_faults) == (0, set(), 0), ran.text
    assert "test_broken_download_goes_on_where_it_broke" in ran.outcomes


@pytest.mark.skipif(not EVERY, reason="in make hil-self")
@pytest.mark.parametrize(
    "board", [{"layout": "factory-ota"}, {"layout": "three"}], indirect=True, ids=["factory", "three"]
)
def test_suite_on_boards_with_other_layouts(tmp_path: Path, board: Board) -> None:
    ran = hil(
        board.port,
        tmp_path / "out",
        "--only",
        "factory or update_is or unconfirmed or gpio or left",
        "--feature=loopback:4-5",
    )
    assert (ran.code, ran.red, ran.rig_faults) == (0, set(), 0), ran.text


# --- faults that it must find -------------------------------------------------------------------------------------------

TRIAL = "test_release_that_fails_its_trial_goes_back"
EARLY = "test_release_is_refused_before_anything_is_erased"
FOUND = {  # the agent's fault: which tests are run, and which of them turn red
    "confirms without its checks": ("missing or test_update_is", {f"{TRIAL}[a module that is missing]"}),
    "takes any signature": ("spoiled or left", {f"{EARLY}[with a spoiled signature]"}),
    "takes any bytes": (
        "place or spoiled",
        {"test_release_is_refused_before_the_switch[another sound image in its place]"},
    ),
    "takes any server": ("test_server", {"test_server_is_refused[a certificate of a stranger's]"}),
    "erases before it has looked": ("chip or test_update_is", {f"{EARLY}[with an image of another chip]"}),
    "begins each download anew": ("broken or test_update_is", {"test_broken_download_goes_on_where_it_broke"}),
    "arms no watchdog": ("hang_is or second_deployment", {"test_hang_is_ended_by_the_watchdog"}),
    "says what is not so": ("test_update_is or left", {"test_update_is_tried_confirmed_and_starts"}),
    "loses the program's files": ("test_update_is or left", {"test_update_is_tried_confirmed_and_starts"}),
}
SLICE = ("takes any signature",)


@pytest.mark.parametrize("name", FOUND if EVERY else SLICE)
def test_faulty_agent_turns_the_right_tests_red(tmp_path: Path, board: Board, name: str) -> None:
    only, red = FOUND[name]
    ran = hil(board.port, tmp_path / "out", "--only", only, agent=agents.make(name, tmp_path))
    assert (ran.code, ran.red) == (1, red), ran.text
    assert "passed" in ran.outcomes.values(), ran.text


def test_every_faulty_agent_is_one(tmp_path: Path) -> None:
    for number, name in enumerate(agents.AGENTS):
        (tmp_path / str(number)).mkdir()
        agents.make(name, tmp_path / str(number))
    assert set(FOUND) == set(agents.AGENTS)


@pytest.mark.parametrize("board", [{"rollback": False}], indirect=True)
def test_bootloader_without_rollback_is_found(tmp_path: Path, board: Board) -> None:
    """The agent goes back by hand there: the suite tells that it was not the bootloader."""
    ran = hil(board.port, tmp_path / "out", "--only", "unconfirmed or test_update_is" if EVERY else "unconfirmed")
    assert (ran.code, ran.red) == (1, {"test_unconfirmed_release_goes_back_at_a_reset"}), ran.text


# --- rigs with a fault --------------------------------------------------------------------------------------------------


def test_server_that_no_board_reaches_is_a_rig_fault(tmp_path: Path, board: Board) -> None:
    ran = hil(board.port, tmp_path / "out", "--address", "192.0.2.1")
    assert (ran.code, ran.red, ran.rig_faults) == (3, set(), 1), ran.text
    assert "does not reach this machine" in ran.text
    assert set(ran.outcomes.values()) == {"rig fault", "skipped"}


@pytest.mark.skipif(not EVERY, reason="in make hil-self")
def test_slot_is_restored_where_that_is_asked_for(tmp_path: Path, board: Board) -> None:
    """Byte for byte, after a release was written to it."""
    slot = board.table.find("ota_1")
    assert slot
    board.power_off()
    board.flash.program(slot.offset, rigs.image(77), actor="host")
    before = rigs.slot_bytes(board, "ota_1", slot.size)
    board.power_on()
    board.wait_repl()
    ran = hil(board.port, tmp_path / "out", "--only", "missing or left", "--restore-slot")
    assert (ran.code, ran.red, ran.told["notes"]) == (0, set(), []), ran.text
    assert rigs.slot_bytes(board, "ota_1", slot.size) == before


@pytest.mark.skipif(not EVERY, reason="in make hil-self")
@pytest.mark.parametrize("fault", ["falls silent", "goes away"])
def test_port_that_fails_in_the_middle_is_a_rig_fault(tmp_path: Path, board: Board, fault: str) -> None:
    with Bridge(board.port) as bridge:
        over = threading.Event()
        strike = bridge.close if fault == "goes away" else lambda: setattr(bridge, "silent", True)
        watcher = threading.Thread(target=_after_the_first, args=(tmp_path / "out", strike, over))
        watcher.start()
        try:
            ran = hil(bridge.url, tmp_path / "out")
        finally:
            over.set()
            watcher.join()
    assert (ran.code, ran.red) == (3, set()), ran.text
    assert ran.rig_faults == 1, ran.text


@pytest.mark.parametrize("how", ["Ctrl-C", "kill -9"] if EVERY else ["Ctrl-C"])
def test_run_that_is_ended_leaves_the_board_in_order(tmp_path: Path, board: Board, how: str) -> None:
    """Ctrl-C puts the board back at once; after what nobody can catch, the next run does it first."""
    before = _files(board)
    out = tmp_path / "out"
    line = [sys.executable, "-m", "otactl", "hil", str(board.port), "--out", str(out), "--address", "127.0.0.1"]
    process = subprocess.Popen(
        line, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    _after_the_first(out, lambda: None, threading.Event())
    if how == "Ctrl-C":
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=LIMIT_S)
        assert process.returncode == 130
        assert "the board is as it was found" in said, said + next(out.glob("*/pytest.txt")).read_text()
    else:
        (suite,) = subprocess.run(
            ["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True
        ).stdout.split()
        os.kill(int(suite), signal.SIGKILL)
        said, _ = process.communicate(timeout=LIMIT_S)
        assert process.returncode == 3, said
        told = json.loads((out / "results.json").read_text())["boards"][str(board.port)]
        assert told["notes"] == [f"the board is NOT put back yet: `otactl hil {board.port} --only left` does it"]
        assert _files(board, at_prompt=False) != before
        ran = hil(board.port, out, "--only", "left")
        assert (ran.code, ran.told["notes"][:1]) == (
            0,
            ["a run before this one was broken off; the board was put back first"],
        ), ran.text
    assert _files(board) == before


def _files(board: Board, *, at_prompt: bool = True) -> dict[str, bytes]:
    """What lies in the file system of a board, read from outside; it is off meanwhile. `at_prompt`: where it ends up."""
    board.power_off()
    found = files(board.table, board.flash.read(0, board.flash.size))
    board.power_on()
    if at_prompt:
        board.wait_repl()
    return found


def _after_the_first(out: Path, strike: Any, over: threading.Event) -> None:
    """Once the first test has passed."""
    while not over.wait(0.1):
        if any('"test"' in path.read_text() for path in out.glob("*/results.jsonl")):
            strike()
            return
