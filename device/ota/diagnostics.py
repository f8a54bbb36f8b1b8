"""The checks of a trial. Each is a function of (config, check) that returns True when it has passed
and False to be asked again; it raises OtaError, or anything else, when it cannot pass any more.

The runner (trial.py) asks until the check's `timeout_s`; no check may wait long by itself.
"""

import gc
import os
import time

from .errors import OtaError


def wifi(config: dict, check: dict) -> bool:
    from . import network

    if not config["wifi"]:  # Ethernet, or the program's own: whatever is up will do
        return network.station().isconnected()
    network.join(config, min(check["timeout_s"], 10))
    return True


def server(config: dict, check: dict) -> bool:
    """The release server answers over verified TLS, with this firmware's own TLS and clock."""
    from . import http, network

    network.join(config, min(check["timeout_s"], 10))
    if config["url"].startswith("https:"):
        network.set_clock(config)
    http.get(
        config["url"],
        ca=read_ca(config),
        allow_http=config["allow_http"],
        connect_timeout_s=min(config["connect_timeout_s"], 10),
        read_timeout_s=min(config["read_timeout_s"], 10),
    ).close()
    return True


_held_since = {}  # pin -> ticks_ms of the first sample at the right level


def gpio(config: dict, check: dict) -> bool:
    """The pin is at its level without a break for hold_s."""
    from machine import Pin

    pull = {"up": Pin.PULL_UP, "down": Pin.PULL_DOWN, None: None}[check["pull"]]
    pin = check["pin"]
    if Pin(pin, Pin.IN, pull).value() != check["level"]:
        _held_since.pop(pin, None)
        return False
    since = _held_since.setdefault(pin, time.ticks_ms())
    return time.ticks_diff(time.ticks_ms(), since) >= check["hold_s"] * 1000


def heap(config: dict, check: dict) -> bool:
    gc.collect()
    if gc.mem_free() < check["free"]:
        raise OtaError("heap", gc.mem_free())
    return True


def filesystem(config: dict, check: dict) -> bool:
    """A file can be written, read back and removed, and enough room is left."""
    path = check["path"].rstrip("/") + "/.ota-check"
    with open(path, "w") as f:
        f.write("ok")
    with open(path) as f:
        read = f.read()
    os.remove(path)
    found = os.statvfs(check["path"])
    if read != "ok" or found[0] * found[3] < check["free"]:
        raise OtaError("filesystem", found[0] * found[3])
    return True


def import_(config: dict, check: dict) -> bool:
    __import__(check["module"])
    return True


def call(config: dict, check: dict) -> bool:
    """A function of the user's: true passes, false is asked again, an exception fails."""
    module, _, name = check["function"].partition(":")
    found = __import__(module)
    for part in module.split(".")[1:]:
        found = getattr(found, part)
    return bool(getattr(found, name)())


_CHECKS = {
    "wifi": wifi,
    "server": server,
    "gpio": gpio,
    "heap": heap,
    "filesystem": filesystem,
    "import": import_,
    "call": call,
}
# A network that is down may come up again: these are asked until their time is over.
_PATIENT = ("wifi", "server")


def ask(config: dict, check: dict) -> "tuple[bool, str]":
    """One try of a check: (passed, why not yet). Raises OtaError where more tries cannot help."""
    name = check["check"]
    try:
        return _CHECKS[name](config, check), ""
    except OtaError as e:
        if name in _PATIENT:
            return False, str(e)
        raise
    except Exception as e:
        raise OtaError(type(e).__name__, e)


def read_ca(config: dict) -> "bytes | None":
    """The CA certificate as load_verify_locations takes it. Raises OtaError ca-missing."""
    if not config["ca"]:
        return None
    try:
        with open(config["ca"], "rb") as f:
            return f.read()
    except OSError:
        raise OtaError("ca-missing", config["ca"])
