"""What lies in a board's /etc/ota: its configuration, the keys and authorities that it trusts, its own certificate."""

import json
from typing import Any

from otactl.board import agent
from otactl.errors import UsageError
from otactl.workspace import authorities, clients, device_key, fleet_tokens, trust
from otactl.workspace.workspace import SETTINGS, Workspace

FOLDER = "/etc/ota"
_CLIENT = {"cert": f"{FOLDER}/client.der", "key": f"{FOLDER}/client.key"}


def config(workspace: Workspace, name: str = "") -> dict[str, Any]:
    """The configuration of the board that boards.toml calls `name`. Raises UsageError."""
    made = workspace.board_config()
    if made.get("client") == {} or clients.of(workspace, name):
        made["client"] = _CLIENT | made.get("client", {})
    if made.get("ddi") is not None:
        made["ddi"] = _asking(workspace, name) | made["ddi"]
    agent.check_config(made, str(workspace.root / SETTINGS))
    return made


def _asking(workspace: Workspace, name: str) -> dict[str, Any]:
    """How a board asks the engine of [engine]: one that `otactl engine add` has made known there, by its name and token."""
    known = {key: workspace.engine[key] for key in ("url", "tenant") if key in workspace.engine}
    token = fleet_tokens.of(workspace, name)
    return known | ({"id": name, "token": token} if token else {})


def files(workspace: Workspace, name: str) -> dict[str, bytes]:
    """Path on the board -> content. Raises UsageError."""
    made = config(workspace, name)
    # MicroPython makes no one character of a pair of \u escapes
    text = json.dumps(made, indent=1, ensure_ascii=False) + "\n"
    found = {
        f"{FOLDER}/config.json": text.encode(),
        f"{FOLDER}/keys.json": trust.for_board(trust.current(workspace)).encode(),
    }
    if ca := authorities.bundle(workspace):
        found[f"{FOLDER}/ca.pem"] = ca
    elif workspace.url.startswith("https:"):
        raise UsageError(f"no {workspace.tls / 'ca.pem'}: put the CA certificate of {workspace.host} there")
    if own := clients.of(workspace, name):
        found[_CLIENT["cert"]], found[_CLIENT["key"]] = own
    elif made.get("client") == _CLIENT:  # with other paths, somebody else sees to the files
        raise UsageError(
            f"{workspace.root / SETTINGS} has [board.client], and {name or 'this board'} has no certificate of its own: "
            "`otactl ca client NAME`, with its name in boards.toml, then `otactl deploy NAME`"
        )
    if made.get("encryption") is not None:
        path = str(made["encryption"].get("key", device_key.ON_BOARD))
        found[path] = device_key.for_board(_device_key(workspace)).encode()
    return found


def _device_key(workspace: Workspace) -> device_key.Private:
    if not workspace.device_key_file.exists():
        raise UsageError(
            f"no {workspace.device_key_file}, which [board.encryption] in {SETTINGS} asks for: `otactl keys device` makes one"
        )
    return device_key.load(workspace.device_key_file)
