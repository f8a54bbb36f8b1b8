"""boards.toml and what was found at the ports: which board is which, by its address, and what is new of it."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from otactl.errors import UsageError
from otactl.workspace import roster_file
from otactl.workspace.roster import Entry, Roster

NEW, CHANGED, KNOWN = "new", "changed", "known"


@dataclass(frozen=True, slots=True)
class Seen:
    """A board that said who it is. `device`: how it is reached from now on, `port`: where it was found, for now."""

    device: str
    port: str
    mac: str
    chip: str


@dataclass(frozen=True, slots=True)
class Merged:
    """What became of a board that was seen. `what`: new, changed, known."""

    entry: Entry
    what: str


def merge(roster: Roster, seen: Sequence[Seen], prefix: str) -> dict[str, Merged]:
    """Bring `roster` up to date, by the device of each board seen. It is not saved.

    A board is known by its address, else by where it is. A port at which another board was found is
    taken away from the one that had it, which is looked for by its address from then on. New ones
    are called PREFIX-01 and so on. Raises UsageError where that is no name.
    """
    before = {id(one): _entry_of(roster, one) for one in seen}
    _free(roster, seen)
    done = {}
    for one in seen:
        old = before[id(one)]
        entry = _new(roster, one, prefix) if old is None else _brought_up(old, one)
        what = NEW if old is None else KNOWN if entry == old else CHANGED
        if what != KNOWN or entry not in roster.entries:
            roster.add(entry)
        done[one.device] = Merged(entry, what)
    return done


def require_prefix(prefix: str) -> None:
    """Raises UsageError where boards cannot be called PREFIX-01."""
    if not roster_file.is_name(_numbered(prefix, 1)):
        raise UsageError(
            f"--name {prefix}: letters, digits and ._- only, 29 at the most, so that boards can be called {prefix}-01"
        )


def _numbered(prefix: str, number: int) -> str:
    return f"{prefix}-{number:02}"


def _entry_of(roster: Roster, seen: Seen) -> Entry | None:
    by_address = (entry for entry in roster.entries if entry.mac == seen.mac)
    by_place = (entry for entry in roster.entries if not entry.mac and entry.device in (seen.device, seen.port))
    return next(by_address, None) or next(by_place, None)


def _free(roster: Roster, seen: Sequence[Seen]) -> None:
    """Take ports away from the entries whose boards are elsewhere, or nowhere."""
    owners = {place: one.mac for one in seen for place in (one.device, one.port)}
    for entry in roster.entries:
        if entry.mac and owners.get(entry.device, entry.mac) != entry.mac:
            roster.add(dataclasses.replace(entry, device=f"mac:{entry.mac}"))


def _brought_up(old: Entry, seen: Seen) -> Entry:
    """What a person wrote stays; a port that was right, a serial number too."""
    is_port = ":" not in old.device
    device = seen.device if is_port and old.device not in (seen.device, seen.port) else old.device
    return dataclasses.replace(old, device=device, mac=seen.mac, chip=old.chip or seen.chip)


def _new(roster: Roster, seen: Seen, prefix: str) -> Entry:
    taken = {entry.name for entry in roster.entries}
    names = (_numbered(prefix, number) for number in range(1, len(taken) + 2))
    return Entry(next(name for name in names if name not in taken), seen.device, chip=seen.chip, mac=seen.mac)
