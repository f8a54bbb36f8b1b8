"""The engine that a workspace names: [engine] in otactl.toml, and its password, which may stand in the environment."""

import os
from typing import Any

from otactl.engine.calls import Calls
from otactl.engine.goosebit import Goosebit
from otactl.engine.hawkbit import Hawkbit
from otactl.engine.model import Engine
from otactl.errors import UsageError
from otactl.workspace import authorities
from otactl.workspace.workspace import SETTINGS, Workspace

PASSWORD = "OTACTL_ENGINE_PASSWORD"
_KEYS = ("kind", "url", "tenant", "user", "password", "group")
_KINDS: dict[str, type[Goosebit | Hawkbit]] = {"goosebit": Goosebit, "hawkbit": Hawkbit}


def engine(place: Workspace) -> Engine:
    """Raises UsageError where otactl.toml names none, or it does not let us in; RigError where it does not answer."""
    said = _said(place)
    user = said.get("user") or os.environ.get("OTACTL_ENGINE_USER", "")
    password = os.environ.get(PASSWORD) or said.get("password", "")
    if not user:
        raise UsageError(f"who asks the engine? `user` below [engine] in {SETTINGS}")
    if not password:
        raise UsageError(f"the engine asks for the password of {user}: put it into {PASSWORD} in the environment")
    calls = Calls(said["url"], authorities.bundle(place))
    return _KINDS[said.get("kind", "goosebit")](calls, user, password)


def group(place: Workspace, asked: str | None) -> str:
    """The boards that are meant: of `asked`, else of otactl.toml, else "default"."""
    return asked or str(_said(place).get("group", "default"))


def groups(place: Workspace, asked: str | None) -> list[str]:
    """The same of several, in their order: "canary,class". Raises UsageError."""
    found = group(place, asked).split(",")
    if not all(found) or len(set(found)) < len(found):
        raise UsageError(f"--group {asked}: names with commas between them, each once, as canary,class")
    return found


def is_goosebit(place: Workspace) -> bool:
    return str(_said(place).get("kind", "goosebit")) == "goosebit"


def _said(place: Workspace) -> dict[str, Any]:
    said, path = place.engine, place.root / SETTINGS
    if not said:
        raise UsageError(f"{path} names no engine: `url` and `user` below [engine], see docs/fleet-engines.md")
    for name, value in said.items():
        if name not in _KEYS or not isinstance(value, str):
            raise UsageError(f"{path}: [engine] {name} is unknown, or no text (known: {', '.join(_KEYS)})")
    if not said.get("url", "").startswith(("http://", "https://")):
        raise UsageError(f"{path}: [engine] url is no http(s) address")
    if said.get("kind", "goosebit") not in _KINDS:
        raise UsageError(f"{path}: [engine] kind is one of {', '.join(_KINDS)}")
    return said
