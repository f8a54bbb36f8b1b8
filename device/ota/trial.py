"""Every boot: settle what the last one left, and put an unconfirmed image on trial. A timer feeds the watchdog only
while the trial may still succeed: any hang ends in a reset, and the bootloader brings the old release back. So does
its end, good or bad: the watchdog of an ESP32 cannot be disarmed."""

import time

import machine

from . import record, slots
from .errors import OtaError, require

_MAX_SWITCHES = 3
_MAX_RESTARTS = 20  # a program that soft-resets for ever must not stay on trial for ever

current: "Trial | None" = None  # the trial of this boot


def start() -> None:
    """Settle the record, or begin the trial; a second time nothing. Raises OtaError: record, timer, set-boot."""
    global current
    if current:
        return
    try:
        found = slots.Slots()
    except OtaError:
        return  # no OTA slots: nothing can be on trial
    kept = record.Record()
    kept.pass_remains()
    if _on_trial(found, kept.job):
        if kept.job["phase"] != "failed" or kept.job["told"] or kept.job["slot"] == found.label:
            slots.Slots.unsure = True
            current = Trial(found, kept)
            return
        found.confirm()  # we are back by hand, on what was confirmed before: see Trial.fail()
    if found.fell_back():
        _fell_back(found, kept)
    else:
        _settle(found, kept)


def _on_trial(found: slots.Slots, job: dict) -> bool:
    # Power can tear the state in otadata, which its checksum does not cover, so that the bootloader takes what was
    # never confirmed for confirmed: the record knows better.
    if found.on_trial() or found.fell_back() or job["slot"] != found.label:
        return found.on_trial()
    torn = found.state(found.label) == "undefined"
    return job["phase"] == "ready" or (torn and job["phase"] in ("trial", "failed"))


def _fell_back(found: slots.Slots, kept: record.Record) -> None:
    # RUNNING is not BOOT. A switch that only waits for its reset looks the same: it is NEW, and what came in between
    # was a soft reset.
    state = found.state(found.boot_label())
    if state == "new" and machine.reset_cause() == machine.SOFT_RESET:
        machine.reset()
    if kept.job["phase"] in ("ready", "trial") and kept.job["slot"] == found.boot_label():
        kept.fail("image-damaged")
    if state == "pending":
        machine.reset()  # the bootloader takes the entry back
    found.reclaim()
    say("reclaimed", found.label)


def _settle(found: slots.Slots, kept: record.Record) -> None:
    job = kept.job
    if found.state(found.label) == "undefined":
        found.confirm()  # power tore the state of what is confirmed: it boots all the same
    if job["slot"] != found.label:
        _came_back(found, kept)
    elif job["phase"] in ("ready", "trial"):
        kept.confirmed()  # power went between the confirmation and its record
    if job["phase"] == "failed" and not job["told"]:
        job["told"] = True
        kept.save("job")
        say("rolled-back", job["version"], job["reason"], job["detail"])


def _came_back(found: slots.Slots, kept: record.Record) -> None:
    # The switch was lost, or the trial ended without a word: what reset the chip is all that is known. Power may be
    # lost a few times: the slot is whole, and agent.update() goes on from it.
    job, cause = kept.job, machine.reset_cause()
    known = [f[1] for f in kept.state["failed"] if f[0] == job["sequence"]]
    tried = found.state(job["slot"]) in ("aborted", "invalid")
    if known and job["phase"] in ("writing", "ready", "trial"):
        kept.fail(known[0])  # power went between the two writes of a failure
    elif job["phase"] not in ("ready", "trial"):
        return
    elif tried and cause != machine.PWRON_RESET:
        kept.fail("trial-watchdog" if cause == machine.WDT_RESET else "trial-crash")
    elif job["switches"] >= _MAX_SWITCHES:
        kept.fail("trial-power" if tried else "switch-lost")
    elif not job["sha256"]:  # a rollback has nothing to download: it is repeated here
        job["switches"] += 1
        kept.save("job")
        found.set_boot(found.next)
        machine.reset()
    elif tried:
        job["phase"], job["reason"] = "writing", "trial-power"
        kept.save("job")


def say(event: str, *facts: object) -> None:
    """One line on the console, for `otactl` and for people."""
    print("ota:", event, *[f for f in facts if f not in (None, "")])


class Trial:
    """The running image, until it is confirmed or given up. `healthy` is the application's own word."""

    def __init__(self, found: slots.Slots, kept: record.Record) -> None:
        """Arm the watchdog and its feeder; then the record says that the trial has begun."""
        from . import config

        try:
            limits = config.load()["trial"]
        except OtaError:  # agent.start() meets it again, and fails the trial with it
            limits = {"deadline_s": 180, "watchdog_s": 30}
        job = kept.job
        self._slots, self._record = found, kept
        self._ours = job["slot"] == found.label and job["phase"] in ("ready", "trial")  # else somebody else switched
        self.version = job["version"] if self._ours else "unknown"
        self.healthy = False
        self._began = time.ticks_ms()
        self._deadline_ms = limits["deadline_s"] * 1000  # after _began, as the next
        self._settled_ms: "int | None" = None  # None until all checks have passed
        # -1 is a virtual timer in new firmware and the last hardware timer in old; else the chip has 4, or 2.
        for number in (-1, 3, 1):
            try:
                self._timer = machine.Timer(number)
                break
            except ValueError:
                require(number != 1, "timer")
        self._watchdog = machine.WDT(timeout=limits["watchdog_s"] * 1000)
        self._timer.init(mode=machine.Timer.PERIODIC, period=1000, callback=self._tick)
        say("trial", self.version, "in", found.label)
        if job["phase"] == "failed" and job["slot"] == found.label:  # torn: it should not run any more
            self.fail(job["reason"], job["detail"])
        if self._ours:
            job["restarts"] += job["phase"] == "trial"
            if job["restarts"] > _MAX_RESTARTS:
                self.fail("trial-restarts")
            job["phase"] = "trial"
            kept.save("job")

    def _elapsed(self) -> int:
        return time.ticks_diff(time.ticks_ms(), self._began)

    def _tick(self, _: object) -> None:
        if self._elapsed() > self._deadline_ms:
            self.fail("deadline")
        self._watchdog.feed()
        self.confirm_if_due()

    def confirm_if_due(self) -> None:
        """Confirm once all checks have passed, and the time to settle too, or the application is healthy."""
        if self._settled_ms is not None and (self.healthy or self._elapsed() >= self._settled_ms):
            self.confirm()

    def run(self, config: dict) -> None:
        """All checks in their order; returns when the application may start. From then on it has settle_s to crash in,
        or `healthy`'s timeout_s to call agent.healthy(). Raises OtaError check-…"""
        from . import diagnostics

        settle_ms = config["trial"]["settle_s"] * 1000
        for check in config["trial"]["checks"]:
            if check["check"] == "healthy":
                settle_ms = 1 << 29  # never by itself
                self._deadline_ms = min(self._deadline_ms, self._elapsed() + int(check["timeout_s"] * 1000))
            else:
                diagnostics.run(config, check)
                say("check", check["check"], "ok")
        self._settled_ms = self._elapsed() + settle_ms
        self.confirm_if_due()

    def confirm(self) -> None:
        """Mark valid, read back, record, reset. Fails the trial if otadata does not take it."""
        self._timer.deinit()
        try:
            self._slots.confirm()
        except OtaError as e:
            self.fail(e.code, e.detail)
        if self._ours:
            self._record.confirmed()
        say("confirmed", self.version)
        machine.reset()

    def fail(self, reason: str, detail: str = "") -> None:
        """Record why, and reset: the bootloader goes back to the old release. Does not return."""
        self._timer.deinit()
        say("failed", self.version, reason, detail)
        try:
            if self._ours:
                self._record.fail(reason, detail)
            if self._slots.state(self._slots.label) != "pending":
                # torn, or new under a bootloader from before v1.21, which knows no rollback: back by hand
                self._slots.next.set_boot()
        finally:
            machine.reset()
