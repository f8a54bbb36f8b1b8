"""The trial of an application on a board without two slots. A timer feeds the watchdog only while the trial may still
succeed; its end, good or bad, is a reset, as nothing else disarms a watchdog."""

import time

import machine
from micropython import const

from ..console import say
from ..errors import OtaError
from . import port, record

_NEVER_MS = const(1 << 29)


class Trial:
    """What is tried, until it is confirmed or given up. `healthy` is the application's own word."""

    def __init__(self, kept: record.Record) -> None:
        self._record, self.healthy = kept, False
        self.version = kept.value["next"].get("version")
        self._began = time.ticks_ms()
        self._deadline_ms = 180000  # after _began, as the next
        self._settled_ms: "int | None" = None  # None: the application has not started yet

    def arm(self) -> None:
        say("trial", self.version, "in", record.FOLDER + self._record.value["trying"])
        try:
            self._settings = port.settings()["trial"]
            self._deadline_ms = self._settings["deadline_s"] * 1000
            self._feeder = port.feeder(self._settings["watchdog_s"], self._tick)
            self._feeder.start()
        except OtaError as e:
            self.fail(e.code, e.detail)

    def started(self) -> None:
        """The application is about to start: it has settle_s to crash in, or the time of the check `healthy` to say so."""
        now, settings = time.ticks_diff(time.ticks_ms(), self._began), self._settings
        self._settled_ms = now + settings["settle_s"] * 1000
        for check in settings["checks"]:
            if check["check"] == "healthy":
                self._settled_ms = _NEVER_MS
                self._deadline_ms = min(self._deadline_ms, now + int(check["timeout_s"] * 1000))

    def _tick(self, _: object) -> None:
        try:
            if time.ticks_diff(time.ticks_ms(), self._began) > self._deadline_ms:
                self.fail("deadline")
            self._feeder.feed()
            if self._is_due():
                self._confirm()
        except (MemoryError, RuntimeError):
            pass  # it comes wherever the program is, which may leave it no memory or no stack: the next one tries again

    def _is_due(self) -> bool:
        if self._settled_ms is None:
            return False
        return self.healthy or time.ticks_diff(time.ticks_ms(), self._began) >= self._settled_ms

    def confirm_if_due(self) -> None:
        if self._is_due():
            self.confirm()

    def confirm(self) -> None:
        """The release is good: the record says so, and the board starts anew, without a watchdog."""
        self._feeder.stop()
        self._confirm()

    def _confirm(self) -> None:
        # Where this raises, nothing has been noted, and it may be called again.
        try:
            self._record.confirm()
        except OtaError as e:
            _reset("error", e)
        _reset("confirmed", self.version)

    def fail(self, reason: str, detail: str = "") -> None:
        """Record why, and start anew: with what was confirmed before. Does not return."""
        try:
            say("failed", self.version, reason, detail)
            self._record.fail(reason, detail)
        finally:
            machine.reset()


def _reset(*said: object) -> None:
    try:
        say(*said)  # type: ignore[arg-type]
    finally:
        machine.reset()
