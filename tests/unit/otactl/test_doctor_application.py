"""What `otactl doctor` says of an application whose files are not those that were installed."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from otactl.board.doctor import application
from otactl.board.doctor.case import Case
from otactl.board.doctor.findings import Verdict
from otactl.release.application import Asked
from otactl.release.publish import publish
from otactl.workspace.workspace import Workspace

# what the board's directory has, whether it was mended before, what the channel has -> words, the next command's verb, code
DAMAGED: dict[str, tuple[list[str], bool, str, str, str, str]] = {
    "a file changed": (["app.py"], False, "application", "differs from what", "update", ""),
    "a file changed, and no workspace here": (["app.py"], False, "", "differs from what", "update", ""),
    "all are gone": ([], False, "application", "is gone, it was what", "update", ""),
    "it was mended before": (["app.py"], True, "application", "its program writes there", "publish", "app-changed"),
    "the channel has firmware alone": (["app.py"], False, "firmware", "under the next version", "publish", ""),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_files_that_are_not_as_installed(
    what: str, place: Workspace, tmp_path: Path, firmware_file: Callable[..., Path]
) -> None:
    names, again, channel, words, verb, code = DAMAGED[what]
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "app.py").write_text("print(1)\n")
    if channel == "application":
        publish(place, [], "1.1.0", app=Asked(tmp_path / "app"))
    elif channel:
        publish(place, [firmware_file()], "1.1.0")
    case = Case("auto", datetime.now(UTC), place=place if channel else None)
    case.application = {"place": "/app-ota_0", "names": names, "sha256": "ab" * 32, "was": "cd" * 8}
    case.application |= {"version": "1.1.0", "again": again}
    said = application.tree(case)
    assert said.verdict is Verdict.BAD and said.said.startswith("/app-ota_0 ") and words in said.said
    assert said.then.split()[:2] == ["otactl", verb]
    assert said.code == code


def test_files_as_installed() -> None:
    case = Case("auto", datetime.now(UTC))
    case.application = {
        "place": "/app-ota_0",
        "names": ["app.py"],
        "sha256": "ab" * 32,
        "was": "ab" * 8,
        "again": False,
    }
    assert application.tree(case).verdict is Verdict.OK
