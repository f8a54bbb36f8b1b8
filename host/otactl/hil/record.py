"""The recorder: a pytest plugin that writes what comes of each test to a file, at once, for results.read()."""

import json
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from otactl_pytest import redact

from otactl.hil import results

NAME = "hil-recorder"
_PHASES = {"setup": 0, "call": 1, "teardown": 2}


class Recorder:
    """Registered under NAME where a file is asked for; `tell` takes what is no test."""

    def __init__(self, path: Path, *, seed: int, everything: bool) -> None:
        """Raises OSError."""
        self._file = path.open("w", encoding="utf-8", buffering=1)
        self._reports: dict[str, list[pytest.TestReport]] = {}
        self._began = time.monotonic()
        self.tell(began=datetime.now().isoformat(timespec="seconds"), seed=seed, everything=everything)

    def tell(self, **facts: Any) -> None:
        self._file.write(redact.clean(json.dumps(facts)) + "\n")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._reports.setdefault(report.nodeid, []).append(report)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        if reports := self._reports.pop(nodeid, []):
            self.tell(test=_test(reports))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.tell(trouble=f"the suite cannot be read: {_why(report)}")

    def pytest_sessionfinish(self) -> None:
        self.tell(seconds=round(time.monotonic() - self._began, 1))

    def pytest_unconfigure(self) -> None:
        self._file.close()


def _test(reports: list[pytest.TestReport]) -> dict[str, Any]:
    """One test of its three phases: the worst of them counts, the first of the worst."""
    first = min(reversed(reports), key=lambda report: results.OUTCOMES.index(_outcome(report)))
    facts = dict(first.user_properties)
    return {
        "id": first.nodeid.partition("::")[2],
        "title": str(facts.get("title", first.nodeid)),
        "outcome": _outcome(first),
        "seconds": round(sum(report.duration for report in reports), 1),
        "why": "" if _outcome(first) == results.PASSED else _why(first),
        "again": str(facts.get("again", "")),
        "retried": str(facts.get("retried", "")),
    }


def _outcome(report: pytest.TestReport) -> str:
    return results.RIG_FAULT if getattr(report, "rig_fault", "") else str(report.outcome)


def _why(report: pytest.TestReport | pytest.CollectReport) -> str:
    """The reason in one line, without the name of an exception's class."""
    if fault := getattr(report, "rig_fault", ""):
        return str(fault)
    if isinstance(report.longrepr, tuple):  # skipped: (file, line, reason)
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(crash.message if crash else report.longrepr).strip().splitlines()[:1] or ["no reason was given"]
    kind, colon, rest = text[0].partition(": ")
    return rest if colon and kind.rpartition(".")[2].endswith(("Error", "Exception")) else text[0]
