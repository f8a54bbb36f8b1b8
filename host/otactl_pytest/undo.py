"""What a test of updates changes on a board, kept before and put back after: the agent, its settings, record and otadata.

The content of the slot that does not run is not kept: it would take minutes over the REPL. So a board that has taken two
releases keeps the last.
"""

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from otactl.board.slots_layout import SECTOR, Part
from otactl.board.slots_repl import ReplSource
from otactl.errors import BoardError

if TYPE_CHECKING:
    from otactl_pytest.board import Board

_HEAD = 4096  # bytes of a slot's image by which it is known again
_FOLDERS = ("/lib/ota", "/etc/ota")
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
_RECORD = """
from esp32 import NVS
from binascii import b2a_base64, a2b_base64
_n = NVS("ota")
_BLOBS, _NUMBERS = ("job0", "job1", "state0", "state1"), ("offset", "proven")
def _kept():
    found = {}
    b = bytearray(1500)
    for k in _BLOBS:
        try:
            found[k] = b2a_base64(bytes(b[:_n.get_blob(k, b)])).decode()
        except OSError:
            pass
    for k in _NUMBERS:
        try:
            found[k] = _n.get_i32(k)
        except OSError:
            pass
    return found
def _put(found):
    for k in _BLOBS + _NUMBERS:
        try:
            _n.erase_key(k)
        except OSError:
            pass
    for k, v in found.items():
        if isinstance(v, str):
            _n.set_blob(k, a2b_base64(v))
        else:
            _n.set_i32(k, v)
    _n.commit()
"""


class Undo:
    """Made before the first change, at the board's prompt. `notes`: what `restore` could not put back."""

    def __init__(self, board: "Board") -> None:
        """Raises BoardError, RigError."""
        self._board = board
        self.notes: list[str] = []
        board.to_prompt()
        with board.console.hushed():
            self._files = {path: board.files.get(path) for path in [*self._present(), *_HOOKS] if self._is_there(path)}
            self._record: dict[str, Any] = board.link.value("_kept()", _RECORD)
            source = ReplSource(board.link)
            self._running = source.running
            self._otadata, self._image = self._slot_state(source)

    def forget_record(self) -> None:
        """The agent starts as on a new board: a workspace of a test's own counts its releases from 1."""
        self._set_record({})

    def restore(self) -> None:
        """Raises BoardError, RigError."""
        board = self._board
        board.fresh()
        with board.console.hushed():
            for path in self._present():
                if path not in self._files:
                    board.link.run(f"import os\nos.remove({path!r})")
            for path in _HOOKS:
                if path not in self._files and self._is_there(path):
                    board.link.run(f"import os\nos.remove({path!r})")
            for path, data in self._files.items():
                if not self._is_there(path) or board.files.get(path) != data:
                    board.link.put(path, data)
            self._set_record(self._record)
            moved = self._switch_back(ReplSource(board.link))
        if moved:
            board.reset("hard")

    # --------------------------------------------------------------------------------------------

    def _set_record(self, found: dict[str, Any]) -> None:
        self._board.link.run(f"{_RECORD}\n_put({found!r})")

    def _present(self) -> list[str]:
        link = self._board.link
        return [path for folder in _FOLDERS for path in link.value(f"_walk({folder!r})", _WALK)]

    def _is_there(self, path: str) -> bool:
        return bool(self._board.link.value(f"_there({path!r})", _THERE))

    def _slot_state(self, source: ReplSource) -> tuple[bytes, str]:
        """otadata, and what the running slot holds."""
        row = _otadata(source)
        return (source.read(row.offset, 2 * SECTOR) if row else b""), self._head(source)

    def _head(self, source: ReplSource) -> str:
        running = next(part for part in source.parts() if part.name == self._running)
        return sha256(source.read(running.offset, _HEAD)).hexdigest()

    def _switch_back(self, source: ReplSource) -> bool:
        """Whether otadata was put back as it was, so that the board has to start anew."""
        row = _otadata(source)
        if row is None or source.read(row.offset, 2 * SECTOR) == self._otadata:
            return False
        if self._head(source) != self._image:
            self.notes.append(
                f"{self._running} of {self._board.name} holds another image now: the board keeps what runs"
            )
            return False
        source.write(row.offset, self._otadata)
        return True


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


def settings_of(board: "Board") -> dict[str, Any]:
    """The configuration of the agent that the board has, {} without one. Raises BoardError, RigError."""
    try:
        found: dict[str, Any] = json.loads(board.files.get("/etc/ota/config.json"))
    except (BoardError, ValueError):
        return {}
    return found
