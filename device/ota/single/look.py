"""What the newest release has for a board without two slots. Loaded a part at a time, and let go before anything is unpacked."""

import gc
import sys

from micropython import const

from ..errors import require
from . import let_go

_SAID = {"files": ((int,), 1, 10000), "unpacked": ((int,), 0, 0x1000000), "blocks": ((int, None), 0, 0x10000)}
_MOST = const(8193)  # bytes of an envelope, and one


def look(settings: dict, kept):
    """Steps that return the newest release (version, sequence, security_version, sha256 of its archive) and its target.
    Raises OtaError with why this board refuses it."""
    gc.collect()
    raw, told = yield from _channel(settings)
    let_go()
    trusted = _trusted(settings["keys"])
    let_go()
    body, signatures = _read(raw)
    del raw  # the arithmetic of a signature needs the room
    payload = _vouched(body, signatures, trusted)
    del body, signatures, trusted
    let_go()
    found = _chosen(told, payload, settings["product"], kept, settings["url"])
    del payload
    let_go()
    return found


# What each of these has imported is let go after it: none of it may be a name of this module.


def _channel(settings: dict):
    from . import port

    return port.channel(settings, _MOST)


def _trusted(path: str) -> tuple:
    from ..release import keys

    return keys.load(path)


def _read(raw) -> tuple:
    from ..release import envelope

    return envelope.read(raw)


def _vouched(body: bytes, signatures: list, trusted: tuple) -> dict:
    from ..release import envelope

    gc.collect()
    return envelope.vouched(body, signatures, trusted)


def _chosen(told, payload: dict, product: str, kept, address: str):
    from ..release import policy
    from . import port

    build = getattr(sys.implementation, "_build", None)
    targets = policy.choose(payload, product, port.chip(), build, port.address(), None)
    require("application" in targets, "no-target", "application")
    target = targets["application"]
    port.heard(told, payload, kept, address)  # not before: what is for other boards is no news
    now = kept.value["release"]
    installed = {"sequence": now.get("sequence", 0), "app": now.get("sha256", "")}
    policy.apply(payload, {"application": target}, kept.value, installed, 0)
    mpy = target.get("mpy")
    require(mpy in (None, sys.implementation._mpy & 0xFF), "app-mpy", mpy)  # type: ignore
    policy.check(target, _SAID)
    release = {key: payload[key] for key in ("version", "sequence", "security_version")}
    release["sha256"] = target["sha256"]
    return release, {key: target.get(key) for key in ("url", "size", "files", "unpacked", "blocks")}
