"""The data partition of a release: one file, as it is to lie in a partition of boards that allow it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from otactl.errors import ReleaseError, UsageError
from otactl.files import read_named
from otactl.release.folder import SECRET
from otactl.release.targets import DATA
from otactl.workspace.workspace import SETTINGS, Workspace

_NAME = re.compile(r"[0-9A-Za-z_.-]{1,16}\Z")  # a label of a partition table
_MOST = 16 << 20  # bytes; boards read no more
# What boards refuse whatever their configuration says (device/ota/install/data.py), by the names that it usually has.
_OWN = re.compile(r"(nvs|nvs_keys?|otadata|phy_init|coredump|efuse|vfs|ffat|factory|test|ota_\d+)\Z")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person asks `publish` for. `unsafe`: a board with no room for a second copy writes it in place. `chips`: only for
    those; a firmware in the release says it too."""

    partition: str
    file: Path
    unsafe: bool = False
    chips: Sequence[str] = ()

    @classmethod
    def parse(cls, text: str, *, unsafe: bool, chips: Sequence[str]) -> "Asked":
        """Of NAME=FILE. Raises UsageError."""
        name, equals, file = text.partition("=")
        if not equals or not file:
            raise UsageError(f"--data {text}: NAME=FILE, the partition and what is to lie in it")
        return cls(name, Path(file), unsafe, chips)


@dataclass(frozen=True, slots=True)
class Data:
    """`content`: what is to lie in the partition, from its first byte on. `chips`: those that it is for; empty: any."""

    partition: str
    content: bytes
    unsafe: bool = False
    chips: tuple[str, ...] = ()

    def targets(self, version: str, build: str | None) -> list[dict[str, Any]]:
        """One for each chip, or one for any, of a release."""
        common: dict[str, Any] = {
            "kind": DATA,
            "partition": self.partition,
            "url": f"{version}/data-{self.partition}.bin",
            "size": len(self.content),
            "sha256": sha256(self.content).hexdigest(),
        }
        common |= {"unsafe": True} if self.unsafe else {}
        common |= {"build": build} if build else {}
        return [common | {"chip": chip} for chip in self.chips] or [common]

    def notes(self, workspace: Workspace) -> list[str]:
        """What a person should know of it before boards get it."""
        found = []
        if self.partition not in (workspace.board.get("data") or []):
            found.append(
                f"boards that {SETTINGS} configures refuse it: data = [{self.partition!r}] below [board], then "
                "`otactl deploy`, lets releases write that partition"
            )
        if self.unsafe:
            found.append(
                f"unsafe: a board without room for a second copy writes {self.partition} in place, and has neither the old "
                "nor the new data until the release is there"
            )
        return found


def make(asked: Asked, chips: Sequence[str]) -> Data:
    """`chips`: of the firmware beside it. Raises ReleaseError, UsageError."""
    name = asked.partition
    if not _NAME.match(name):
        raise UsageError(f"--data {name}: a partition has a name of letters, digits and _.-, 16 at the most")
    if _OWN.match(name):
        raise UsageError(f"--data {name}: boards never let a release write that partition: use one of your own")
    if asked.chips and chips:
        raise UsageError("--chip is for a release without firmware: the firmware beside it says for which chip it is")
    content = read_named(asked.file)
    if not 0 < len(content) <= _MOST:
        raise ReleaseError(f"{asked.file} has {len(content)} bytes: a data partition gets 1 to {_MOST}")
    if SECRET in content:
        raise ReleaseError(f"{asked.file} has a private key in it, and whoever can fetch the release can read it")
    return Data(name, content, asked.unsafe, tuple(dict.fromkeys([*asked.chips, *chips])))
