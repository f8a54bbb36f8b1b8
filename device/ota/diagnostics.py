"""The checks of a trial. Each is a function of (config, check) that gives True when it has passed, False to be
asked again, and raises when it cannot pass any more.

trial.py asks until the check's `timeout_s`; no check may wait long by itself.
"""

import gc
import os
import sys
import time

from .errors import OtaError

_held_since: dict = {}  # pin -> ticks_ms of its first sample at the right level


def _reach(config: dict, check: dict) -> bool:
    # wifi: joined. server: it answers over verified TLS, with this firmware's TLS and clock.
    from . import network

    network.join(config, 10)
    if check["check"] == "server":
        network.fetch(config, config["url"]).close()
    return True


def _gpio(config: dict, check: dict) -> bool:
    # The pin is at its level without a break for hold_s.
    from machine import Pin

    pin, pull = check["pin"], {"up": Pin.PULL_UP, "down": Pin.PULL_DOWN, None: None}[check["pull"]]
    if Pin(pin, Pin.IN, pull).value() != check["level"]:  # type: ignore[arg-type]
        _held_since.pop(pin, None)
        return False
    since = _held_since.setdefault(pin, time.ticks_ms())
    return time.ticks_diff(time.ticks_ms(), since) >= check["hold_s"] * 1000


def _heap(config: dict, check: dict) -> bool:
    gc.collect()
    if gc.mem_free() < check["free"]:
        raise OtaError("heap", gc.mem_free())
    return True


def _filesystem(config: dict, check: dict) -> bool:
    # A file can be written, read back and removed, and enough room is left.
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


def _import(config: dict, check: dict) -> bool:
    # import: it imports. call: a function of the user's; true passes, false is asked again.
    module, _, function = (check.get("module") or check["function"]).partition(":")
    __import__(module)
    return not function or bool(getattr(sys.modules[module], function)())


_CHECKS = {
    "wifi": _reach, "server": _reach, "gpio": _gpio, "heap": _heap, "filesystem": _filesystem,
    "import": _import, "call": _import,
}  # fmt: skip


def ask(config: dict, check: dict) -> "tuple[bool, str]":
    """One try of a check: (passed, why not yet). Raises OtaError where more tries cannot help."""
    run = _CHECKS[check["check"]]
    try:
        return run(config, check), ""
    except OtaError as e:
        if run != _reach:  # what is down may come up
            raise
        return False, str(e)
    except Exception as e:
        raise OtaError(type(e).__name__, e)
