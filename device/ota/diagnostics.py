"""The checks of a trial. Each is a function of (config, check) that gives True when it has passed, False to be asked
again, and raises when it cannot pass any more. None may wait long by itself."""

import gc
import os
import time

from machine import Pin

from . import network
from .errors import OtaError, require

_held_since: dict = {}  # pin -> ticks_ms of its first sample at the right level


def _reach(config: dict, check: dict) -> bool:
    # wifi: joined. server: it answers over verified TLS, with this firmware's TLS and clock.
    network.join(config, 10)
    if check["check"] == "server":
        network.fetch(config, config["url"]).close()
    return True


def _gpio(config: dict, check: dict) -> bool:
    # The pin is at its level without a break for hold_s.
    pin, pull = check["pin"], {"up": Pin.PULL_UP, "down": Pin.PULL_DOWN, None: None}[check["pull"]]
    if Pin(pin, Pin.IN, pull).value() != check["level"]:  # type: ignore[arg-type]
        _held_since.pop(pin, None)
        return False
    held_ms = time.ticks_diff(time.ticks_ms(), _held_since.setdefault(pin, time.ticks_ms()))
    return held_ms >= check["hold_s"] * 1000


def _heap(config: dict, check: dict) -> bool:
    gc.collect()
    require(gc.mem_free() >= check["free"], "heap", gc.mem_free())
    return True


def _filesystem(config: dict, check: dict) -> bool:
    # A file can be written, read back and removed, and enough room is left.
    path = check["path"].rstrip("/") + "/.ota-check"
    with open(path, "w") as f:
        f.write("ok")
    with open(path) as f:
        read = f.read()
    os.remove(path)
    block, _, _, free = os.statvfs(check["path"])[:4]
    require(read == "ok" and block * free >= check["free"], "filesystem", block * free)
    return True


def _import(config: dict, check: dict) -> bool:
    # import: it imports. call: a function of the user's; true passes, false is asked again.
    module, _, function = (check.get("module") or check["function"]).partition(":")
    found = __import__(module, None, None, (function,))  # the last part of a dotted name
    return not function or bool(getattr(found, function)())


_CHECKS = {
    "wifi": _reach, "server": _reach, "gpio": _gpio, "heap": _heap, "filesystem": _filesystem,
    "import": _import, "call": _import,
}  # fmt: skip


def run(config: dict, check: dict) -> None:
    """Ask a check until it passes, for at most its timeout_s. Raises OtaError check-… with why it did not."""
    name, began = check["check"], time.ticks_ms()
    while True:
        why, last = "timeout", False
        try:
            if _CHECKS[name](config, check):
                return
        except Exception as e:
            why = str(e) if isinstance(e, OtaError) else f"{type(e).__name__} {e}"
            last = not isinstance(e, OtaError) or name not in ("wifi", "server")  # what is down may come up
        if last or time.ticks_diff(time.ticks_ms(), began) > check.get("timeout_s", 1) * 1000:
            raise OtaError("check-" + name, why)
        time.sleep_ms(100)
