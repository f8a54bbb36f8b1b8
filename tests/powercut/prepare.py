"""Makes the scenarios by their names."""

from dataclasses import replace
from pathlib import Path

from powercut import layouts, two
from powercut.boards import Boards
from powercut.scenario import Scenario, mounted, row

_MAKERS = {maker.__name__.replace("_", "-"): maker for maker in (*two.MAKERS, *layouts.MAKERS)}
NAMES = tuple(_MAKERS)


class Scenarios:
    """Makes them in `folder`; each needs a few boots of a board. `patch`: lines for a faulty agent."""

    def __init__(self, folder: Path, patch: str = "") -> None:
        self._boards = Boards(folder)
        self._patch = patch

    def make(self, name: str) -> Scenario:
        """The scenario of that name, one of NAMES. Raises KeyError."""
        made = _MAKERS[name](self._boards)
        return replace(made, start=_patched(made, self._patch)) if self._patch else made


def _patched(scenario: Scenario, patch: str) -> bytes:
    """Written from outside, so that no boot changes what the scenario starts from."""
    vfs = mounted(scenario.start, scenario.table)
    with vfs.open("boot.py", "rb") as file:
        boot = file.read()
    for name, text in (("patch.py", patch.encode()), ("boot.py", b"import patch\n" + boot)):
        with vfs.open(name, "wb") as file:
            file.write(text)
    at = row(scenario.table, "vfs")
    return scenario.start[: at.offset] + bytes(vfs.context.buffer) + scenario.start[at.offset + at.size :]
