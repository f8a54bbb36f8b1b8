"""What a test of updates changes on a board, kept before and put back after: the agent, its settings, record and otadata.

The content of the slot that does not run is not kept: it would take minutes over the REPL. So a board that has taken two
releases keeps the last; and otadata, put back, names no other slot than those that hold what it vouched for (P4, P5).
"""

import contextlib
import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from otactl.board.slots_layout import ENTRY_SIZE, NEW, PENDING, SECTOR, Entries, Entry, Part, active, named
from otactl.board.slots_repl import ReplSource
from otactl.board.snippets import RECORD
from otactl.errors import BoardError
from otactl.workspace import device_key

if TYPE_CHECKING:
    from otactl_pytest.board import Board

_HEAD = 4096  # bytes of an image by which one that does not run is known again
_HASH_S = 60.0  # for all of a slot
_BLANK = b"\xff" * SECTOR
_FOLDERS = ("/lib/ota", "/etc/ota")
_KEYS = {"client": "/etc/ota/client.key", "encryption": device_key.ON_BOARD}  # unless the configuration says otherwise
_HOOKS = ("/boot.py", "/main.py")
_WALK = """
import os
def _walk(path):
    found = []
    try:
        for entry in os.ilistdir(path):
            name = path + "/" + entry[0]
            found += _walk(name) if entry[1] & 0x4000 else [name]
    except OSError:
        pass
    return found
"""
_HASH = """
from hashlib import sha256
from esp32 import Partition
def _whole(name):
    part = [p for p in Partition.find(Partition.TYPE_APP) if p.info()[4] == name][0]
    block, found = bytearray(4096), sha256()
    for number in range(part.info()[3] // 4096):
        part.readblocks(number, block)
        found.update(block)
    return list(found.digest())
"""


class Undo:
    """Made before the first change, at the board's prompt. `notes`: what `restore` could not put back."""

    def __init__(self, board: "Board") -> None:
        """Raises BoardError, also for a board that is on trial: its reset would end that; RigError."""
        self._board = board
        self.notes: list[str] = []
        self._moved = False  # otadata was put back: the board has to start anew
        board.to_prompt()
        with board.console.hushed():
            source = ReplSource(board.link)
            _require_no_trial(source, board.name)
            self._running = source.running
            self._otadata = _read_otadata(source)
            self._heads = {part.name: _head(source, part) for part in _slots(source)}
            self._image = self._whole()
            self._files = {path: board.files.get(path) for path in [*self._present(), *_HOOKS] if self._is_there(path)}
            self._record: dict[str, Any] = board.link.value("_record()", RECORD)

    def forget_record(self) -> None:
        """The agent starts as on a new board: a workspace of a test's own counts its releases from 1."""
        self._set_record({})

    def restore(self) -> None:
        """One step that fails keeps none of the others from it. Raises BoardError with all that failed; RigError."""
        failed = []
        self._board.fresh()
        with self._board.console.hushed():
            for step in (self._restore_files, lambda: self._set_record(self._record), self._switch_back):
                try:
                    step()
                except BoardError as error:
                    failed.append(str(error))
        if self._moved:
            self._board.reset("hard")
        if failed:
            raise BoardError(f"{self._board.name} is not as it was before its updates: {'; '.join(failed)}")

    # --------------------------------------------------------------------------------------------

    def _restore_files(self) -> None:
        board = self._board
        for path in [*self._present(), *_HOOKS]:
            if path not in self._files and self._is_there(path):
                board.link.run(f"import os\nos.remove({path!r})")
        for path, data in self._files.items():
            if not self._is_there(path) or board.files.get(path) != data:
                board.link.put(path, data)

    def _set_record(self, found: dict[str, Any]) -> None:
        self._board.link.run(f"{RECORD}\n_set_record({found!r})")

    def _present(self) -> list[str]:
        link = self._board.link
        return [path for folder in _FOLDERS for path in link.value(f"_walk({folder!r})", _WALK)]

    def _is_there(self, path: str) -> bool:
        return bool(self._board.link.value(f"_there({path!r})", _THERE))

    def _whole(self) -> str:
        """The hash of all that lies in the slot that ran at first: it is read back before otadata names it again (P3)."""
        return bytes(self._board.link.value(f"_whole({self._running!r})", _HASH, timeout_s=_HASH_S)).hex()

    def _switch_back(self) -> None:
        """otadata as it was, as far as what it vouches for is there still; the sector that decides now is written last."""
        source = ReplSource(self._board.link)
        found = _read_otadata(source)
        if found == self._otadata:
            return
        if self._whole() != self._image:
            self.notes.append(
                f"{self._running} of {self._board.name} holds another image now: the board keeps what runs"
            )
            return
        row, wanted = _otadata(source), self._vouched(source)
        now = active(_entries(found))
        for at in (0, 1) if now else (1, 0):
            if row and found[at] != wanted[at]:
                source.write(row.offset + at * SECTOR, wanted[at])
                self._moved = True

    def _vouched(self, source: ReplSource) -> list[bytes]:
        """The two sectors as they were, blank where one named a slot that holds something else now."""
        slots = _slots(source)
        kept = []
        for sector, entry in zip(self._otadata, _entries(self._otadata), strict=True):
            slot = slots[named(entry, len(slots))]
            same = slot.name == self._running or _head(source, slot) == self._heads[slot.name]
            kept.append(sector if entry.blank or same else _BLANK)
        return kept


_THERE = """
import os
def _there(path):
    try:
        return bool(os.stat(path))
    except OSError:
        return False
"""


def _otadata(source: ReplSource) -> Part | None:
    return next((part for part in source.parts() if part.is_otadata), None)


def _read_otadata(source: ReplSource) -> list[bytes]:
    """Its two sectors; blank ones where the table has none."""
    row = _otadata(source)
    return [source.read(row.offset + at, SECTOR) if row else _BLANK for at in (0, SECTOR)]


def _entries(sectors: list[bytes]) -> Entries:
    first, second = (Entry.parse(sector[:ENTRY_SIZE]) for sector in sectors)
    return first, second


def _slots(source: ReplSource) -> list[Part]:
    """The OTA slots by their numbers."""
    return sorted((part for part in source.parts() if part.is_slot), key=lambda part: part.subtype)


def _head(source: ReplSource, part: Part) -> str:
    return sha256(source.read(part.offset, _HEAD)).hexdigest()


def _require_no_trial(source: ReplSource, name: str) -> None:
    """Raises BoardError where a reset would end a trial, or begin one."""
    entries = _entries(_read_otadata(source))
    now = active(entries)
    if now is not None and entries[now].state in (NEW, PENDING):
        raise BoardError(f"{name} is on trial: `otactl confirm` or `otactl rollback` it before its updates are tested")


def settings_of(board: "Board") -> dict[str, Any]:
    """The configuration of the agent that the board has, {} without one. Raises BoardError, RigError."""
    try:
        found: dict[str, Any] = json.loads(board.files.get("/etc/ota/config.json"))
    except (BoardError, ValueError):
        return {}
    return found


def keys_of(board: "Board", config: dict[str, Any]) -> list[bytes]:
    """The files with private keys that a board's configuration names. Raises RigError."""
    entries = {name: config.get(name) for name in ("client", "encryption")}
    paths = [one.get("key", _KEYS[name]) for name, one in entries.items() if isinstance(one, dict)]
    found = []
    for path in paths:
        with contextlib.suppress(BoardError):  # it is not there
            found.append(board.files.get(path))
    return found
