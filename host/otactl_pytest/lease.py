"""Which boards a session may take, and taking one of them so that no other session of this user's has it meanwhile."""

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from otactl.board import lock, ports
from otactl.errors import RigError, UsageError
from otactl.workspace.roster import AUTO, Entry, Roster

VIRTUAL = "virtual"
_POLL_S = 0.2

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Lease:
    """A board that is ours until `release`, or until this process ends, however it does."""

    entry: Entry
    _hold: lock.Hold | None = None

    def release(self) -> None:
        if self._hold:
            self._hold.release()


def pool(words: Sequence[str], boards_file: Path, tags: Sequence[str] = ()) -> tuple[Entry, ...]:
    """The boards that `--board` words mean and those with a tag, one entry each; `auto` means every USB port.

    Raises UsageError, RigError.
    """
    roster = Roster(boards_file)
    found: list[Entry] = []
    for word in words:
        if is_virtual(word):
            found.append(Entry(word, word))
        elif word == AUTO:
            found += [Entry(path, path) for path in ports.candidates(AUTO)]
        else:
            found += roster.chosen([word])
    if tags:
        found += roster.chosen([], tags)
    return tuple(dict.fromkeys(found))


def is_virtual(device: str) -> bool:
    return device.partition(":")[0] == VIRTUAL


def named(device: str, boards_file: Path) -> Entry:
    """What boards.toml knows of a device that came from elsewhere (a fixture of yours). Raises UsageError."""
    known = next((entry for entry in Roster(boards_file).entries if entry.device == device), None)
    return known or Entry(device, device)


def take(entries: Sequence[Entry], wait_s: float, tell: Tell = lambda _: None, folder: Path | None = None) -> Lease:
    """The first of the boards that is free, within `wait_s` seconds; `tell` is told once that it has to be waited for.

    A virtual board is always free: each session has its own. Raises RigError.
    """
    if not entries:
        raise UsageError("no board to take: name one with --board")
    until, told = time.monotonic() + wait_s, False
    while True:
        held: list[str] = []
        for entry in entries:
            if lease := _taken(entry, folder, held):
                return lease
        if time.monotonic() >= until:
            raise RigError(f"no board is free after {wait_s:g} s: {'; '.join(held)}")
        if not told:
            told = True
            tell(f"waiting {wait_s:g} s at most for a board: {'; '.join(held)}")
        time.sleep(_POLL_S)


def _taken(entry: Entry, folder: Path | None, held: list[str]) -> Lease | None:
    """None where another session has it, or another otactl; `held` is told of that."""
    if is_virtual(entry.device):
        return Lease(entry)
    place = entry.device
    with contextlib.suppress(RigError):  # it is not there: opening it will say so
        place = place if place.startswith("mac:") else ports.candidates(place)[0]
    try:
        return Lease(entry, lock.take(place, folder, session=True))
    except lock.InUse as error:
        held.append(f"{entry.name} is held by {error.holder}")
        return None


def with_options(
    entry: Entry, *, chip: str = "", power: str = "", features: Sequence[str] = (), slow: float | None
) -> Entry:
    """What the command line says of the board goes before boards.toml."""
    return replace(
        entry,
        chip=chip or entry.chip,
        power=power or entry.power,
        features=tuple(dict.fromkeys([*entry.features, *features])),
        slow=slow or entry.slow,
    )
