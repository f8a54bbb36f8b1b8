"""Every boot: settle what the last one left, and put an unconfirmed image on trial.

boot.py calls `start()` before anything else. On a trial boot it arms the hardware watchdog and a
timer that feeds it only while the trial may still succeed: a hang in the interpreter, in a C
driver or in the application ends in a reset, and the bootloader brings the old release back.
A trial always ends in a reset, confirmed or not: the watchdog of an ESP32 cannot be disarmed.
"""

import time

import machine
from micropython import const

from . import record, slots
from .errors import OtaError

_TICK_MS = const(1000)
_MAX_SWITCHES = const(3)
_MAX_SOFT_RESETS = const(5)

current: "Trial | None" = None  # the trial of this boot


def start() -> None:
    """Settle the record with what boots; arm the trial. Called once, first thing in boot.py."""
    global current
    try:
        found = slots.Slots()
    except OtaError:
        return  # no OTA slots: nothing can be on trial
    kept = record.Record()
    if found.on_trial():
        current = Trial(found, kept)
        current.arm()
    elif found.fell_back():
        _fell_back(found, kept)
    else:
        _settle(found, kept)


def _fell_back(found: slots.Slots, kept: record.Record) -> None:
    # RUNNING is not BOOT. A switch that only waits for its reset looks the same, but for NEW.
    state = found.state(found.boot_label())
    if state in (slots.NEW, slots.PENDING):
        if state == slots.PENDING and kept.job.phase in (record.READY, record.TRIAL):
            kept.fail("image-damaged")
        machine.reset()  # lets the bootloader take the entry back, or go on with the switch
    found.reclaim()
    say("reclaimed", found.running_label(), "from a damaged", found.boot_label())


def _settle(found: slots.Slots, kept: record.Record) -> None:
    job = kept.job
    if job.phase in (record.READY, record.TRIAL):
        if job.slot == found.running_label():
            kept.confirmed()  # power went between the confirmation and its record
        elif found.state(job.slot) in (slots.ABORTED, slots.INVALID):
            kept.fail(_reset_reason())
        elif job.attempts >= _MAX_SWITCHES:
            kept.fail("switch-lost")
        # else the switch was lost to power and the slot is whole: agent.update() repeats it
    if job.phase == record.FAILED and not job.told:
        job.told = 1
        kept.save_job()
        say("rolled-back", job.version or "unknown", job.reason, job.detail)


def _reset_reason() -> str:
    # The trial ended without a word: what reset the chip is all that is known.
    cause = machine.reset_cause()
    if cause == machine.WDT_RESET:
        return "trial-watchdog"
    return "trial-power" if cause == machine.PWRON_RESET else "trial-crash"


def say(event: str, *facts: object) -> None:
    """One line on the console, as `otactl` and people read it."""
    print("ota:", event, *[f for f in facts if f != ""])


class Trial:
    """The running image, until it is confirmed or given up."""

    def __init__(self, found: slots.Slots, kept: record.Record) -> None:
        self._slots = found
        self._record = kept
        self._ours = kept.job.slot == found.running_label() and kept.job.phase in (
            record.READY,
            record.TRIAL,
        )
        self.version = kept.job.version if self._ours else "unknown"
        self._started = time.ticks_ms()
        self._deadline_ms = 180000
        self._watchdog: "machine.WDT | None" = None
        self._timer: "machine.Timer | None" = None
        self._passed = False  # all checks but the application's own word
        self._settle_ms = 0
        self._healthy: "bool | None" = None  # None: not asked for; False: awaited
        self._app_since: "int | None" = None

    def arm(self) -> None:
        """The watchdog and its feeder; then the record says that the trial has begun."""
        deadline_s, watchdog_s = 180, 30
        try:
            from . import config

            limits = config.load()["trial"]
            deadline_s, watchdog_s = limits["deadline_s"], limits["watchdog_s"]
        except OtaError:
            pass  # the trial fails for it later, with its reason
        self._deadline_ms = deadline_s * 1000
        self._watchdog = machine.WDT(timeout=watchdog_s * 1000)
        self._timer = _timer()
        self._timer.init(mode=machine.Timer.PERIODIC, period=_TICK_MS, callback=self._tick)
        job = self._record.job
        if self._ours:
            # A soft reset starts the deadline anew: a program that resets itself softly for ever
            # must not stay on trial for ever.
            job.attempts += 1
            if job.phase == record.TRIAL and job.attempts > _MAX_SOFT_RESETS:
                self.fail("trial-restarts")
            job.phase = record.TRIAL
            self._record.save_job()
        say("trial", self.version, "in", self._slots.running_label())

    def _tick(self, _: object) -> None:
        if time.ticks_diff(time.ticks_ms(), self._started) > self._deadline_ms:
            self.fail("deadline")
        self._watchdog.feed()
        if self._ready():
            self.confirm()

    def _ready(self) -> bool:
        if not self._passed or self._healthy is False:
            return False
        if self._healthy or self._settle_ms == 0:
            return True
        since = self._app_since
        return since is not None and time.ticks_diff(time.ticks_ms(), since) >= self._settle_ms

    def run(self, config: dict) -> None:
        """All checks but `healthy`, in their order, each within its time; fails the trial or returns."""
        self._settle_ms = config["trial"]["settle_s"] * 1000
        for check in config["trial"]["checks"]:
            if check["check"] == "healthy":
                # it has its own time limit, below the deadline of the whole
                self._healthy = bool(self._healthy)
                spent = time.ticks_diff(time.ticks_ms(), self._started)
                self._deadline_ms = min(self._deadline_ms, spent + int(check["timeout_s"] * 1000))
            else:
                self._run_one(config, check)
        self._passed = True
        if self._ready():
            self.confirm()

    def _run_one(self, config: dict, check: dict) -> None:
        from . import diagnostics

        name = check["check"]
        end = time.ticks_add(time.ticks_ms(), int(check.get("timeout_s", 1) * 1000))
        while True:
            try:
                passed, why = diagnostics.ask(config, check)
            except OtaError as e:
                self.fail("check-" + name, str(e))
                return
            if passed:
                say("check", name, "ok")
                return
            if time.ticks_diff(end, time.ticks_ms()) <= 0:
                self.fail("check-" + name, why or "timeout")
            time.sleep_ms(100)

    def healthy(self) -> None:
        """The application's own word; the next tick confirms if all else has passed."""
        self._healthy = True

    def app_started(self) -> None:
        """From here the application must run for settle_s without raising."""
        if self._app_since is None:
            self._app_since = time.ticks_ms()

    def confirm(self) -> None:
        """Mark valid, read back, record, reset. Fails the trial if otadata does not take it."""
        try:
            self._slots.confirm()
        except OtaError as e:
            self.fail(e.code, e.detail)
        if self._ours:
            self._record.confirmed()
        say("confirmed", self.version)
        self._reset()

    def fail(self, reason: str, detail: str = "") -> None:
        """Record why, and reset: the bootloader goes back to the old release. Does not return."""
        say("failed", self.version, reason, detail)
        try:
            if self._ours:
                self._record.fail(reason, detail)
            if self._slots.state(self._slots.running_label()) == slots.NEW:
                # a bootloader from before v1.21 knows no rollback: switch back by hand
                self._slots.next_slot().set_boot()
        finally:
            self._reset()

    def _reset(self) -> None:
        self._timer.deinit()
        machine.reset()


def _timer() -> machine.Timer:
    # -1 is a virtual timer from 1.29 on and the last hardware timer before; where it is refused
    # the chip has four timers, or two.
    for number in (-1, 3, 1):
        try:
            return machine.Timer(number)
        except ValueError:
            pass
    raise OtaError("timer")
