"""What the suite writes of a run, what is read of it, and what a person is shown."""

import json
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from otactl.hil import results, runs
from otactl.hil.page import page
from otactl.hil.program import parse_beat
from otactl.hil.results import FAILED, PASSED, RIG_FAULT, SKIPPED, Result, Results
from otactl.hil.setting import Setting
from otactl.hil.slots import Look, named_by
from otactl.workspace.roster import Entry

SUITE = """
import pytest
from otactl.errors import BoardError, RigError
from otactl_pytest import outcome
@pytest.fixture
def board(request):
    request.node.stash[outcome.USES] = True
    request.node.user_properties.append(("title", "It holds."))
def test_fine(board): pass
def test_wrong(board):
    assert not ["ota_1 runs"], "ota_1 runs, not ota_0"
def test_refused(board): raise BoardError("no-ota-slots: one slot; flash another table")
def test_rig(board): raise RigError("the port is gone")
def test_lacks(board): pytest.skip("no loopback")
@pytest.fixture
def untidy(board):
    yield
    assert False, "not put back"
def test_teardown(untidy): pass
@pytest.fixture
def rig_after():
    yield
    raise RigError("a cable, afterwards")
def test_wrong_and_rig(board, rig_after): assert len(again) > 1, "ota_1 runs" if not again.append(1) else ""
again = []
tries = []
def test_once_more(board):
    tries.append(1)
    if len(tries) == 1: raise RigError("a cable")
def test_last(board): pass
def test_breaks(request): request.config.stash[outcome.BROKEN] = "the port is gone"
def test_never_reached(board_device): pass
"""
CONFTEST = """
from otactl.hil import retry
def pytest_runtest_protocol(item, nextitem): return retry.protocol(item, nextitem)
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """What the recorder wrote of a run of SUITE by a pytest of its own."""
    folder = tmp_path_factory.mktemp("recorded")
    (folder / "test_it.py").write_text(SUITE)
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "pytest.ini").write_text("[pytest]\n")
    line = [sys.executable, "-m", "pytest", "-p", "otactl.hil.plugin", "-p", "no:xdist", "--hil-results", "r.jsonl"]
    subprocess.run([*line, "test_it.py"], cwd=folder, capture_output=True, check=False)
    return results.read(folder / "r.jsonl", "desk-07")


@pytest.mark.parametrize(
    ("test", "outcome", "why"),
    [
        ("test_fine", PASSED, ""),
        ("test_wrong", FAILED, "ota_1 runs, not ota_0"),
        ("test_refused", FAILED, "no-ota-slots: one slot; flash another table"),
        ("test_rig", RIG_FAULT, "the port is gone"),
        ("test_lacks", SKIPPED, "no loopback"),
        ("test_wrong_and_rig", FAILED, "ota_1 runs"),  # the rig's fault afterwards hides nothing
        ("test_teardown", FAILED, "not put back"),
        ("test_once_more", PASSED, ""),
    ],
)
def test_each_outcome_is_recorded_with_its_reason(recorded: Results, test: str, outcome: str, why: str) -> None:
    found = next(one for one in recorded.tests if one.id == test)
    assert (found.outcome, found.why.partition("\n")[0]) == (outcome, why)
    assert found.title == "It holds."


def test_only_rig_faults_are_repeated_and_it_is_shown(recorded: Results) -> None:
    retried = {one.id: one.retried for one in recorded.tests if one.retried}
    assert retried == {"test_rig": "the port is gone", "test_once_more": "a cable"}
    once_more = next(one for one in recorded.tests if one.id == "test_once_more")
    assert runs.sentence(once_more) == "It holds (after a rig fault: a cable)"
    assert recorded.seconds > 0


def test_what_failed_around_a_test_is_not_told_as_its_verdict(recorded: Results) -> None:
    said = {one.id: runs.sentence(one) for one in recorded.tests}
    assert said["test_wrong"].startswith("NOT SO: It holds: ota_1 runs, not ota_0")
    assert said["test_teardown"].startswith("failed after the test (It holds): not put back")


def test_what_is_skipped_for_a_broken_board_is_told_from_what_it_lacks(recorded: Results) -> None:
    assert {one.id: one.not_run for one in recorded.tests if one.outcome == SKIPPED} == {
        "test_lacks": False,
        "test_never_reached": True,
    }


def run_of(*outcomes: str) -> Results:
    return Results("desk-07", tests=[Result(f"test_{n}", "It holds.", one, 1.0) for n, one in enumerate(outcomes)])


@pytest.mark.parametrize(
    ("run", "code", "summary"),
    [
        (run_of(PASSED, PASSED, SKIPPED), 0, "desk-07: 2 of 2 fine"),
        (run_of(PASSED, FAILED), 1, "desk-07: 1 of 2 failed"),
        (run_of(PASSED, RIG_FAULT), 3, "desk-07: rig fault"),
        (run_of(FAILED, RIG_FAULT), 1, "desk-07: 1 of 2 failed"),
        (run_of(SKIPPED), 3, "desk-07: rig fault"),  # nothing was tested: no verdict
        (Results("desk-07", trouble="no port"), 3, "desk-07: rig fault"),
        (Results("desk-07", usage="no network"), 2, "desk-07: wrong usage"),
        (Results("desk-07", trouble="stopped: the board is as it was found", stopped=True), 3, "desk-07: stopped"),
    ],
)
def test_exit_code_and_summary_line(run: Results, code: int, summary: str) -> None:
    assert (run.exit_code, run.summary) == (code, summary)


@pytest.mark.parametrize(
    ("several", "code"),
    [
        ([run_of(PASSED), run_of(PASSED)], 0),
        ([run_of(PASSED), run_of(RIG_FAULT)], 3),
        ([run_of(FAILED), run_of(RIG_FAULT)], 1),
        ([run_of(PASSED), Results("b", usage="no network")], 2),
        ([], 3),
    ],
)
def test_exit_code_of_several_boards(several: list[Results], code: int) -> None:
    assert results.worst(several) == code


def test_record_that_broke_off_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = json.dumps({"test": {"id": "test_a", "title": "A.", "outcome": PASSED, "seconds": 1}})
    (tmp_path / "r").write_text(f'{{"seed": 7}}\n{whole}\n{whole[:20]}')
    found = results.read(tmp_path / "r", "x")
    assert (found.seed, [test.id for test in found.tests]) == (7, ["test_a"])
    assert results.read(tmp_path / "nothing", "x").exit_code == 3


class _Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows = self.scripts = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.rows += tag == "tr"
        self.scripts += tag == "script"


def test_page_has_a_row_a_board_and_shows_what_boards_say_as_text() -> None:
    bad = Results(
        "<script>", tests=[Result("test_a", "<b>A</b>.", FAILED, 1.0, "<script>alert(1)</script>", "otactl hil")]
    )
    made = page([bad, run_of(PASSED)])
    found = _Tags(made)
    assert (found.rows, found.scripts) == (1 + 2, 0)
    assert "all tests" in page([Results("a", everything=True)]) and "of left" in page(
        [Results("a", everything=True, only="left")]
    )
    assert "no network" in page([Results("a", usage="no network")])
    assert "otactl hil" in made and "//" not in made  # nothing from elsewhere


BEAT = (
    'hil: beat {"slot": "ota_1", "runs": 3, "boots": [["ota_0", "2"], ["ota_1", "5"], ["ota_1", "1"]], "otadata": '
    '["01000000ffffffffffffffffffffffffffffffffffffffff020000009a984347", "'
    + "02000000" + "ff" * 20 + "01000000" + "7437f655" + '"]}'
)  # fmt: skip


def test_the_programs_word_is_read_without_soft_resets_and_otadata_is_judged_here() -> None:
    beat = parse_beat(BEAT)
    assert beat
    assert [boot.slot for boot in beat.boots] == ["ota_0", "ota_1"]
    assert named_by(beat.otadata, ("ota_0", "ota_1"), "") == ("ota_1", "pending")


@pytest.mark.parametrize("line", ["", "ota: up-to-date 1.0.0", BEAT[:-20], BEAT.replace("ff", "xx"), "hil: beat {}"])
def test_a_garbled_word_is_none(line: str) -> None:
    assert parse_beat(line) is None


@pytest.mark.parametrize(
    ("running", "slots", "factory", "next_one"),
    [
        ("ota_0", ("ota_0", "ota_1"), "", "ota_1"),
        ("ota_1", ("ota_0", "ota_1"), "", "ota_0"),
        ("factory", ("ota_0", "ota_1"), "factory", "ota_0"),
        ("ota_1", ("ota_0", "ota_1", "ota_2"), "", "ota_2"),
    ],
)
def test_where_an_update_goes(running: str, slots: tuple[str, ...], factory: str, next_one: str) -> None:
    assert Look(running, slots, factory, {}, ()).next == next_one


def test_boards_have_a_folder_each_whatever_they_are_called() -> None:
    names = ["/dev/ttyUSB0", "ttyUSB0", "desk 1", "desk-1", "Desk-1", "index.html", "..", "id:0001"]
    folders = runs.folder_names(names)
    assert folders["/dev/ttyUSB0"] == "ttyUSB0" and folders["id:0001"] == "id-0001"
    assert len({folder.lower() for folder in folders.values()} - {"index.html"}) == len(names)


@pytest.mark.parametrize(
    ("found", "returned", "said"),
    [
        (Results("desk-07"), 2, "the board is as it was found"),  # ended before anything was done to it
        (Results("desk-07", put_back=True), 2, "the board is as it was found"),
        (
            Results("desk-07", put_back=False),
            2,
            "the board is NOT put back yet: `otactl hil desk-07 --only left` does it",
        ),
        (Results("desk-07"), -9, "the board is NOT put back yet: `otactl hil desk-07 --only left` does it"),
    ],
)
def test_what_is_said_of_a_board_when_its_run_was_ended(found: Results, returned: int, said: str) -> None:
    assert runs.left(found, returned) == said


def test_a_choice_that_no_test_meets_is_wrong_usage_and_no_fault_of_the_rig(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = [sys.executable, "-c", f"raise SystemExit({int(pytest.ExitCode.NO_TESTS_COLLECTED)})"]
    monkeypatch.setattr(runs, "_command", lambda *_: ends)
    wish = runs.Wish(Setting(), only="no_such")
    found = runs.run(Entry("desk-07", "/dev/null"), wish, tmp_path, lambda test: None)
    assert (found.exit_code, found.summary) == (2, "desk-07: wrong usage")
    assert "--only no_such: the suite has no such test" in found.usage
