"""The hardware watchdog of a trial, and the timer that feeds it."""

import sys
import time

import machine
from micropython import const

from ..errors import OtaError

_TICK_MS = const(1000)
_PROBE_MS = const(20)
# The least that outlasts what blocks in C, where no timer's callback comes: a name that none of three DNS servers answers
# for, 21 s (lwIP: 4 tries each, 7 s a server). A TLS handshake computes for a second or two, set_boot() for one.
LEAST_S = 25
# First version, ids of one timer a group (C2, C3, C6 …), ids of two a group: what is safe to ask for, the best first.
# Source: MicroPython ports/esp32/machine_timer.c. Before 1.24 the odd ids, and -1, do not exist on a chip with one
# timer a group, and init() panics; 1.24 and 1.25 brought them in order; from 1.29 on -1 is a virtual timer.
_TIMERS = (
    ((1, 29), (-1, 1, 0), (-1, 3, 2, 1, 0)),
    ((1, 24), (1, 2, 0), (3, 2, 1, 0)),
    ((0, 0), (2, 0), (3, 2, 1, 0)),
)
_TWO_A_GROUP = ("esp32", "esp32s2", "esp32s3")


class Feeder:
    """`tick` is called once a second, in the VM's scheduler, by whichever thread runs, and feeds by feed()."""

    def __init__(self, chip: str, watchdog_s: int, tick) -> None:
        self._tick = tick
        self._chip = chip
        self._watchdog_ms = max(watchdog_s, LEAST_S) * 1000
        self._watchdog: "machine.WDT" = None  # type: ignore[assignment]
        self._timer: "machine.Timer" = None  # type: ignore[assignment]

    def start(self) -> None:
        """Arm the watchdog, which nothing disarms but a reset; then its feeder. Raises OtaError timer."""
        self._watchdog = machine.WDT(timeout=self._watchdog_ms)
        for number in _safe(self._chip):
            if self._runs(number):
                self._timer.init(mode=machine.Timer.PERIODIC, period=_TICK_MS, callback=self._tick)
                return
        raise OtaError("timer", self._chip)

    def _runs(self, number: int) -> bool:
        # Some timers are there and never fire (C6 with MicroPython 1.24, number 3): this one has to show it.
        fired: list = []
        try:
            self._timer = machine.Timer(number)
            self._timer.init(mode=machine.Timer.ONE_SHOT, period=_PROBE_MS, callback=fired.append)
        except (ValueError, OSError):
            return False
        for _ in range(25):
            time.sleep_ms(_PROBE_MS)
            if fired:
                break
        self._timer.deinit()
        return bool(fired)

    def feed(self) -> None:
        self._watchdog.feed()

    def stop(self) -> None:
        """No more ticks: within its time the watchdog resets the chip."""
        if self._timer:
            self._timer.deinit()


def _safe(chip: str) -> "tuple[int, ...]":
    for version, one_a_group, two_a_group in _TIMERS:
        if sys.implementation.version[:2] >= version:
            return two_a_group if chip in _TWO_A_GROUP else one_a_group
    return (0,)
