"""`otactl deploy --app`: a program that lay in `/` moves over to its slot's directory. Judged by the files in flash and by what
runs."""

import json
import os
import random
import re
from pathlib import Path

import apps
import pytest
import rig as rigs
from littlefs import LittleFSError
from otactl.board import agent
from otactl.board.link import Link
from otactl.board.moving import over
from otactl.cli.main import main
from otactl.errors import BoardError
from otactl.release.application import Asked
from powercut.cuts import Cut, Step, state_after, states
from powercut.flash import files
from rig import Rig
from vboard.board import Board

BEFORE = {  # a program of one directory, as it is on a board that knows nothing of updates
    "/main.py": b"import helper, tool\nprint('app: old', helper.NAME, tool.NAME)\n",
    "/helper.py": b"NAME = 'old'\n",
    "/lib/tool.py": b"NAME = 'old'\n",
    "/data.txt": b"the user's own",
}
AFTER = {
    "app.py": "import helper, tool, data\nprint('app: new', helper.NAME, tool.NAME)\n",
    "helper.py": "NAME = 'new'\n",
    "tool/__init__.py": "from tool.inner import NAME\n",
    "tool/inner.py": "NAME = 'new'\n",
    "data.py": "",
}
OLD, NEW = "app: old old old", "app: new new new"
STATES_JUDGED, STATES_RUN = (40, 2) if os.environ.get("MATRICES") != "all" else (100000, 12)


def folder(root: Path, files: dict[str, str] = AFTER) -> Path:
    made = root / "lesson"
    for name, text in files.items():
        path = made / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return made


def with_program(board: Board, program: dict[str, bytes] = BEFORE) -> Board:
    """Started, with that in its files, and no agent unless it has one."""
    board.power_on()
    board.wait_boots(1)
    with rigs.repl(board) as link:
        for path, data in program.items():
            link.make_folder(path.rpartition("/")[0] or "/")
            link.put(path, data)
    return board


def starts(board: Board) -> str:
    """What the program prints after a reset."""
    seen = len(board.text)
    board.reset()
    board.wait_text("app: ", 40, since=seen)
    board.wait_text("\n", 10, since=board.text.index("app: ", seen))
    return board.text[board.text.index("app: ", seen) :].splitlines()[0].strip()


def deploy(rig: Rig, board: Board, *words: str) -> int:
    return main(["deploy", "-w", str(rig.workspace.root), *words, str(board.port)])


def in_vfs(board: Board) -> dict[str, bytes]:
    return files(board.table, board.flash.read(0, board.flash.size))


def test_program_moves_over_and_back_and_its_leftovers_go(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    board = with_program(rig.board(deployed=False))
    lesson = folder(rig.root)
    assert starts(board) == OLD

    assert deploy(rig, board, "--app", str(lesson)) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "the application runs: 5 files" in said and "in /app-ota_0" in said
    assert "not used while the application is there: /helper.py, /lib/tool.py" in said
    assert "main.py of before is kept as /before-app/main.py" in said
    assert NEW in board.text
    assert set(apps.trees(board)["ota_0"]) == {name.replace(".py", ".mpy") for name in AFTER}
    there = in_vfs(board)
    assert there["before-app/main.py"] == BEFORE["/main.py"]
    assert there["main.py"] == agent.hook("main.py").encode()
    assert starts(board) == NEW

    (lesson / "helper.py").write_text("NAME = 'newer'\n")  # what comes next goes the way of a release
    assert deploy(rig, board, "--app", str(lesson)) == 1
    assert "is another application: `otactl push" in " ".join(capsys.readouterr().err.split())
    (lesson / "helper.py").write_text(AFTER["helper.py"])

    assert deploy(rig, board, "--undo-app") == 0
    assert starts(board) == OLD
    there = in_vfs(board)
    assert {name: there[name[1:]] for name in BEFORE} == BEFORE
    assert not [name for name in there if name.startswith(("app-", "before-app"))]

    assert deploy(rig, board, "--app", str(lesson), "--remove-leftovers", "--json") == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])["application"]
    assert told["removed"] == ["/helper.py", "/lib/tool.py", "/before-app/main.py"]
    there = in_vfs(board)
    assert there["data.txt"] == BEFORE["/data.txt"]
    assert not {"helper.py", "lib/tool.py", "before-app/main.py"} & set(there)
    assert starts(board) == NEW


def test_application_that_ends_in_an_exception_is_taken_away(rig: Rig) -> None:
    board = with_program(rig.board())
    lesson = folder(rig.root, AFTER | {"app.py": "import helper\n\ndef main():\n    1 / 0\n"})
    with Link(str(board.port)) as link, pytest.raises(BoardError, match=r"ended in ZeroDivisionError") as caught:
        over.move(link, rig.workspace, Asked(lesson))
    assert 'File "app.py", line 4, in main' in str(caught.value)
    assert apps.trees(board) == {}
    assert starts(board) == OLD


REFUSED = {
    "app-path": ({"/boot.py": b"import ota.boot\nota.boot.start()\n"}, AFTER),
    "no-space": ({}, AFTER | {"big.bin": "x" * (600 << 10)}),
}


@pytest.mark.parametrize(("program", "lesson"), REFUSED.values(), ids=REFUSED)
def test_refused_before_anything_is_written(
    rig: Rig, program: dict[str, bytes], lesson: dict[str, str], request: pytest.FixtureRequest
) -> None:
    board = with_program(rig.board(), BEFORE | program)
    before = in_vfs(board)
    with Link(str(board.port)) as link, pytest.raises(BoardError) as caught:
        over.move(link, rig.workspace, Asked(folder(rig.root, lesson)))
    assert caught.value.code == request.node.callspec.id
    assert in_vfs(board) == before


def test_power_goes_while_a_program_moves_over(rig: Rig) -> None:
    """Every state that a cut of the way leaves starts the old program or the new one: by the files in all of them, by a start in
    some."""
    board = with_program(rig.board())
    with Link(str(board.port)) as link:
        assert over.deploy.deploy(link, rig.workspace).advice  # on main.py, which is the user's yet
        start = board.flash.read(0, board.flash.size)
        steps: list[Step] = []
        board.flash.before = lambda operation, data: steps.append(Step(operation, data, 0))
        over.move(link, rig.workspace, Asked(folder(rig.root)))
        board.flash.before = None
    board.power_off()
    assert len(steps) > 40
    cuts: dict[int, Cut] = {}
    all_cuts = (cut for at in range(len(steps)) for cut in (Cut(at), Cut(at, 7)))
    for cut, state in states(start, steps, all_cuts, start):
        cuts.setdefault(state, cut)
    whole = apps.trees(board)["ota_0"]
    chosen = random.Random(12).sample(list(cuts.values()), min(STATES_JUDGED, len(cuts)))
    by_files = {str(cut): which(board, state_after(start, steps, cut), whole) for cut in chosen}
    assert set(by_files.values()) == {OLD, NEW}, by_files
    for text in random.Random(12).sample(sorted(by_files), STATES_RUN):
        board.flash.force(0, state_after(start, steps, Cut.parse(text)))
        seen = len(board.text)
        board.power_on()
        board.wait_text(by_files[text], 40, since=seen)
        board.power_off()


def which(board: Board, flash: bytes, whole: dict[str, bytes | None]) -> str:
    """Which program starts with these files; what is wrong with them where none does, or a mixed one."""
    try:
        there = files(board.table, flash)
    except LittleFSError as error:
        return repr(error)
    vfs = board.table.find("vfs")
    assert vfs
    tree = apps.in_flash(flash[vfs.offset : vfs.end]).get("ota_0")
    if any(there.get(path[1:]) != data for path, data in BEFORE.items() if path != "/main.py"):
        return "a file of the old program is gone"
    hook, found = agent.hook("main.py").encode(), there.get("main.py", b"")
    bridged = re.match(rb"# Put here by", found) is not None
    if tree == whole and (found == hook or bridged):
        return NEW
    if tree is None and (
        found == BEFORE["/main.py"] or (bridged and there.get("before-app/main.py") == BEFORE["/main.py"])
    ):
        return OLD
    return f"main.py {found[:30]!r} with {sorted(tree or {})}"
