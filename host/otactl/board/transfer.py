"""A file or a folder onto a board, in commands that its raw REPL runs."""

import base64
import contextlib
import re
from collections.abc import Callable
from hashlib import sha256

from otactl.errors import BoardError

_CHUNK = 2048  # bytes of a file at a time: a third more as base64 in one command
UNFINISHED = ".new"  # behind the name of a file that is not whole yet
_NO_ROOM = re.compile(r"ENOSPC|\[Errno 28\]|OSError: 28\b")

_FOLDER = """
import os
try:
    os.mkdir({path!r})
except OSError as e:
    if e.args[0] != 17:  # EEXIST
        raise
"""
_OPEN = """
import os, hashlib
from binascii import a2b_base64 as _b
_f = open({part!r}, "wb")
_h = hashlib.sha256()
def _w(s):
    s = _b(s)
    _f.write(s)
    _h.update(s)
"""
_CLOSE = """
_f.close()
if _h.digest() != {digest!r}:
    raise ValueError("garbled on the way")
os.rename({part!r}, {path!r})  # onto a file that is there too: littlefs can, MicroPython's FAT does so
"""

Run = Callable[[str], object]


def make_folder(run: Run, path: str) -> None:
    """Make a folder unless it is there. Raises BoardError."""
    try:
        run(_FOLDER.format(path=path))
    except BoardError as error:
        raise _refusal(error, path) from None


def put(run: Run, path: str, data: bytes) -> None:
    """Write a file whole: under another name first, so that a cut leaves the old one.

    What arrived is held against its SHA-256. Raises BoardError, with the code vfs-full where
    there is no room.
    """
    part = path + UNFINISHED
    try:
        run(_OPEN.format(part=part))
        for at in range(0, len(data), _CHUNK):
            run(f"_w({base64.b64encode(data[at : at + _CHUNK])!r})")
        run(_CLOSE.format(part=part, path=path, digest=sha256(data).digest()))
    except BoardError as error:
        for tidy in ("_f.close()", f"os.remove({part!r})"):
            with contextlib.suppress(BoardError):
                run(tidy)
        raise _refusal(error, f"{path} ({len(data)} bytes)") from None


def _refusal(error: BoardError, what: str) -> BoardError:
    if _NO_ROOM.search(str(error)):
        said = f"vfs-full: no room on the board for {what}: delete files of yours there, then again"
        return BoardError(said, code="vfs-full")
    return BoardError(f"cannot write {what} on the board: {error}")
