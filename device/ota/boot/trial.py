"""The trial of an image that is not confirmed yet. A timer feeds the watchdog only while the trial may still succeed:
any hang ends in a reset, and the bootloader brings the old release back. So does its end, good or bad: the watchdog of
an ESP32 cannot be disarmed."""

import time

import machine
from micropython import const

from ..console import say
from ..errors import OtaError, coded
from . import feeder, record, slots

_MAX_RESTARTS = const(20)  # a program that soft-resets for ever must not stay on trial for ever
_NEVER_MS = const(1 << 29)


class Trial:
    """The running image, until it is confirmed or given up. `healthy` is the application's own word."""

    def __init__(self, found: slots.Slots, kept: record.Record) -> None:
        self._slots, self._record = found, kept
        self.version = kept.job["version"] or "unknown"
        self.healthy = False
        self._began = time.ticks_ms()
        self._deadline_ms = _NEVER_MS  # after _began, as the next
        self._settled_ms: "int | None" = None  # None until all checks have passed
        self._feeder: "feeder.Feeder | None" = None

    def arm(self) -> None:
        """Start the watchdog and its feeder; then the record says that the trial has begun."""
        from .. import config
        from ..release import image

        try:
            limits = config.load()["trial"]
        except OtaError:  # agent.start() meets it again, and fails the trial with it
            limits = {"deadline_s": 180, "watchdog_s": 30}
        self._deadline_ms = limits["deadline_s"] * 1000
        self._feeder = feeder.Feeder(image.chip(self._slots.running), limits["watchdog_s"], self._tick)
        say("trial", self.version, "in", self._slots.label)
        job = self._record.job
        job["restarts"] += job["phase"] == "trial"
        job["phase"] = "trial"
        self._keep(self._record.save, "job")
        try:
            self._feeder.start()
        except OtaError as e:
            self.fail(e.code, e.detail)
        if job["restarts"] > _MAX_RESTARTS:
            self.fail("trial-restarts")

    def _elapsed(self) -> int:
        return time.ticks_diff(time.ticks_ms(), self._began)

    def _tick(self, _: object) -> None:
        if self._elapsed() > self._deadline_ms:
            self.fail("deadline")
        self._feeder.feed()  # type: ignore[union-attr]
        self.confirm_if_due()

    def confirm_if_due(self) -> None:
        """Confirm once all checks have passed, and the time to settle too, or the application is healthy."""
        if self._settled_ms is not None and (self.healthy or self._elapsed() >= self._settled_ms):
            self.confirm()

    def run(self, config: dict) -> None:
        """All checks in their order; returns when the application may start. From then on it has settle_s to crash in,
        or `healthy`'s timeout_s to call agent.healthy(). Raises OtaError check-…"""
        from .. import checks

        settle_ms = config["trial"]["settle_s"] * 1000
        for check in config["trial"]["checks"]:
            if check["check"] == "healthy":
                settle_ms = _NEVER_MS
                self._deadline_ms = min(self._deadline_ms, self._elapsed() + int(check["timeout_s"] * 1000))
            else:
                checks.run(config, check)
                say("check", check["check"], "ok")
        self._settled_ms = self._elapsed() + settle_ms
        self.confirm_if_due()

    def confirm(self) -> None:
        """Mark valid, read back, record, reset. Fails the trial if otadata does not take it."""
        self._feeder.stop()  # type: ignore[union-attr]
        try:
            self._slots.confirm()
        except OtaError as e:
            self.fail(e.code, e.detail)
        self._keep(self._record.confirmed, self._slots.running)
        say("confirmed", self.version)
        machine.reset()

    def fail(self, reason: str, detail: str = "", *, network: bool = False) -> None:
        """Record why, and reset: the bootloader goes back to the old release. Does not return. `network`: something
        outside the board is at fault, so the release is tried again later (P6)."""
        self._feeder.stop()  # type: ignore[union-attr]
        say("failed", self.version, reason, detail)
        try:
            self._keep(self._record.hold) if network else None
            self._keep(lambda: self._record.fail(reason, detail, remember=not network))
            if self._slots.state(self._slots.label) != "pending":
                from . import back

                back.go(self._slots, self._record)
        finally:
            machine.reset()

    def _keep(self, write, *args) -> None:
        # A record that NVS does not take must not end the trial otherwise than its checks say.
        try:
            write(*args)
        except Exception as e:  # NVS is full, or the program's heap
            say("error", coded(e))
