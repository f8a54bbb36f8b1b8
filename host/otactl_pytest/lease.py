"""Which boards a session may take, and taking one of them so that no other session of this user's has it meanwhile."""

import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout
from otactl.board import ports
from otactl.errors import RigError, UsageError
from otactl.workspace.roster import AUTO, Entry, Roster

VIRTUAL = "virtual"
_POLL_S = 0.2

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Lease:
    """A board that is ours until `release`, or until this process ends, however it does."""

    entry: Entry
    _lock: FileLock | None = None

    def release(self) -> None:
        if self._lock:
            Path(f"{self._lock.lock_file}.by").unlink(missing_ok=True)
            self._lock.release()


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
        for entry in entries:
            if lease := _taken(entry, folder or _folder()):
                return lease
        if time.monotonic() >= until:
            raise RigError(f"no board is free after {wait_s:g} s: {_holders(entries, folder or _folder())}")
        if not told:
            told = True
            tell(f"waiting {wait_s:g} s at most for a board: {_holders(entries, folder or _folder())}")
        time.sleep(_POLL_S)


def _taken(entry: Entry, folder: Path) -> Lease | None:
    if is_virtual(entry.device):
        return Lease(entry)
    path = _lock_file(entry, folder)
    lock = FileLock(path, timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        return None
    with contextlib.suppress(OSError):  # for people only
        Path(f"{path}.by").write_text(f"process {os.getpid()} in {Path.cwd()}")
    return Lease(entry, lock)


def _folder() -> Path:
    """A place of this user's that all sessions on this machine find."""
    owner = os.getuid() if hasattr(os, "getuid") else "me"
    made = Path(tempfile.gettempdir()) / f"otactl-boards-{owner}"
    made.mkdir(mode=0o700, exist_ok=True)
    return made


def _lock_file(entry: Entry, folder: Path) -> Path:
    """One file a port, whatever name leads to it."""
    place = entry.device
    if "://" not in place and not place.startswith("mac:"):
        with contextlib.suppress(RigError):  # it is not there: opening it will say so
            place = os.path.realpath(ports.candidates(place)[0])
    return folder / f"{hashlib.sha256(place.encode()).hexdigest()[:16]}.lock"


def _holders(entries: Sequence[Entry], folder: Path) -> str:
    said = []
    for entry in entries:
        by = Path(f"{_lock_file(entry, folder)}.by")
        with contextlib.suppress(OSError):
            said.append(f"{entry.name} is held by {by.read_text()}")
    return "; ".join(said) or ", ".join(entry.name for entry in entries)


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
