"""The watchdog of a trial on an ESP8266, and the timer that feeds it."""

import machine
from micropython import const

_TICK_MS = const(500)  # the SDK's watchdog bites 1.6 s after the last feed, at the earliest


class Feeder:
    """As boot/feeder.Feeder."""

    def __init__(self, tick) -> None:
        self._tick = tick

    def start(self) -> None:
        self._watchdog, self._timer = machine.WDT(), machine.Timer(-1)
        self._timer.init(period=_TICK_MS, callback=self._tick)

    def feed(self) -> None:
        self._watchdog.feed()

    def stop(self) -> None:
        self._timer.deinit()
