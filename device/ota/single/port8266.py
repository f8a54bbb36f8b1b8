"""What this agent takes of an ESP8266, where it is installed as port.py. There is no NVS, and TLS shows nobody who the server
is: so there is none, and what is signed is all that counts (P8)."""

import json

from ..errors import OtaError, require
from . import let_go
from .files import Document  # noqa: F401 -- what record.py builds on

_CONFIG = "/etc/ota/config.json"


def settings() -> dict:
    """The configuration as `otactl deploy` checked it, with the defaults of what is looked at here. Raises OtaError
    config-missing, config-not-json, tls-unverified."""
    found: dict = {
        "keys": "/etc/ota/keys.json",
        "wifi": None,
        "tries": 5,
        "start_timeout_s": 60,
        "join_timeout_s": 20,
        "read_timeout_s": 20,
    }
    trial: dict = {"deadline_s": 180, "settle_s": 10, "watchdog_s": 0, "checks": ()}
    try:
        with open(_CONFIG) as f:
            found.update(json.load(f))
    except OSError:
        raise OtaError("config-missing", _CONFIG)
    except ValueError:
        raise OtaError("config-not-json", _CONFIG)
    trial.update(found.get("trial") or {})
    found["trial"] = trial
    url = found["url"]
    require(url[:7] == "http://" and found.get("allow_http"), "tls-unverified", url)
    return found


def chip() -> str:
    return "esp8266"


def address() -> str:
    """The board's, by which a release names it."""
    import network

    return network.WLAN(network.STA_IF).config("mac").hex()  # machine.unique_id() is half of it here


def device():
    """Where the files lie, or None."""
    from flashbdev import bdev

    return bdev


def feeder(watchdog_s: int, tick):
    """As boot/feeder.Feeder; the time of the watchdog is the SDK's."""
    from . import watch

    return watch.Feeder(tick)


def fetch(config: dict, url: str):
    """Steps that return a plain.Response. Raises OtaError."""
    from . import plain

    return plain.fetch(config, url)


def channel(config: dict, most: int):
    """Steps that return the channel's file, of `most` bytes at most, and what its server told. Raises OtaError."""
    said = _said(config)
    let_go()
    from . import plain

    response = yield from plain.fetch(config, config["url"], said)
    return (yield from response.read(most)), None


def _said(config: dict) -> bytes:
    # What this has imported is let go after it.
    from . import ask  # type: ignore[attr-defined]

    return ask.said(config)


def heard(told: None, payload: dict, kept, address: str) -> None:
    """Nobody tells this board a date that is proven: a release does not expire here, it is only never a lower one (P7)."""
