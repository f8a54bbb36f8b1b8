"""Every start of a board without two slots: which directory the program comes from. /boot.py calls start() first."""

import sys
import time

import machine
from micropython import const

from ..console import say
from ..errors import OtaError
from . import port, record

_STARTS = const(3)  # of a release that is tried, without a confirmation
current = None  # type: ignore  # the Trial of this boot, while one runs
_done = False


def start() -> None:
    """Put the directory at the head of sys.path; what is tried gets a watchdog. A second time nothing. Raises OtaError."""
    global _done, current
    if _done:
        return
    _done = True
    kept = record.load()
    value = kept.value
    trying = value["trying"]
    try:
        if trying and value["starts"] >= _STARTS:
            kept.fail("trial-restarts", _STARTS)
        elif trying:
            kept.set(starts=value["starts"] + 1)
        trying = value["trying"]
    except OtaError as e:  # what is not counted is not tried
        say("error", e)
        trying = None
    label = trying or value["current"]
    if label:
        sys.path.insert(0, record.FOLDER + label)
    if trying:
        current = Trial(kept)
        current.arm()
    elif not value["told"]:
        say("rolled-back", value["next"].get("version", "unknown"), value["reason"], value["detail"])
        kept.note("told", True)


class Trial:
    """What is tried, until it is confirmed or given up. `healthy` is the application's own word."""

    def __init__(self, kept: record.Record) -> None:
        self._record, self.healthy = kept, False
        self.version = kept.value["next"].get("version")
        self._began = time.ticks_ms()
        self._deadline_ms, self._settled_ms = 180000, None  # type: ignore  # after _began; None: it has not started yet

    def arm(self) -> None:
        say("trial", self.version, "in", record.FOLDER + self._record.value["trying"])
        try:
            self._settings = port.settings()["trial"]
            self._deadline_ms = self._settings["deadline_s"] * 1000
            self._feeder = port.feeder(self._settings, self._tick)
            self._feeder.start()
        except OtaError as e:
            self.fail(e.code, e.detail)

    def started(self) -> None:
        """The application is about to start: it has settle_s to crash in, or the time of the check `healthy` to say so."""
        now, settings = time.ticks_diff(time.ticks_ms(), self._began), self._settings
        self._settled_ms = now + settings["settle_s"] * 1000
        for check in settings["checks"]:
            if check["check"] == "healthy":
                self._settled_ms = 1 << 29
                self._deadline_ms = min(self._deadline_ms, now + int(check["timeout_s"] * 1000))

    def _tick(self, _: object) -> None:
        if time.ticks_diff(time.ticks_ms(), self._began) > self._deadline_ms:
            self.fail("deadline")
        self._feeder.feed()
        self.confirm_if_due()

    def confirm_if_due(self) -> None:
        if self._settled_ms is None:
            return
        if self.healthy or time.ticks_diff(time.ticks_ms(), self._began) >= self._settled_ms:
            self.confirm()

    def confirm(self) -> None:
        """The release is good: the record says so, and the board starts anew, without a watchdog."""
        self._feeder.stop()
        try:
            self._record.confirm()
            say("confirmed", self.version)
        except OtaError as e:
            say("error", e)
        machine.reset()

    def fail(self, reason: str, detail: str = "") -> None:
        """Record why, and start anew: with what was confirmed before. Does not return."""
        say("failed", self.version, reason, detail)
        try:
            self._record.fail(reason, detail)
        finally:
            machine.reset()
