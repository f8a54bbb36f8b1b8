"""`otactl boards` of boards that a server has heard: for people at 80 columns, for pipes and for scripts."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import running
from otactl.cli.main import main
from otactl.fleet import look, store
from otactl.fleet.checkin import CheckIn
from otactl.fleet.store import Store

SENTENCE = "check-wifi: The new release could not join Wi-Fi."


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Boards that were heard: one is well, one takes a release, one went back, one tries to draw on the terminal."""
    (tmp_path / "releases").mkdir()
    (tmp_path / "otactl.toml").write_text('product = "lamp"\nurl = "http://127.0.0.1:8080"\n')
    (tmp_path / "boards.csv").write_text("240ac4000001,desk-1,canary\n240ac4000002,desk-2\n240ac4000003,desk-3\n")
    with Store(tmp_path / store.FILE) as kept:
        look.keep(kept, 2, "1.0.0")
        look.keep(kept, 3, "1.1.0")
        kept.heard(CheckIn("240ac4000001", "lamp", 3, "confirmed", 3), "10.0.0.1", 3)
        kept.heard(CheckIn("240ac4000002", "lamp", 2), "10.0.0.2", 3)
        kept.progress("240ac4000002", 31, 100)
        kept.heard(CheckIn("240ac4000003", "lamp", 2), "10.0.0.3", 3)
        kept.heard(CheckIn("240ac4000003", "lamp", 2, "failed", 3, "check-wifi"), "10.0.0.3", 3)
    return tmp_path


def boards(place: Path, *words: str) -> int:
    return main(["boards", *words, "-w", str(place)])


def test_in_trouble_or_under_way_comes_first(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert boards(place, "--seen") == 0
    top, *lines = capsys.readouterr().out.splitlines()
    assert top == "1 on 1.1.0 · 1 updating · 1 rolled back: check-wifi"
    assert lines[0] == "✗ desk-3"
    assert lines[1].startswith(f"    {SENTENCE}")
    rows = [re.split(r"\s{2,}", line) for line in lines[4:]]
    assert rows == [
        ["desk-3", "default", "1.0.0", "rolled back", "now"],
        ["desk-2", "default", "1.0.0", "takes 1.1.0 31%", "now"],
        ["desk-1", "canary", "1.1.0", "up to date", "now"],
    ]


def test_scripts_get_all_of_it(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, path in ((["--seen"], ()), ([], ("fleet",))):
        assert boards(place, *words, "--json") == 0
        told = json.loads(capsys.readouterr().out)
        for name in path:
            told = told[name]
        assert told["headline"].startswith("1 on 1.1.0")
        by_name = {one["name"]: one for one in told["boards"]}
        facts = by_name["desk-3"]
        assert [facts[key] for key in ("state", "version", "newest", "cohort", "reason", "have", "phase", "peer")] == [
            *("rolled-back", "1.0.0", "1.1.0", "default", "check-wifi", 2, "failed", "10.0.0.3")
        ]
        assert by_name["desk-2"]["percent"] == 31


def test_what_became_of_a_board(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for board in ("desk-3", "240ac4000003"):
        assert boards(place, "--history", board) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[:2] == ["now  first heard", "now  offered 1.1.0"]
        assert lines[2].startswith(f"now  back from 1.1.0: {SENTENCE}")
    assert boards(place, "--history", "desk-3", "--json") == 0
    events = json.loads(capsys.readouterr().out)["events"]
    assert [(one["event"], one["version"], one["reason"]) for one in events] == [
        ("new", "1.0.0", ""),
        ("offered", "1.1.0", ""),
        ("rolled-back", "1.1.0", "check-wifi"),
    ]
    assert boards(place, "--history", "desk-9") == 2
    assert "`otactl boards --seen` lists those that have" in capsys.readouterr().err


def test_nobody_was_heard(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for one in place.glob(f"{store.FILE}*"):
        one.unlink()
    assert boards(place, "--seen") == 0
    assert capsys.readouterr().out.startswith("no board has looked here yet\n  next: otactl serve")
    assert boards(place, "--seen", "--json") == 0
    assert json.loads(capsys.readouterr().out)["boards"] == []
    assert not (place / store.FILE).exists()  # who only asks makes no memory


def test_a_board_s_words_move_no_cursor(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Store(place / store.FILE) as kept:
        look.keep(kept, 9, "\x1b[2J9.9")
        kept.heard(CheckIn("evil", "lamp", 9, "idle", 10, "<img>\x1b[31m"), "", 10)
    for words in (["--seen"], ["--history", "evil"]):
        assert boards(place, *words) == 0
        assert "\x1b" not in capsys.readouterr().out


def test_a_pipe_gets_a_line_for_each_thing_that_happens(place: Path) -> None:
    with running.process("boards", "--watch", "-w", place) as watched, Store(place / store.FILE) as kept:
        assert watched.stdout
        give_up = time.monotonic() + 20
        while not select.select([watched.stdout], [], [], 0.2)[0]:  # until it has begun, which it says nothing of
            assert time.monotonic() < give_up
            kept.forget("240ac4000001")
            kept.heard(CheckIn("240ac4000001", "lamp", 3, "confirmed", 3), "", 3)
        assert watched.stdout.readline() == "desk-1  first heard\n"
        watched.send_signal(signal.SIGINT)
        assert watched.wait(20) == 0


def test_a_terminal_gets_a_picture_that_goes_with_it(place: Path) -> None:
    above, below = pty.openpty()
    words = [sys.executable, "-m", "otactl", "boards", "--watch", "-w", str(place)]
    with subprocess.Popen(
        words, env=running.environment(COLUMNS="80", LINES="30"), stdout=below, stderr=below
    ) as watched:
        os.close(below)
        until(above, "takes 1.1.0 31%")
        with Store(place / store.FILE) as kept:
            kept.progress("240ac4000002", 64, 100)
        shown = until(above, "takes 1.1.0 64%")
        assert max(len(line) for line in shown.splitlines()) <= 80
        watched.send_signal(signal.SIGINT)
        assert watched.wait(20) == 0
    os.close(above)


def until(terminal: int, words: str) -> str:
    """What a terminal shows up to these words, without colours and movements."""
    shown, give_up = "", time.monotonic() + 20
    while words not in shown:
        assert time.monotonic() < give_up, shown
        if select.select([terminal], [], [], 0.2)[0]:
            shown += os.read(terminal, 65536).decode()
            shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    return shown
