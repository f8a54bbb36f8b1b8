"""The name under which a board's terminal appears. What else lies at that name is somebody's, and stays."""

import os
from pathlib import Path

from vboard.refused import Refused

_TERMINALS = "/dev/pts/"


def check(path: Path) -> None:
    """Raises Refused unless `path` is free, or a link to a terminal, perhaps one that is gone: a board's before this."""
    if path.is_symlink():
        if os.readlink(path).startswith(_TERMINALS):
            return
    elif not path.exists():
        return
    raise Refused(f"{path} exists and is no port of a virtual board: give another path, or remove it yourself")


def make(path: Path, terminal: str) -> None:
    """Raises Refused as `check`, OSError where `path` cannot be made."""
    check(path)
    path.unlink(missing_ok=True)
    path.symlink_to(terminal)


def remove(path: Path, terminal: str) -> None:
    """Only the link to that terminal: another board may have taken the name since."""
    if path.is_symlink() and os.readlink(path) == terminal:
        path.unlink()
