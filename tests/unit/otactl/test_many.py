"""One function for many boards: lines, table, exit code, failures, Ctrl-C. No board is needed for that."""

import io
import json
import signal
import threading
import time
from collections.abc import Callable

import pytest
from otactl.board.timed import Patience, Stop
from otactl.cli import display, many
from otactl.cli.many import Ending
from otactl.cli.rows import Row, Rows
from otactl.errors import BoardError
from otactl.workspace.roster import Entry
from rich.console import Console

ROOM = [Entry("a", "/dev/a"), Entry("desk-07", "/dev/b"), Entry("c", "/dev/c")]


def well(entry: Entry, row: Row) -> Ending:
    row.say(f"  at {entry.device}")
    return Ending(True, "done", "1.0.0", "as it was asked for", {"outcome": "done"})


def but(name: str, error: Callable[[], BaseException]) -> many.One:
    def one(entry: Entry, row: Row) -> Ending:
        if entry.name == name:
            raise error()
        return well(entry, row)

    return one


def test_each_line_has_its_boards_name_and_a_table_comes_last(capsys: pytest.CaptureFixture[str]) -> None:
    assert many.run(ROOM, well) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sorted(lines[:6]) == [
        "a        at /dev/a",
        "a        ✓ done 1.0.0",
        "c        at /dev/c",
        "c        ✓ done 1.0.0",
        "desk-07  at /dev/b",
        "desk-07  ✓ done 1.0.0",
    ]
    assert lines[6:] == [
        "board    outcome  version",
        "a        done     1.0.0    as it was asked for",
        "desk-07  done     1.0.0    as it was asked for",
        "c        done     1.0.0    as it was asked for",
    ]


@pytest.mark.parametrize(
    ("error", "why", "kind"),
    [
        (lambda: BoardError("no agent: `otactl deploy`"), "no agent: `otactl deploy`", "board"),
        (lambda: FileNotFoundError(2, "No such file", "keys.json"), "keys.json: No such file", "rig"),
    ],
)
def test_a_failure_is_that_boards_only(
    capsys: pytest.CaptureFixture[str], error: Callable[[], BaseException], why: str, kind: str
) -> None:
    assert many.run(ROOM, but("desk-07", error)) == 1  # not 3: the others are fine
    out = capsys.readouterr().out
    assert f"desk-07  ✗ failed: {why}\n" in out and f"desk-07  failed            {why}\n" in out
    assert out.count("done     1.0.0") == 2
    assert many.run(ROOM, but("desk-07", error), as_json=True) == 1
    told = json.loads(capsys.readouterr().out)["boards"]
    assert told["a"] == told["c"] == {"outcome": "done"}
    assert told["desk-07"] == {"error": {"kind": kind, "message": why, "code": None}}


def test_what_is_not_as_it_was_asked_for_is_1_without_an_error() -> None:
    assert many.run(ROOM[:1], lambda *_: Ending(False, "rolled-back", "1.1.0", "deadline")) == 1


def test_a_fault_of_this_program_comes_out_once_the_others_are_through() -> None:
    ended: list[str] = []

    def one(entry: Entry, row: Row) -> Ending:
        if entry.name == "a":
            raise ZeroDivisionError
        time.sleep(0.2)
        ended.append(entry.name)
        return well(entry, row)

    with pytest.raises(ZeroDivisionError):
        many.run(ROOM, one)
    assert sorted(ended) == ["c", "desk-07"]


def test_they_are_done_at_once() -> None:
    together = threading.Barrier(len(ROOM), timeout=10)  # broken where one waits for another to end

    def one(entry: Entry, row: Row) -> Ending:
        together.wait()
        return well(entry, row)

    assert many.run(ROOM, one) == 0


def test_a_reader_that_goes_away_is_no_boards_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("otactl.cli.display.show_named", gone)
    with pytest.raises(BrokenPipeError):  # for run.py, which ends well
        many.run(ROOM, well)


def test_a_board_that_only_its_address_is_known_of_is_looked_for_first(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(device: str, slow: float) -> list[str]:
        if device == "mac:2":
            raise BoardError("no board with the address 2")
        return [f"/dev/found-{slow:g}"]

    monkeypatch.setattr("otactl.board.ports.candidates", found)
    assert many.run([Entry("a", "mac:1", slow=3), Entry("b", "mac:2"), Entry("c", "/dev/c")], well) == 1
    out = capsys.readouterr().out
    assert "a  at /dev/found-3\n" in out and "c  at /dev/c\n" in out
    assert "b  ✗ failed: no board with the address 2\n" in out


@pytest.mark.parametrize(("height", "shown"), [(24, ["desk-0", "desk-1", "desk-2"]), (3, ["desk-1", "desk-2"])])
def test_where_not_all_rows_fit_a_board_that_is_through_has_none(height: int, shown: list[str]) -> None:
    with display.onto(Console(file=io.StringIO(), force_terminal=True, width=60, height=height)):
        rows = Rows([f"desk-{number}" for number in range(3)])
        made = [rows.row(f"desk-{number}") for number in range(3)]
        made[0].end("confirmed 1.1.0", True)
        drawn = Console(file=io.StringIO(), width=60)
        with drawn.capture() as text:
            drawn.print(rows._render())
    assert [line.split()[0] for line in text.get().splitlines()] == shown


# --- Ctrl-C ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "comes"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_ctrl_c_ends_each_at_its_next_wait_and_what_became_of_it_is_told(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    comes: type[BaseException],
) -> None:
    def end(*_: object) -> None:
        raise comes

    before = signal.signal(number, end)
    waits, left = threading.Barrier(2, timeout=10), []

    def one(entry: Entry, row: Row) -> Ending:
        if entry.name == "a":
            return well(entry, row)
        patience = Patience(stop=row.stop)
        waits.wait()
        if entry.name == "c":
            signal.pthread_kill(threading.main_thread().ident or 0, number)
        try:
            while True:
                patience.tick()
                time.sleep(0.01)
        except KeyboardInterrupt:
            patience.tick()  # does not raise again: a board is left in order
            left.append(entry.name)
            raise KeyboardInterrupt("stopped: it goes on") from None

    try:
        with pytest.raises(comes):
            many.run(ROOM, one)
    finally:
        signal.signal(number, before)
    assert sorted(left) == ["c", "desk-07"]
    out = capsys.readouterr().out
    assert "a        done     1.0.0    as it was asked for\n" in out
    assert "desk-07  ✗ stopped: it goes on\n" in out
    assert "desk-07  stopped           it goes on\n" in out


def test_a_stop_is_as_often_as_it_was_pressed() -> None:
    stop = Stop()
    stop.check()
    for _ in range(2):
        stop.press()
        with pytest.raises(KeyboardInterrupt):
            stop.check()
        stop.check()
