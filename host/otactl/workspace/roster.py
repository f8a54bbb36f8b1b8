"""The boards that a workspace knows, by name: boards.toml beside otactl.toml. Which of them a command's words mean."""

import difflib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from otactl.errors import UsageError
from otactl.workspace import roster_file

ALL, AUTO = roster_file.RESERVED


@dataclass(frozen=True, slots=True)
class Entry:
    """One board.

    `name`: of boards.toml, or the device string itself for a board that is not in it. `device`: as
    mpremote takes it, or mac:24:0a:c4:12:34:56 for one that is to be looked for. `chip` as esptool
    spells it. `features`: "wifi", "loopback:4-5" (GPIO out-in), "power", words of your own.
    `power`: uhubctl:PLACE, http:ON_URL OFF_URL, external:COMMAND, manual. `slow`: how many times
    slower than usual it, or its link, is. `cohort`: of a rollout, "" for that of all others.
    """

    name: str
    device: str
    chip: str = ""
    mac: str = ""
    tags: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    power: str = ""
    slow: float = 1.0
    cohort: str = ""


class Roster:
    """boards.toml of a workspace. An absent file is an empty roster."""

    def __init__(self, path: Path) -> None:
        """Raises UsageError where the file is not as it must be."""
        self.path = path
        self._document = roster_file.read(path)
        self.entries: tuple[Entry, ...] = ()
        for row in roster_file.rows(self._document, path):
            self._require_new(found := _entry(row))
            self.entries += (found,)

    @classmethod
    def load(cls, root: Path) -> Self:
        """Of the workspace whose folder is `root`. Raises UsageError."""
        return cls(root / roster_file.NAME)

    def chosen(self, words: Sequence[str], tags: Sequence[str] = ()) -> tuple[Entry, ...]:
        """The boards that names, devices and `all` mean, and those that have one of `tags`; each once.

        Neither words nor tags: `auto`. `all` beside tags means those with the tags. Raises UsageError.
        """
        found: list[Entry] = []
        for word in words or ([] if tags else [AUTO]):
            if word != ALL:
                found.append(self.one(word))
            elif not self.entries:
                raise UsageError(f"all: there are no boards in {self.path}; `otactl boards discover` writes it")
            elif not tags:
                found += self.entries
        for tag in tags:
            found += self._tagged(tag)
        first: dict[str, Entry] = {}
        for entry in found:
            first.setdefault(roster_file.place(entry.device), entry)
        once = tuple(first.values())
        if len(once) > 1 and any(entry.device == AUTO for entry in once):
            raise UsageError("auto means one board: name it, as the others")
        return once

    def one(self, word: str) -> Entry:
        """The board of that name, or at that device. Raises UsageError for a name that nobody has."""
        at = roster_file.place(word)
        for entry in self.entries:
            if word == entry.name or at == roster_file.place(entry.device):
                return entry
        if roster_file.is_device(word) or os.path.exists(word):
            return Entry(word, word)
        if not self.entries:
            raise UsageError(
                f"no board {word!r}: no port has that name, and no board is named in {self.path} (-w FOLDER?)"
            )
        close = difflib.get_close_matches(word, [entry.name for entry in self.entries], 1)
        advice = f"is it {close[0]}?" if close else "`otactl boards` lists them"
        raise UsageError(f"no board {word!r} in {self.path}: {advice}")

    def _tagged(self, tag: str) -> list[Entry]:
        found = [entry for entry in self.entries if tag in entry.tags]
        if not found:
            known = sorted({one for entry in self.entries for one in entry.tags})
            raise UsageError(f"no board in {self.path} has the tag {tag!r} (tags: {', '.join(known) or 'none'})")
        return found

    def add(self, entry: Entry) -> None:
        """Take a board in, or what is new of the one of that name; `save` writes it. Raises UsageError."""
        row = _row(entry)
        roster_file.check(row, f"{self.path}: board {entry.name}")
        at = next((n for n, one in enumerate(self.entries) if one.name == entry.name), len(self.entries))
        self._require_new(entry, but=at)
        self.entries = (*self.entries[:at], entry, *self.entries[at + 1 :])
        roster_file.put(self._document, row)

    def save(self) -> None:
        """Write the file; what a person wrote into it beside stays. Raises OSError with the path."""
        roster_file.write(self._document, self.path)

    def _require_new(self, entry: Entry, *, but: int = -1) -> None:
        for at, other in enumerate(self.entries):
            if at == but:
                continue
            if other.name == entry.name:
                raise UsageError(f"{self.path}: two boards are called {entry.name}: give one another name")
            there = roster_file.long_form(other.device) == roster_file.long_form(entry.device)
            same = "device" if there else "mac" if entry.mac and other.mac == entry.mac else ""
            if same:
                raise UsageError(
                    f"{self.path}: {other.name} and {entry.name} have the same {same}, {getattr(entry, same)}: "
                    "remove one of them"
                )


def _entry(row: dict[str, Any]) -> Entry:
    mac = roster_file.plain_mac(row.get("mac", ""))
    return Entry(
        name=row["name"],
        device=row.get("port") or (f"id:{row['serial']}" if "serial" in row else f"mac:{mac}"),
        chip=row.get("chip", ""),
        mac=mac,
        tags=tuple(row.get("tags", ())),
        features=tuple(row.get("features", ())),
        power=row.get("power", ""),
        slow=float(row.get("slow", 1.0)),
        cohort=row.get("cohort", ""),
    )


def _row(entry: Entry) -> dict[str, Any]:
    """The same as a table of boards.toml: no key without a value."""
    kind, _, rest = entry.device.partition(":")
    place = {"id": {"serial": rest}, "mac": {}}.get(kind, {"port": entry.device})
    row = {
        "name": entry.name,
        **place,
        "mac": entry.mac or (rest if kind == "mac" else ""),
        "chip": entry.chip,
        "tags": list(entry.tags),
        "features": list(entry.features),
        "power": entry.power,
        "slow": entry.slow if entry.slow != 1 else None,
        "cohort": entry.cohort,
    }
    return {key: value for key, value in row.items() if value}
