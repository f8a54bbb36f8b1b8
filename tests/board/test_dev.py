"""`otactl dev` on a virtual board: saves as an editor makes them, judged by what the program says and by the flash."""

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from devloop import Loop
from otactl.board.link import Link
from otactl.cli.main import main
from rig import NEW, TRIAL, Rig, boots, configure, started
from vboard.board import Board

APP = "import time\nfrom lib import words\ndef main():\n    while True:\n        print(words.hello)\n        time.sleep(0.2)\n"


class Dev(Loop):
    """A board and `otactl dev` at it."""

    def __init__(self, root: Path, board: Board) -> None:
        super().__init__(root / "lesson")
        self.board = board
        (self.folder / "lib").mkdir(parents=True)
        self.save("app.py", APP)
        self.save("lib/words.py", "hello = 'one'")

    def start(self) -> None:
        self.dev(self.folder, self.board.port)

    def end(self) -> int:
        self.interrupt()
        return self.ended(30)


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Dev]:
    with Board(tmp_path / "board") as board:
        board.power_on()
        board.wait_repl()
        made = Dev(tmp_path, board)
        try:
            yield made
        finally:
            made.kill()


def test_saves_run_and_faults_are_told_and_flash_is_as_it_was(dev: Dev) -> None:
    before = dev.board.flash.read(0, dev.board.flash.size)
    dev.start()
    dev.wait("^one$")

    dev.save("lib/words.py", "hello = 'two'")
    assert re.search(r"lib/words\.py: runs \d+\.\d\d s after the save", dev.wait("after the save"))
    dev.wait("^two$")

    dev.save("lib/words.py", "x = 1\nhello = = 'three'")
    dev.wait(r"lib/words\.py:2: SyntaxError: invalid syntax; what ran before runs on")
    dev.wait("^two$")

    dev.save("lib/words.py", "hello = 1 / 0")
    dev.wait(r'^  File "lib/words\.py", line 1, in <module>')
    dev.wait("ZeroDivisionError: divide by zero; the next save runs it again")

    dev.save("lib/words.py", "while True: pass")
    dev.wait("after the save")
    dev.save("lib/words.py", "print('here')\nwhile True: print('for ever')")
    dev.wait("^here$")
    dev.save("lib/words.py", "hello = 'three'")
    dev.wait("^three$")

    boots = len(dev.board.boots)
    assert dev.end() == 0
    dev.wait("given back")
    dev.board.wait_boots(boots + 1)
    dev.board.wait_repl()
    assert dev.board.flash.read(0, dev.board.flash.size) == before


def test_folder_without_a_main_module(dev: Dev) -> None:
    (dev.folder / "app.py").rename(dev.folder / "main.py")
    dev.start()
    dev.wait(r"has no app\.py: an application begins there: main\.py is not it")
    assert dev.ended(10) == 2


def test_two_boards_and_one_that_is_not_there(rig: Rig, capfd: pytest.CaptureFixture[str]) -> None:
    boards = [rig.board(deployed=False) for _ in range(2)]
    for board in boards:
        board.power_on()
    for board in boards:
        board.wait_repl()
    folder = rig.root / "lesson"
    folder.mkdir()
    (folder / "app.py").write_text("print('lesson one')")
    words = ["dev", str(folder), *(str(board.port) for board in boards), str(rig.root / "nowhere")]
    threading.Thread(target=_stop_after, args=(boards,), daemon=True).start()
    assert main(words) == 1
    out = capfd.readouterr().out
    assert len(re.findall(r"port +lesson one", out)) == 2
    assert len(re.findall(r"port +given back", out)) == 2
    assert re.search(r"nowhere +failed +.*no such port", out)


def _stop_after(boards: list[Board]) -> None:
    for board in boards:
        board.wait_text("dev: end", 30)
    time.sleep(0.3)  # until otactl has read it
    os.kill(os.getpid(), signal.SIGINT)


def without_hooks(board: Board) -> None:
    """The board updates, and what starts then is no agent."""
    with Link(str(board.port)) as link:
        link.enter_repl()
        link.put("/boot.py", b"")
        link.put("/main.py", b"import app")
        link.start("from ota import agent\nagent.update(lambda *_: None)")
        link.let_go()  # it is about to reset: a Ctrl-C at leaving would keep it from that
        board.wait_text("ota: switch 1.1.0", 40)


@pytest.mark.parametrize("hooks", [True, False], ids=["", "by otadata, where Ctrl-C came before boot.py had begun it"])
def test_board_on_trial_is_left_alone(hooks: bool, rig: Rig, capfd: pytest.CaptureFixture[str]) -> None:
    board = started(rig.board())
    configure(
        board, trial={**TRIAL, "checks": [{"check": "healthy", "timeout_s": 30}], "deadline_s": 60, "watchdog_s": 90}
    )
    rig.publish("1.1.0", NEW)
    seen = len(board.text)
    if hooks:
        board.reset()
        board.wait_text("ota: trial 1.1.0", 40, since=seen)
    else:
        without_hooks(board)
    board.wait_text("app: runs", 40, since=seen)
    folder = rig.root / "lesson"
    folder.mkdir()
    (folder / "app.py").write_text("print('lesson one')")
    assert main(["dev", str(folder), str(board.port)]) == 1
    assert "has a release on trial" in capfd.readouterr().err
    assert "lesson one" not in board.text
    assert boots(board)[0] == "ota_1"
