"""A rig fault is an outcome of its own: `!`, RIG FAULT, exit status 3. A broken board skips what is left of its tests."""

from typing import Any

import pytest

_OURS = frozenset({"_board_held", "_board_from_pool"})
RIG_FAULT = 3  # as `otactl` has it
NOT_RUN = "not_run"  # among a report's user_properties: skipped because the board is broken
USES = pytest.StashKey[bool]()  # of an item: it has the plugin's own `board`
BROKEN = pytest.StashKey[str]()  # of the session: why its board can be used no more
EVIDENCE = pytest.StashKey[Any]()  # of an item: what it leaves (evidence.py)
REPORT = pytest.StashKey[pytest.TestReport]()  # of an item: its last report


def uses_board(item: pytest.Item) -> bool:
    """A fixture `board` of a project's own is none of ours."""
    return USES in item.stash or not _OURS.isdisjoint(getattr(item, "fixturenames", ()))


def skip_if_broken(item: pytest.Item) -> None:
    why = item.config.stash.get(BROKEN, "")
    if why and uses_board(item):
        item.user_properties.append((NOT_RUN, True))
        pytest.skip(why)


def annotate(item: pytest.Item, call: pytest.CallInfo[Any], report: pytest.TestReport) -> None:
    """Mark the report of a test that ended by a RigError; xdist carries the mark to its controller.

    A report that failed also tells what the board said meanwhile, and how to run the test again.
    """
    item.stash[REPORT] = report
    from otactl.errors import RigError  # a test with a board has it loaded

    from otactl_pytest import redact

    report.longrepr = redact.cleaned(report.longrepr)
    report.sections = [
        (title, redact.clean(text)) for title, text in report.sections
    ]  # shown of a good test too, by -rP
    if call.excinfo is None or not report.failed:
        return
    if isinstance(call.excinfo.value, RigError):
        vars(report)["rig_fault"] = redact.clean(str(call.excinfo.value))
    if evidence := item.stash.get(EVIDENCE, None):
        report.sections.append(("the board's console", evidence.section))
        report.sections.append(("to run it again", evidence.repeat))


def of(report: object) -> str:
    """Why the rig was at fault; "" where it was not."""
    return str(getattr(report, "rig_fault", ""))


def status(report: object) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
    return ("rig fault", "!", ("RIG FAULT", {"yellow": True})) if of(report) else None


class Verdict:
    """Counts reports where they come together, and turns the exit status where rig faults are all that failed."""

    def __init__(self) -> None:
        self._faults: list[tuple[str, str]] = []
        self._failures = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if why := of(report):
            self._faults.append((report.nodeid, why))
        elif report.failed:
            self._failures += 1

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._failures += report.failed

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._faults and not self._failures and session.exitstatus == pytest.ExitCode.TESTS_FAILED:
            session.exitstatus = RIG_FAULT

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._faults:
            terminalreporter.section("rig faults: no verdict on what was tested", yellow=True)
            for nodeid, why in self._faults:
                terminalreporter.write_line(f"{nodeid}: {why}")
