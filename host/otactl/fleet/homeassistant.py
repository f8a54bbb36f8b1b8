"""A board as Home Assistant sees it: a device with one `update` entity, told by MQTT discovery.

Topics, keys and types are those of Home Assistant's components/mqtt (discovery.py, update.py; 2026.11), where one value of
another type makes it drop the whole message. Only boards that somebody has named in boards.toml or boards.csv are told:
a stranger who makes up boards must not fill a house with entities."""

import re
from typing import Any

from otactl.fleet.names import is_named
from otactl.fleet.table import Row

DISCOVERY = "homeassistant"  # the prefix that Home Assistant listens to unless it is told another one
INSTALL = "install"  # what a press of the button sends
ONLINE, OFFLINE = "online", "offline"
_ID = re.compile(r"[a-zA-Z0-9_-]+\Z")  # of a topic's level, for Home Assistant
_SUMMARY = 255  # characters that it takes

Messages = dict[str, Any]  # topic -> what is told there and kept by the broker: JSON, or text


def is_told(row: Row) -> bool:
    """Whether a board is one of the house, and its id fits into a topic."""
    return is_named(row.id, row.name, row.cohort) and _ID.match(row.id) is not None


def hub_topic(product: str) -> str:
    """Where a server says that it runs."""
    return f"ota-hub/{re.sub('[^a-zA-Z0-9_-]', '_', product)}/online"


def install_topic(board: str) -> str:
    """Where a press of the button arrives; `+` for the board: of all."""
    return f"ota/{board}/install"


def config_topic(board: str) -> str:
    """Where a board is announced; an empty message takes it away again."""
    return f"{DISCOVERY}/device/ota-{board}/config"


def messages(row: Row, product: str, *, button: bool, waiting: str = "", pressed: bool = False) -> Messages:
    """All that is told of one board of `product`. `button`: whether it has one; `waiting`: the version that is held back until
    it is pressed, which it was, if `pressed`, since."""
    there = OFFLINE if row.state == "silent" else ONLINE
    return {
        config_topic(row.id): _device(row, product, button),
        _topic(row, "state"): _state(row, waiting, pressed),
        _topic(row, "online"): there,
    }


def _topic(row: Row, what: str) -> str:
    return f"ota/{row.id}/{what}"


def _device(row: Row, product: str, button: bool) -> dict[str, Any]:
    entity: dict[str, Any] = {
        "platform": "update",
        "unique_id": f"ota-{row.id}-firmware",
        "name": "Firmware",
        "device_class": "firmware",
        "title": row.product or product,
        "state_topic": _topic(row, "state"),
        "availability": [{"topic": hub_topic(product)}, {"topic": _topic(row, "online")}],
        "availability_mode": "all",
    }
    if button:
        entity |= {"command_topic": install_topic(row.id), "payload_install": INSTALL}
    device = {"identifiers": [f"ota-{row.id}"], "name": row.name, "model": row.product or product}
    if row.version:
        device["sw_version"] = row.version
    return {"device": device, "origin": {"name": "otactl"}, "components": {"firmware": entity}}


def _state(row: Row, waiting: str, pressed: bool) -> dict[str, Any]:
    busy = row.state in ("updating", "on-trial")
    installed = row.version or (f"sequence {row.seen_board.said.have}" if row.seen_board.said.have else "")
    offered = row.newest if row.seen_board.offered > row.seen_board.said.have else ""
    told: dict[str, Any] = {"in_progress": busy or (pressed and bool(waiting))}
    told["update_percentage"] = row.percent if row.state == "updating" else None  # null ends the bar
    if installed:
        told["installed_version"] = installed
    if latest := waiting or offered or installed:
        told["latest_version"] = latest
    told["release_summary"] = row.why[:_SUMMARY]
    return told
