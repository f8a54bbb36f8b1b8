"""How a board under test gets onto a network, and what it calls this machine there."""

import json
from typing import TYPE_CHECKING, Any

from otactl.errors import BoardError, UsageError
from otactl.hil.setting import Setting
from otactl.workspace import tls

if TYPE_CHECKING:
    from otactl_pytest.board import Board

_CONFIG = "/etc/ota/config.json"
_WAYS = ("wifi", "ethernet", "hostname")
_VIRTUAL = {"wifi": {"ssid": "virtual", "password": "password"}}


def found(board: "Board", setting: Setting) -> dict[str, Any]:
    """`wifi`, `ethernet` and `hostname` for the board's configuration: as it has them, unless the person says otherwise.

    Raises UsageError where neither does.
    """
    if setting.ssid:
        return {"wifi": {"ssid": setting.ssid, "password": setting.password or None}}
    ways = _configured(board)
    if not (ways.get("wifi") or ways.get("ethernet")):
        if board.feature("virtual") is not None:
            return _VIRTUAL
        raise UsageError(
            f"{board.name} is not configured for a network: `otactl deploy` it from a workspace with [board.wifi], or set "
            "OTACTL_HIL_SSID and OTACTL_HIL_PASSWORD"
        )
    return ways


def address() -> str:
    """What others on the network call this machine; its own loopback where it has no network."""
    return tls.address() or "127.0.0.1"


def usable(host: str) -> str:
    """The same. Raises UsageError for what boards cannot use."""
    if host.count(":") > 1:
        raise UsageError(f"{host}: boards use IPv4; give a name, or an IPv4 address")
    return host


def as_json(config: dict[str, Any]) -> bytes:
    """A board's config.json, as deploy writes it."""
    return (json.dumps(config, ensure_ascii=False) + "\n").encode()


def _configured(board: "Board") -> dict[str, Any]:
    board.to_prompt()
    try:
        raw = board.link.value(f"json.load(open({_CONFIG!r}))", "import json")
    except BoardError:  # no such file, or no JSON
        return {}
    if not isinstance(raw, dict):
        return {}
    return {name: raw[name] for name in _WAYS if raw.get(name)}
