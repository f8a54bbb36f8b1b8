"""What people call the boards, and which cohort each is in: by the chip's address, from boards.toml and boards.csv."""

import csv
from pathlib import Path

from otactl.errors import UsageError
from otactl.fleet.table import UNKNOWN
from otactl.words import reason
from otactl.workspace import roster_file
from otactl.workspace.roster import Roster

CSV = "boards.csv"
_HEADS = ("mac", "address")
Known = dict[str, tuple[str, str]]  # a board's id -> its name, its cohort


class Names:
    """Of the workspace whose folder is `root`. The files are read again once they have changed. boards.toml counts where both
    name a board. While one is damaged, what it said before holds."""

    def __init__(self, root: Path) -> None:
        """Raises UsageError where a file is not as it must be."""
        self._files = {root / roster_file.NAME: _of_roster, root / CSV: _of_csv}
        self._stamps: dict[Path, tuple[int, int] | None] = {}
        self._known: dict[Path, Known] = {}
        self.trouble: dict[Path, str] = {}  # file -> what is wrong with it now
        for path in self._files:
            self._refresh(path)
        for fault in self.trouble.values():
            raise UsageError(fault)

    def of(self, board: str) -> tuple[str, str]:
        """(name, cohort) of the board that calls itself `board`; a stranger's name is its id."""
        for path in self._files:
            self._refresh(path)
            if found := self._known[path].get(board.lower()):
                return found
        return board, UNKNOWN

    def every(self) -> Known:
        """All boards that the files name."""
        for path in self._files:
            self._refresh(path)
        return {board: self.of(board) for known in self._known.values() for board in known}

    def _refresh(self, path: Path) -> None:
        stamp = _stamp(path)
        if path in self._stamps and self._stamps[path] == stamp:
            return
        self._stamps[path] = stamp
        try:
            self._known[path] = self._files[path](path)
            self.trouble.pop(path, None)
        except UsageError as error:
            self._known.setdefault(path, {})
            self.trouble[path] = str(error)


def is_named(board: str, name: str, cohort: str) -> bool:
    """Whether a person has named the board, by what Names.of() says of it."""
    return name != board or cohort != UNKNOWN


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _of_roster(path: Path) -> Known:
    entries = Roster(path).entries
    return {_id(entry.mac): (entry.name, entry.cohort or UNKNOWN) for entry in entries if entry.mac}


def _of_csv(path: Path) -> Known:
    """Lines of an address, a name and a cohort, which may be left out; raises UsageError with the line."""
    found: Known = {}
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return found
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: {reason(error)}") from None
    for number, cells in enumerate(csv.reader(text.splitlines()), 1):
        words = [cell.strip() for cell in cells]
        if _names_none(words, number):
            continue
        mac, name, cohort = (*words, "", "", "")[:3]
        row = {"mac": mac, "name": name} | ({"cohort": cohort} if cohort else {})
        roster_file.check(row, f"{path}, line {number}")
        found[_id(mac)] = name, cohort or UNKNOWN
    return found


def _names_none(words: list[str], number: int) -> bool:
    """Whether a line is blank, for people, or the heading that a spreadsheet writes."""
    if not any(words) or words[0].startswith("#"):
        return True
    return number == 1 and words[0].lower() in _HEADS


def _id(mac: str) -> str:
    """As a board says it: `machine.unique_id()` of an ESP32 is its address."""
    return roster_file.plain_mac(mac).replace(":", "")
