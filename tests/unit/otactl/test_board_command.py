"""The verbs that speak with a board, as a person meets them: patience, signals, logs, last lines."""

import json
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import scripted
from otactl.board import hooks
from otactl.cli import main as cli
from otactl.cli import reach
from otactl.workspace.workspace import Workspace
from running import process
from vboard.board import Board

VERBS = ["deploy", "update", "confirm", "rollback", "status", "logs"]
TICKS = b"import time\nprint('the ' + 'program')\nwhile True:\n    print('tick')\n    time.sleep(0.2)\n"


def otactl(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    code = cli.main([str(word) for word in words])
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    with Board(tmp_path / "board") as board:
        board.power_on()
        board.wait_repl()
        yield board


def deployed(console: bytes, **changes: object):
    """A board with the agent, that says `console` to an update."""
    before = {"deadline_s": 60, "id": "01", "failed": [], "boot.py": True, "main.py": True} | changes

    def answer(program: bytes) -> bytes:
        if b"_try(_before)" in program:
            return json.dumps({"ok": before}).encode() + b"\r\n\x04\x04>"
        return console

    return scripted.on_terminal(scripted.well(answer))


# --- patience --------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("slow", ["0.5", "0", "-1", "x"])
def test_every_verb_of_a_board_takes_slow_from_one_on(capsys, place: Workspace, verb: str, slow: str) -> None:
    assert "--slow" in otactl(capsys, verb, "--help")[1]
    code, _, err = otactl(capsys, verb, "/dev/ttyNothing", "--slow", slow)
    assert code == 2 and "--slow" in err
    where = ["-w", place.root] if verb == "deploy" else []
    assert otactl(capsys, verb, "/dev/ttyNothing", "--slow", "10", *where)[0] == 3


class Shown:
    """Bars that remember."""

    def __init__(self) -> None:
        self.waits: list[str] = []
        self.notes: list[str] = []
        self.note = self.notes.append

    def wait(self, what: str, *, counts: bool) -> None:
        assert not counts  # it says for how long by itself
        self.waits.append(what)


def test_a_wait_counts_down_on_a_terminal_and_is_a_line_every_fifteen_seconds_in_a_pipe(monkeypatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    terminal, pipe = Shown(), Shown()
    tells = reach.Waits(terminal, moves=True), reach.Waits(pipe, moves=False)  # type: ignore[arg-type]
    for second in range(60):
        now[0] = second
        for tell in tells:
            tell("the trial to report", 180 - second)
    assert len(terminal.waits) == 60 and terminal.waits[-1] == "waiting 121 s at most for the trial to report"
    assert [re.findall(r"\d+", line)[0] for line in pipe.notes] == ["177", "162", "147", "132"]
    assert terminal.notes == pipe.waits == []
    for second in range(60, 90):  # waits of two seconds, one after another
        now[0] = second
        tells[1]("the board's next word", 100 - second % 2)
    assert len(pipe.notes) == 4


def test_a_long_wait_is_told_in_a_pipe(capsys, monkeypatch) -> None:
    from otactl.board import follow

    monkeypatch.setattr(follow, "_SLACK_S", -52)  # eight seconds in all
    with deployed(b"ota: switch 1.1.0 to ota_1\r\n") as device:
        code, out, _ = otactl(capsys, "update", device)
    assert code == 3
    assert out.count("waiting 3 s at most for the trial to report; the bootloader goes back by itself if it hangs") == 1


# --- signals ---------------------------------------------------------------------------------


def test_ctrl_c_in_mid_deploy_says_what_becomes_of_the_board_and_what_to_type(board: Board, place: Workspace) -> None:
    with process("deploy", board.port, "-w", place.root) as deploy:
        assert deploy.stdout is not None
        deploy.stdout.readline()
        seen = len(board.text)
        deploy.send_signal(signal.SIGINT)
        _, err = deploy.communicate(timeout=30)
    again = f"`otactl deploy {board.port} -w {place.root}`"
    assert (deploy.returncode, err) == (
        130,
        f"otactl: stopped: the board starts its program; what was written stays, and {again} writes the rest\n",
    )
    board.wait_text("MPY: soft reboot", 10, since=seen)


def test_sigterm_in_mid_deploy_gives_the_board_its_program_back(board: Board, place: Workspace) -> None:
    with process("deploy", board.port, "-w", place.root) as first:
        first.communicate(timeout=60)
    with process("deploy", board.port, "-w", place.root, "--py") as deploy:
        assert deploy.stdout is not None
        for _ in range(5):
            assert deploy.stdout.readline()
        seen = len(board.text)
        deploy.send_signal(signal.SIGTERM)
        _, err = deploy.communicate(timeout=30)
    assert (deploy.returncode, err) == (143, "otactl: stopped\n")
    board.wait_text("MPY: soft reboot", 10, since=seen)
    board.wait_text("ota: ", 20, since=seen)  # main.py, which the first deployment put there


# --- logs ------------------------------------------------------------------------------------


_TICK = r"\d\d:\d\d:\d\d tick\n"


def test_logs_show_and_keep_the_console_until_ctrl_c(board: Board, tmp_path: Path) -> None:
    from otactl.board.link import Link

    with Link(str(board.port)) as link:
        link.put("/main.py", TICKS)
    board.wait_text("tick", 10)
    with process("logs", board.port, "--file", tmp_path / "night.log") as logs:
        assert logs.stdout is not None
        lines, before = [logs.stdout.readline() for _ in range(5)], 0
        while not re.fullmatch(_TICK, lines[0]):  # what the port still held of the restart
            lines, before = [*lines[1:], logs.stdout.readline()], before + 1
        kept = (tmp_path / "night.log").read_text().splitlines(keepends=True)
        logs.send_signal(signal.SIGINT)
        _, err = logs.communicate(timeout=30)
    assert (logs.returncode, err) == (0, "")
    assert all(re.fullmatch(_TICK, line) for line in lines)
    assert kept[before:][:4] == lines[:4]  # a line is in the file right after it is shown
    assert "KeyboardInterrupt" not in board.text


def test_an_update_keeps_the_console_in_its_workspace(capsys, place: Workspace, monkeypatch, tmp_path: Path) -> None:
    console = b"app: hello\r\nota: rolled-back 1.1.0 deadline\r\n"
    with deployed(console) as device:
        code, out, _ = otactl(capsys, "update", device, "-w", place.root)
        assert code == 1
        (log,) = (place.root / ".otactl" / "logs").iterdir()
        assert "app: hello" in log.read_text() and str(log) in out
        monkeypatch.chdir(place.root / "keys")  # in a workspace: the same
        time.sleep(1.1)
        otactl(capsys, "update", device)
        assert len(list(log.parent.iterdir())) == 2
        monkeypatch.chdir(tmp_path)  # none
        assert otactl(capsys, "update", device)[0] == 1
        assert not (tmp_path / ".otactl").exists()
        assert otactl(capsys, "update", device, "-w", tmp_path)[0] == 2  # the one that was named is none


def test_what_the_board_said_before_it_fell_silent_is_told_and_kept(capsys, place: Workspace, monkeypatch) -> None:
    from otactl.board import follow

    monkeypatch.setattr(follow, "_SLACK_S", -59)  # a second in all
    guru = b"Guru Meditation Error: Core  0 panic'ed (LoadProhibited). Exception was unhandled.\r\n"
    with deployed(b"ota: switch 1.1.0 to ota_1\r\n" + guru) as device:
        code, out, err = otactl(capsys, "update", device, "-w", place.root)
    assert code == 3 and "told nothing for 1 s (before that: crash on core 0, LoadProhibited" in err
    assert "what the board said is in " in out and ".otactl/logs/" in out


def test_an_update_that_never_began_leaves_no_log(capsys, place: Workspace) -> None:
    with deployed(b"", **{"main.py": False}) as device:
        assert otactl(capsys, "update", device, "-w", place.root)[0] == 1
    assert list((place.root / ".otactl" / "logs").iterdir()) == []


# --- last lines ------------------------------------------------------------------------------


def test_a_missing_program_is_a_hint_at_the_end(capsys) -> None:
    with deployed(b"ota: trial 1.1.0 in ota_1\r\nota: error no-app app.py\r\nota: confirmed 1.1.0\r\n") as device:
        code, out, _ = otactl(capsys, "update", device)
    assert code == 0 and "no-app" not in out
    assert out.splitlines()[-2].startswith("no app.py yet: ")


@pytest.mark.parametrize(("words", "code"), [([], 1), (["--anyway"], 0)])
def test_an_update_without_the_hook_is_refused_unless_anyway(capsys, words: list[str], code: int) -> None:
    with deployed(b"ota: confirmed 1.1.0\r\n", **{"main.py": False}) as device:
        found, out, err = otactl(capsys, "update", device, *words)
    assert found == code
    assert ("agent.start()" in err) is bool(code) and ("1.1.0 is confirmed" in out) is not bool(code)


def test_status_says_that_the_program_starts_anew(capsys, board: Board, place: Workspace) -> None:
    otactl(capsys, "deploy", board.port, "-w", place.root)
    code, out, _ = otactl(capsys, "status", board.port)
    assert code == 0
    assert (
        out.splitlines()[-1]
        == "the board's program was stopped for this and starts anew; at its start it looks for an update"
    )
    assert "at its start it looks for an update" in " ".join(otactl(capsys, "status", "--help")[1].split())


def test_a_deployment_ends_with_the_lines_that_are_missing(capsys, board: Board, place: Workspace) -> None:
    from otactl.board.link import Link

    with Link(str(board.port)) as link:
        link.put("/main.py", b"print('mine')\n")
    code, out, _ = otactl(capsys, "deploy", board.port, "-w", place.root)
    assert code == 0
    assert out.splitlines()[-1] == f"! {hooks.advice('main.py')}"
    assert otactl(capsys, "update", board.port)[2] == f"otactl: {hooks.refusal('', True)}\n"
    assert hooks.refusal("", True).startswith(hooks.advice("main.py"))
