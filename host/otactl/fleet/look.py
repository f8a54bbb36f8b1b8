"""The fleet at one moment: what was heard, joined with the names that people gave and the versions that were published."""

import functools
import json
from collections.abc import Collection
from pathlib import Path

from otactl.errors import ReleaseError
from otactl.fleet import table
from otactl.fleet.names import Names
from otactl.fleet.store import Store
from otactl.fleet.table import Row
from otactl.release import drafts, envelope, ledger
from otactl.workspace import dsse
from otactl.workspace.workspace import Workspace

_VERSIONS = "versions"  # the setting that keeps what was offered: a channel names the next release soon


def rows(place: Workspace, store: Store, now: float, names: Names | None = None) -> list[Row]:
    """A row for each board that was heard, by name. `now`: seconds since 1970; `names`: of the same workspace, for who asks
    often. Raises UsageError where boards.toml, boards.csv or the memory is damaged."""
    known, said = versions(place, store), names or Names(place.root)
    found = []
    for seen in store.boards():
        name, cohort = said.of(seen.said.id)
        found.append(table.row(seen, name=name, cohort=cohort, versions=known, now=now))
    return sorted(found, key=lambda row: (row.name, row.id))


def versions(place: Workspace, store: Store) -> dict[int, str]:
    """Of the releases that were published here, or offered by this server, by sequence."""
    return _kept(store) | {
        sequence: version for sequence, version in (named_in(path) for path in ledger.signed_files(place)) if sequence
    }


def named_in(path: Path) -> tuple[int, str]:
    """(sequence, version) of the release in a signed file, for people: nobody's signature is looked at. (0, "") where there is
    none."""
    try:
        found = path.stat()
        return _named_in(path, found.st_mtime_ns, found.st_size)
    except OSError:
        return 0, ""


def keep(store: Store, sequence: int, version: str) -> None:
    """Remember what is offered."""
    known = _kept(store)
    if known.get(sequence) != version:
        store.put(_VERSIONS, json.dumps({**known, sequence: version}))


def forget_drafts(store: Store, keep: Collection[int]) -> None:
    """The versions of drafts but those of the sequences `keep`: each save makes one."""
    known = _kept(store)
    left = {number: name for number, name in known.items() if number in keep or not drafts.sequence_in(name)}
    if left != known:
        store.put(_VERSIONS, json.dumps(left))


def _kept(store: Store) -> dict[int, str]:
    return {int(sequence): version for sequence, version in json.loads(store.get(_VERSIONS) or "{}").items()}


@functools.lru_cache(maxsize=1024)
def _named_in(path: Path, changed: int, size: int) -> tuple[int, str]:
    try:
        payload = json.loads(dsse.unwrap(path.read_bytes(), envelope.PAYLOAD_TYPE, "release")[0])
        return int(payload["sequence"]), str(payload["version"])
    except (OSError, ReleaseError, ValueError, KeyError, TypeError):
        return 0, ""
