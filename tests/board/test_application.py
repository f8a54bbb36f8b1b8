"""Releases that carry the application (P12), on virtual boards; judged by what lies in flash, file by file."""

from collections.abc import Callable
from pathlib import Path

import apps
import faultbench
import pytest
import rig as rigs
from otactl.board.deploy import deploy
from otactl.release import archive, publish
from otactl.release.application import Asked
from otactl.workspace.workspace import Workspace
from rig import NEW, OLD, Rig, boots, slot_bytes, started
from vboard.board import Board
from vboard.flash.otadata import State

ONE = {
    "app.py": b"import lib.tool, plain\nprint('app: one', lib.tool.NAME, plain.NAME)\n",
    "lib/__init__.py": b"",
    "lib/tool.py": b"NAME = 'tool 1'\n",
    "plain.py": b"NAME = 'plain 1'\n",
    "pictures/logo.bin": bytes(range(256)) * 24,
}
TWO = {"app.py": b"print('app: two')\n", "new.bin": b"\x01\x02\x03"}


def goes_on(board: Board, version: str) -> None:
    """A look brings that release, its trial passes."""
    seen = len(board.text)
    board.reset()
    board.wait_text(f"ota: up-to-date {version}", 60, since=seen)


def test_firmware_and_application_are_one_release(rig: Rig, templates: Callable[..., Path]) -> None:
    """With the oldest MicroPython that the agent runs on, which is built without some of what others have."""
    board = started(rig.board(flash=templates(micropython="1.23.0"), micropython="1.23.0"))
    apps.publish(rig, "1.1.0", ONE, NEW)
    goes_on(board, "1.1.0")
    board.wait_text("app: one tool 1 plain 1", 10)
    assert boots(board) == ("ota_1", State.VALID)
    assert slot_bytes(board, "ota_1", len(NEW)) == NEW
    assert apps.trees(board) == {"ota_1": ONE}


def test_what_publish_makes_of_a_folder_runs_on_a_board(rig: Rig) -> None:
    for name, data in ONE.items():
        path = rig.root / "program" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    board = started(rig.board())
    made = rig.root / "new.bin"
    made.write_bytes(NEW)
    publish.publish(rig.workspace, [made], "1.1.0", app=Asked(rig.root / "program"))
    goes_on(board, "1.1.0")
    board.wait_text("app: one tool 1 plain 1", 10)
    packed = archive.unpack((rig.workspace.releases / "1.1.0" / "app.cpio").read_bytes())
    assert set(packed) == {name.replace(".py", ".mpy") for name in ONE}
    assert apps.trees(board) == {"ota_1": packed}


def test_application_alone_takes_the_firmware_along_and_the_second_time_copies_nothing(rig: Rig) -> None:
    board = started(rig.board())
    apps.publish(rig, "1.1.0", ONE)
    goes_on(board, "1.1.0")
    assert boots(board) == ("ota_1", State.VALID)
    assert slot_bytes(board, "ota_1", len(OLD)) == OLD
    before = len(board.flash.trace)
    apps.publish(rig, "1.2.0", TWO)
    goes_on(board, "1.2.0")
    board.wait_text("app: two", 10)
    assert boots(board) == ("ota_0", State.VALID)
    assert not rigs.touched(board, "ota_0", before) and not rigs.touched(board, "ota_1", before)
    assert apps.trees(board) == {"ota_0": TWO, "ota_1": ONE}
    assert not [t for t in rig.transfers if t.path.endswith(".bin")]


def test_firmware_alone_takes_the_application_along(rig: Rig) -> None:
    board = started(rig.board())
    apps.publish(rig, "1.1.0", ONE)
    goes_on(board, "1.1.0")
    apps.publish(rig, "1.2.0", None, NEW)
    goes_on(board, "1.2.0")
    board.wait_text("app: one tool 1 plain 1", 10, since=board.text.rindex("ota: up-to-date 1.2.0"))
    assert boots(board) == ("ota_0", State.VALID)
    assert slot_bytes(board, "ota_0", len(NEW)) == NEW
    assert apps.trees(board) == {"ota_0": ONE, "ota_1": ONE}


def test_old_program_in_the_other_directory_does_not_come_up_with_firmware_alone(rig: Rig) -> None:
    board = started(rig.board())
    with rigs.repl(board) as link:  # of no release that the board knows
        link.run("import os\nos.mkdir('/app-ota_1')\nos.mkdir('/app-ota_1/x')")
        link.put("/app-ota_1/app.py", b"print('app: old')\n")
        link.put("/app-ota_1/x/y.py", b"")
    apps.publish(rig, "1.1.0", None, NEW)
    goes_on(board, "1.1.0")
    assert apps.trees(board) == {}
    assert "app: old" not in board.text


def test_rollback_brings_firmware_and_application_back(rig: Rig) -> None:
    board = started(rig.board())
    apps.publish(rig, "1.1.0", ONE)
    goes_on(board, "1.1.0")
    apps.publish(rig, "1.2.0", TWO, NEW)
    goes_on(board, "1.2.0")
    seen = len(board.text)
    with rigs.repl(board) as link:
        link.start("from ota import agent\nagent.rollback()")
        board.wait_text("ota: confirmed 1.1.0", 40, since=seen)
        board.wait_text("app: one tool 1 plain 1", 20, since=board.text.rindex("ota: confirmed 1.1.0"))
    assert boots(board) == ("ota_1", State.VALID)


def test_rollback_to_a_directory_that_has_changed_is_refused(rig: Rig) -> None:
    """P3: the firmware there is whole, a file of its application is not."""
    board = started(rig.board())
    apps.publish(rig, "1.1.0", ONE)
    goes_on(board, "1.1.0")
    apps.publish(rig, "1.2.0", TWO)
    goes_on(board, "1.2.0")
    with rigs.repl(board) as link:
        link.put("/app-ota_1/plain.py", b"NAME = 'plain 2'\n")
    out = rigs.ask(
        board,
        "from ota import agent\nfrom ota.errors import OtaError\n"
        "try:\n    agent.rollback()\nexcept OtaError as e:\n    print(e.code)",
    )
    assert out.split()[-1] == "no-rollback"
    assert boots(board) == ("ota_0", State.VALID)


FAILS = {
    "raises": ({"app.py": b"1 / 0\n"}, "app-crashed"),
    "raises in main()": ({"app.py": b"def main():\n    raise ImportError('x')\n"}, "app-crashed"),
    "lacks a module": ({"app.py": b"import nowhere\n"}, "app-import"),
    "is no Python": ({"app.py": b"def (:\n"}, "app-import"),
    "is for another MicroPython": ({"app.mpy": b"M\x01\x00\x1f" + bytes(40)}, "app-import"),
    "hangs in Python": ({"app.py": b"while True:\n    pass\n"}, "deadline"),
}


@pytest.mark.parametrize(("files", "reason"), FAILS.values(), ids=FAILS)
def test_both_go_back_where_the_application(rig: Rig, files: dict[str, bytes], reason: str) -> None:
    board = started(rig.board())
    apps.publish(rig, "1.1.0", ONE)
    goes_on(board, "1.1.0")
    checks = [{"check": "healthy", "timeout_s": 4}] if reason == "deadline" else []
    rigs.configure(board, trial={**rigs.TRIAL, "checks": checks})
    apps.publish(rig, "1.2.0", files, NEW)
    seen = len(board.text)
    board.reset()
    board.wait_text(f"ota: rolled-back 1.2.0 {reason}", 60, since=seen)
    board.wait_text("app: one tool 1 plain 1", 20, since=board.text.rindex("ota: rolled-back"))
    assert boots(board) == ("ota_1", State.VALID)
    trees = apps.trees(board)
    assert trees["ota_1"] == ONE


def test_release_whose_application_has_no_app_goes_back(rig: Rig) -> None:
    board = started(rig.board())
    with rigs.repl(board) as link:
        link.run("import os\nos.remove('/app.py')")
    apps.publish(rig, "1.1.0", {"other.py": b""})
    seen = len(board.text)
    board.reset()
    board.wait_text("ota: rolled-back 1.1.0 app-import", 60, since=seen)
    assert boots(board) == ("ota_0", State.VALID)


_A, _B = apps.member("a.py", b"A = 1\n"), apps.member("b.py", b"")
_END = apps.member("TRAILER!!!", b"")
ARCHIVES = {
    "absolute name": apps.member("/boot.py", b"") + _END,
    "name that climbs out": apps.member("x/../../boot.py", b"") + _END,
    "empty part of a name": apps.member("x//y", b"") + _END,
    "backslash": apps.member("x\\y", b"") + _END,
    "NUL": apps.member("x\0y", b"") + _END,
    "long name": apps.member("x" * 256, b"") + _END,
    "out of order": _B + _A + _END,
    "twice the same": _A + _A + _END,
    "file and directory": apps.member("a", b"") + apps.member("a/b", b"") + _END,
    "a link": apps.member("a.py", b"A = 1\n", mode=0o120777) + _END,
    "more files than signed": _A + _B + apps.member("c.py", b"") + _END,
    "more bytes than signed": apps.member("a.py", bytes(5000)) + _END,
    "fewer files than signed": _A + _END,
    "no trailer": _A + _B,
    "bytes after the trailer": _A + _B + _END + bytes(4),
    "no archive": b"<html>" * 40,
    "no number": (_A + _B + _END).replace(b"00000006", b"0000000G", 1),
    "name that is no text": (_A + _B + _END).replace(b"a.py", b"\xff\xfe\xfd\xfc"),
}


@pytest.mark.parametrize("packed", ARCHIVES.values(), ids=ARCHIVES)
def test_bad_archive(rig: Rig, packed: bytes) -> None:
    """Signed as it is; what runs, and all outside the other directory, stays."""
    board = started(rig.board())
    with rigs.repl(board) as link:
        before = link.run("print(open('/boot.py').read())")
    apps.publish(rig, "1.1.0", {"a.py": b"A = 1\n", "b.py": b""}, packed=packed)
    assert rigs.update_code(board) == "bad-archive"
    assert boots(board)[0] == "ota_0"
    trees = apps.trees(board)
    assert set(trees) <= {"ota_1"}
    written = trees.get("ota_1", {})  # never more than was signed
    assert len(written) <= 2 and sum(len(data or b"") for data in written.values()) <= 6
    with rigs.repl(board) as link:
        assert link.run("print(open('/boot.py').read())") == before


def test_application_that_has_no_room_is_refused_before_anything_is_erased(rig: Rig) -> None:
    board = started(rig.board())
    before = len(board.flash.trace)
    apps.publish(rig, "1.1.0", ONE, NEW, unpacked=4 << 20)
    assert rigs.update_code(board) == "no-space"
    assert not rigs.touched(board, "ota_1", before)
    assert apps.trees(board) == {}


def test_application_for_another_mpy_is_refused_unless_firmware_comes_with_it(rig: Rig) -> None:
    board = started(rig.board())
    apps.publish(rig, "1.1.0", ONE, mpy=5)
    assert rigs.update_code(board) == "app-mpy"
    apps.publish(rig, "1.2.0", ONE, NEW, mpy=5)
    goes_on(board, "1.2.0")


BOOT_BEFORE = b"""# Runs first on every boot: puts a new release on trial before anything else can hang.
try:
    import ota.boot

    ota.boot.start()
except Exception as e:  # the application comes first, whatever is wrong with the agent
    print("ota: error", repr(e))
"""


def test_boot_py_of_before_is_named_and_deploy_replaces_it(rig: Rig) -> None:
    board = started(rig.board())
    with rigs.repl(board) as link:
        link.put("/boot.py", BOOT_BEFORE)
    before = len(board.flash.trace)
    apps.publish(rig, "1.1.0", ONE)
    assert rigs.update_code(board) == "app-path"
    assert not rigs.touched(board, "ota_1", before)
    with rigs.repl(board) as link:
        assert "/boot.py" in deploy(link, rig.workspace).written
    goes_on(board, "1.1.0")


def test_assets_and_version_are_those_of_what_runs(rig: Rig) -> None:
    board = started(rig.board())
    code = "from ota import agent\nprint(agent.path('x.png'), agent.version())"
    assert rigs.ask(board, code).split() == ["/x.png", "1.0.0"]
    apps.publish(rig, "1.1.0", ONE)
    goes_on(board, "1.1.0")
    assert rigs.ask(board, code).split() == ["/app-ota_1/x.png", "1.1.0"]


BROKEN = {
    "cut in the middle of a file": ["cut:5000"],
    "cut twice, in the first header too": ["cut:60", "reset:9000"],
    "cut, and the server has no ranges": ["cut:5000", "no-range"],
    "damaged on the way": ["garble:3000"],
}


@pytest.mark.parametrize("script", BROKEN.values(), ids=BROKEN)
def test_archive_comes_whole_though_it_is(script: list[str], tmp_path: Path, place: Workspace, template: Path) -> None:
    with faultbench.opened(tmp_path, place, template) as bench, rigs.repl(bench.board) as link:
        link.run(faultbench.SETUP)
        apps.publish(bench.rig, "2.0.0", ONE, NEW)
        assert bench.run(link, script, "*.cpio")[0] == "installed"
        assert apps.trees(bench.board)["ota_1"] == ONE
        assert boots(bench.board)[0] == "ota_1"


def test_archive_that_is_not_what_was_signed_is_not_switched_to(rig: Rig) -> None:
    board = started(rig.board())
    apps.publish(rig, "1.1.0", ONE)
    file = rig.workspace.releases / "1.1.0" / apps.NAME
    signed = file.read_bytes()
    file.write_bytes(signed.replace(b"plain 1", b"plain 9"))
    assert rigs.update_code(board) == "hash-mismatch"
    assert boots(board)[0] == "ota_0"
    file.write_bytes(signed)
    goes_on(board, "1.1.0")  # it does not count as failed (P6)
    assert apps.trees(board) == {"ota_1": ONE}


def test_board_without_applications_loads_nothing_of_them(rig: Rig) -> None:
    board = started(rig.board())
    rig.publish("1.1.0", NEW)
    loaded = rigs.ask(board, LOADED, 60)
    assert "ota.install.job" in loaded
    assert not [name for name in ("application", "archive", "carried", "parts", "tree") if f"install.{name}'" in loaded]


LOADED = """
import sys
from ota import agent
agent.machine = type('', (), {'reset': staticmethod(lambda: None)})
agent.update(lambda *_: None)
print([name for name in sys.modules if name[:3] == "ota"])
"""
