"""What boards show to a fleet engine: engine/NAME.token, one for each board, which `otactl engine add` makes."""

import re
import secrets
from pathlib import Path

from otactl.errors import UsageError
from otactl.files import write_atomic
from otactl.workspace.create import keep_secret
from otactl.workspace.workspace import Workspace

_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}\Z")  # a file name, and part of an address
_BYTES = 16  # as hex digits, 32 characters: gooseBit stores no more


def make(place: Workspace, name: str) -> str:
    """That of a board, which stays what it was. Raises UsageError for a name that is no file's."""
    if not _NAME.match(name):
        raise UsageError(f"{name!r}: a board's name in boards.toml, of letters, digits and ._- only")
    known = of(place, name)
    if known:
        return known
    made = secrets.token_hex(_BYTES)
    path = _file(place, name)
    path.parent.mkdir(exist_ok=True)
    keep_secret(place.root)
    write_atomic(path, made.encode(), 0o600)
    return made


def of(place: Workspace, name: str) -> str | None:
    """None where it has none."""
    path = _file(place, name)
    return path.read_text().strip() if _NAME.match(name) and path.is_file() else None


def _file(place: Workspace, name: str) -> Path:
    return place.root / "engine" / f"{name}.token"
