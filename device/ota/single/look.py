"""What the newest release has for a board without two slots. Loaded a part at a time, and let go before anything is unpacked."""

import gc
import sys

import machine
from micropython import const

from ..errors import require
from . import let_go, port, record

_SAID = {"files": ((int,), 1, 10000), "unpacked": ((int,), 0, 0x1000000), "blocks": ((int, None), 0, 0x10000)}
_MOST = const(8193)  # bytes of an envelope, and one


def look(settings: dict, kept: record.Record):
    """Steps that return the newest release (version, sequence, security_version, sha256 of its archive) and its target.
    Raises OtaError with why this board refuses it."""
    gc.collect()
    raw, told = yield from port.channel(settings, _MOST)
    let_go()
    payload = _opened(raw, settings["keys"])
    del raw
    let_go()
    port.heard(told, payload, kept, settings["url"])
    release, target = _chosen(payload, settings["product"], kept)
    del payload
    let_go()
    return release, target


def _opened(raw, path: str) -> dict:
    from ..release import envelope, keys

    gc.collect()
    trusted = keys.load(path)
    return envelope.open_envelope(raw, trusted)


def _chosen(payload: dict, product: str, kept: record.Record):
    from ..release import policy

    build = getattr(sys.implementation, "_build", None)
    targets = policy.choose(payload, product, port.chip(), build, machine.unique_id().hex(), None)
    require("application" in targets, "no-target", "application")
    target, now = targets["application"], kept.value["release"]
    installed = {"sequence": now.get("sequence", 0), "app": now.get("sha256", "")}
    policy.apply(payload, {"application": target}, kept.value, installed, 0)
    ours, mpy = sys.implementation._mpy & 0xFF, target.get("mpy")  # type: ignore
    require(mpy in (None, ours), "app-mpy", mpy)
    policy.check(target, _SAID)
    release = {key: payload[key] for key in ("version", "sequence", "security_version")}
    release["sha256"] = target["sha256"]
    return release, {key: target.get(key) for key in ("url", "size", "files", "unpacked", "blocks")}
