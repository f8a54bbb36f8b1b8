"""The suite, run on one board by a pytest of its own; what a person reads of it."""

import contextlib
import importlib.util
import itertools
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from otactl.errors import RigError, UsageError
from otactl.hil import results
from otactl.hil.results import Result, Results
from otactl.hil.setting import Setting
from otactl.workspace.roster import Entry

_CARRIED = Path(__file__).resolve().parents[2] / "otactl_hil"  # a wheel has it (pyproject.toml), a checkout does not
_CHECKOUT = Path(__file__).resolve().parents[3] / "tests" / "hil"
_POLL_S = 0.2
_ASK_S = 5.0  # between two Ctrl-C, until it ends
_END_S = 60.0  # to put the board back, after Ctrl-C
_RESTORE_S = 900.0  # and the other slot's content, over a cable
_MADE = ("index.html", "results.json", "summary.txt")  # what lies beside the folders of boards
_AROUND = {"setup": "before the test", "teardown": "after the test"}
_WAIT_S = 30  # for a board that another session has; who that is, is said then
_NONE_CHOSEN = 5  # pytest.ExitCode.NO_TESTS_COLLECTED
_LAST = 3  # lines of pytest's output where it ended without a result

Watch = Callable[[Result], None]


@dataclass(frozen=True, slots=True)
class Wish:
    """What is run: `setting` for each board, all tests or the quick ones, each `count` times, or what `only` names:
    file.py::test, or words as pytest's -k takes them. `again`: the words of `otactl hil` that mean this board and its
    settings, and no `only`."""

    setting: Setting
    everything: bool = False
    count: int = 1
    only: str = ""
    again: tuple[str, ...] = ()


def require_pytest() -> None:
    """Raises UsageError where there is none."""
    if importlib.util.find_spec("pytest") is None:
        raise UsageError(
            "the suite needs pytest: pip install 'micropython-ota-agent[hil]', or pipx inject micropython-ota-agent pytest"
        )


def suite() -> Path:
    """The folder with the tests. Raises RigError."""
    for folder in (_CARRIED, _CHECKOUT):
        if (folder / "conftest.py").is_file():
            return folder
    raise RigError(f"no suite at {_CARRIED}: install otactl again, or run it from a whole checkout of the project")


def run(board: Entry, wish: Wish, folder: Path, watch: Watch, going: Callable[[], None] = lambda: None) -> Results:
    """Run the suite on `board` into `folder`; `watch` is told of each test as it ends.

    `going` is called often, and may raise KeyboardInterrupt to end the run: the board is put back even so, and what is
    raised says whether it was. Raises RigError, OSError.
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    record, said = folder / "results.jsonl", folder / "pytest.txt"
    for stale in (record, folder / "junit.xml"):  # of the run before
        stale.unlink(missing_ok=True)
    (folder / "pytest.ini").write_text("[pytest]\n")  # not that of a project round about
    with said.open("w", encoding="utf-8") as out:
        process = subprocess.Popen(
            _command(board, wish, folder, record),
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C comes to it once, from here: a second one would end the putting back
        )
        try:
            _follow(process, record, watch, going)
        except KeyboardInterrupt:
            _end(process, board.slow * (_RESTORE_S if wish.setting.restore_slot else _END_S))
            raise KeyboardInterrupt(left(results.read(record, board.name), process.returncode)) from None
        finally:
            _end(process, board.slow * _END_S)
    found = results.read(record, board.name)
    found.only = wish.only
    if wish.only and process.returncode == _NONE_CHOSEN:
        found.usage = f"--only {wish.only}: the suite has no such test; results.json of any run has their names"
    if not found.seconds and not found.trouble:
        last = said.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-_LAST:]
        found.trouble = f"pytest ended with {process.returncode}: {' / '.join(last) or 'no word'}"
        if process.returncode < 0 and found.put_back is None:
            found.notes.append(left(found, process.returncode))
    return found


def _command(board: Entry, wish: Wish, folder: Path, record: Path) -> list[str]:
    place, setting = suite(), wish.setting
    one = "::" in wish.only
    words: list[object] = [sys.executable, "-m", "pytest", place / wish.only if one else place]
    words += ["-p", "otactl.hil.plugin", "-p", "no:cacheprovider", "-p", "no:xdist", "-rs", "-v", "--tb=short"]
    words += ["-c", folder / "pytest.ini", f"--rootdir={place}", *(["-k", wish.only] if wish.only and not one else [])]
    options: dict[str, object] = {
        "--board": board.device,
        "--board-wait": _WAIT_S,
        "--board-log": folder / "logs",
        "--junitxml": folder / "junit.xml",
        "--board-chip": board.chip,
        "--board-power": board.power,
        "--board-slow": board.slow if board.slow > 1 else "",
        "--hil-results": record,
        "--hil-seed": setting.seed,
        "--hil-count": wish.count,
        "--hil-address": setting.address,
        "--hil-again": shlex.join(wish.again),
        "--hil-firmware": setting.firmware and setting.firmware.resolve(),
    }
    # each in one word: pytest takes a path that stands alone for a folder of tests
    words += [f"{name}={value}" for name, value in options.items() if value not in (None, "")]
    words += [f"--board-feature={feature}" for feature in board.features]
    words += ["--hil-all"] if wish.everything or wish.only else []
    words += ["--hil-restore-slot"] if setting.restore_slot else []
    return list(map(str, words))


def _follow(process: "subprocess.Popen[bytes]", record: Path, watch: Watch, going: Callable[[], None]) -> None:
    told = 0
    over = False
    while not over:
        over = process.poll() is not None
        tests = results.read(record, "").tests
        for test in tests[told:]:
            watch(test)
        told = len(tests)
        going()
        if not over:
            time.sleep(_POLL_S)


def _end(process: "subprocess.Popen[bytes]", patience_s: float) -> None:
    """Have it put the board back and end.

    It is asked more than once: a Ctrl-C that comes inside of a destructor or a callback is lost. From where it puts the
    board back it hears none (otactl.hil.plugin).
    """
    until = time.monotonic() + patience_s
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_ASK_S)
            return
        if time.monotonic() > until:
            process.kill()
            process.wait()


def left(found: Results, returned: int) -> str:
    """What a run that was ended left the board as."""
    if found.put_back or (found.put_back is None and returned >= 0):
        return "the board is as it was found"
    return f"the board is NOT put back yet: `otactl hil {found.name} --only left` does it"


def sentence(test: Result) -> str:
    """What is fine, or what is not and why."""
    case = test.id[test.id.find("[") :] if "[" in test.id else ""
    what = f"{test.title.rstrip('.')}{f' {case}' if case else ''}"
    if test.outcome == results.SKIPPED:
        return f"skipped: {what}: {test.why}"
    what += f" (after a rig fault: {test.retried})" if test.retried else ""
    if test.outcome == results.PASSED:
        return what
    if test.outcome == results.FAILED and test.phase in _AROUND:
        return f"failed {_AROUND[test.phase]} ({what}): {test.why}"
    return f"{'rig fault' if test.outcome == results.RIG_FAULT else 'NOT SO'}: {what}: {test.why}"


def folder_names(boards: Iterable[str]) -> dict[str, str]:
    """For each board's name or device that of a folder, no two the same."""
    found: dict[str, str] = {}
    taken = set(_MADE)
    for board in boards:
        plain = _folder_name(board)
        tries = itertools.chain([plain], (f"{plain}-{number}" for number in itertools.count(2)))
        found[board] = next(name for name in tries if name.lower() not in taken)
        taken.add(found[board].lower())  # some file systems take "Desk" for "desk"
    return found


def _folder_name(board: str) -> str:
    return "".join(c if c.isalnum() or c in "._-" else "-" for c in board.removeprefix("/dev/")).strip("-.") or "board"
