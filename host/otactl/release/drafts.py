"""Releases that no channel names and no list has, for boards that are named in them: drafts/SEQUENCE.json of the workspace.

`otactl dev --wifi` makes them. Beside that, boards take them as any release. This says where they lie; drafting.py makes them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otactl.workspace.workspace import Workspace

FOLDER = "drafts"
_LONGEST = 32  # characters of a version
_MARK = re.compile(r"(?:.*[+.])?dev\.([0-9]+)\Z")


@dataclass(frozen=True, slots=True)
class Draft:
    """What one is to be. `base`: the release on top of which somebody develops; `boards`: the chips' addresses of those that
    may take it."""

    base: str
    boards: Sequence[str]

    def version(self, sequence: int) -> str:
        """1.4.0+dev.17, with build metadata as Semantic Versioning 2.0.0, 10 has it."""
        made = f"{self.base}{'.' if '+' in self.base else '+'}dev.{sequence}"
        return made if len(made) <= _LONGEST else f"dev.{sequence}"

    def only_for(self) -> dict[str, Any]:
        """What each of its targets says, and boards hold it to."""
        return {"boards": list(self.boards)}


def sequence_in(version: str) -> int:
    """Of a draft, by its name; 0 where that is none's."""
    found = _MARK.match(version)
    return int(found[1]) if found else 0


def path(place: Workspace, sequence: int) -> Path:
    """The signed envelope of a draft."""
    return place.root / FOLDER / f"{sequence}.json"


def sequences(place: Workspace) -> list[int]:
    """Of all drafts that are kept, the lowest first."""
    return sorted(int(one.stem) for one in (place.root / FOLDER).glob("*.json") if one.stem.isdigit())


def highest(place: Workspace) -> int:
    """Boards that have it go to no lower one; 0 where there is none."""
    return max(sequences(place), default=0)
