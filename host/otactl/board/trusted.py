"""What a board trusts, by its keys.json: the version of its trust document, and the keys."""

import json
from base64 import b64decode
from dataclasses import dataclass
from typing import Any

from otactl.board.link import Link
from otactl.errors import BoardError
from otactl.workspace import trust
from otactl.workspace.workspace import Workspace

KEYS = "/etc/ota/keys.json"
_READ = """
from binascii import b2a_base64
def _keys(path):
    try:
        with open(path, "rb") as f:
            return b2a_base64(f.read()).decode()
    except OSError:
        return ""
"""


@dataclass(frozen=True, slots=True)
class Trusted:
    """`keyids`: of all its keys. `roles`: root and release, each with keyids and threshold; in version 1 none is told apart."""

    version: int
    keyids: frozenset[str]
    roles: tuple[trust.Role, ...]


def parse(text: bytes | str) -> Trusted:
    """The content of keys.json. Raises ValueError where it is none."""
    try:
        held: dict[str, Any] = json.loads(text)
        version = held.get("version", 1)
        if version == 1:
            return Trusted(1, frozenset(name.lower() for name in held), ())
        roles = tuple(_role(held[name]) for name in trust.ROLES)
        return Trusted(int(version), frozenset(name.lower() for name in held["keys"]), roles)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(str(error)) from None


def _role(held: dict[str, Any]) -> trust.Role:
    return trust.Role(tuple(sorted(name.lower() for name in held["keys"])), int(held["threshold"]))


def require_not_ahead(link: Link, place: Workspace) -> None:
    """Raises BoardError where the board has a trust document that this workspace does not: to write an older one over it would
    bring back keys that somebody has retired.
    """
    raw = b64decode(link.value(f"_keys({KEYS!r})", _READ))
    try:
        there = parse(raw)
    except ValueError:  # none, or damaged: a deployment mends it
        return
    here = parse(trust.for_board(trust.current(place)))
    if there.version > here.version:
        found = f"it has trust document {there.version}, this workspace {here.version}"
    elif there.version == here.version > 1 and there != here:
        found = f"it has another trust document {there.version} than this workspace"
    else:
        return
    raise BoardError(
        f"the board at {link.device} trusts keys by a change that was made elsewhere: {found}. Copy keys/trust.json, keys/*.json "
        "and releases/trust/ from the machine that made it, or, to start anew with the keys of this workspace, "
        "`otactl deploy --replace-keys`"
    )
