"""Makes the scenarios by their names."""

from dataclasses import replace
from pathlib import Path

from powercut.boards import Boards
from powercut.flash import files, with_files
from powercut.scenario import Scenario
from powercut.scenarios import CASES

_CASES = {case.name: case for case in CASES}
NAMES = tuple(_CASES)


class Scenarios:
    """Makes them in `folder`; each needs a few boots of a board. `patch`: lines for a faulty agent."""

    def __init__(self, folder: Path, patch: str = "") -> None:
        self._folder = folder
        self._boards: dict[str, Boards] = {}  # by how they get their images
        self._patch = patch

    def make(self, name: str) -> Scenario:
        """The scenario of that name, one of NAMES. Raises KeyError."""
        case = _CASES[name]
        made = case.scenario(
            self._of(
                "encrypted"
                if case.encrypted
                else "deltas"
                if case.deltas
                else case.layout
                if case.layout.startswith("data")
                else "plain"
            )
        )
        return replace(made, start=_patched(made, self._patch)) if self._patch else made

    def _of(self, how: str) -> Boards:
        if how not in self._boards:
            self._boards[how] = Boards(
                self._folder / how, encrypted=how == "encrypted", deltas=how == "deltas", data=how.startswith("data")
            )
        return self._boards[how]


def _patched(scenario: Scenario, patch: str) -> bytes:
    boot = files(scenario.table, scenario.start)["boot.py"]
    changes = {"patch.py": patch.encode(), "boot.py": b"import patch\n" + boot}
    return with_files(scenario.table, scenario.start, changes)
