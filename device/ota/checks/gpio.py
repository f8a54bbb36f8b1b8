"""gpio: a pin is at its level without a break for hold_s."""

import time

from machine import Pin


def passes(config: dict, check: dict, limit_ms: int) -> bool:
    pull = {"up": Pin.PULL_UP, "down": Pin.PULL_DOWN, None: None}[check["pull"]]
    if Pin(check["pin"], Pin.IN, pull).value() != check["level"]:  # type: ignore[arg-type]
        check.pop("since", None)
        return False
    held_ms = time.ticks_diff(time.ticks_ms(), check.setdefault("since", time.ticks_ms()))
    return held_ms >= check["hold_s"] * 1000
