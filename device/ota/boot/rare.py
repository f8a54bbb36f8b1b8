"""What settle.py does only where something went wrong: not loaded on an ordinary boot. The names are those of the table
in decision.py."""

import machine
from micropython import const

from ..console import say
from ..errors import OtaError
from . import back, record, slots
from .settle import mend, tell, trial, tried

_MAX_SWITCHES = const(6)  # three to the new image, three back


def _keep_failure(kept: record.Record, reason: str) -> None:
    try:
        kept.fail(reason)
    except OtaError as e:  # NVS is full: the way back counts more
        say("error", e)


def reset(found: slots.Slots, kept: record.Record) -> None:
    machine.reset()


def damaged(found: slots.Slots, kept: record.Record) -> None:
    """The bootloader passed over what the job had put there."""
    _keep_failure(kept, "image-damaged")
    if found.state(found.boot_label()) == "pending":
        machine.reset()  # the bootloader takes the entry back
    reclaim(found, kept)


def accept(found: slots.Slots, kept: record.Record) -> None:
    """Back by hand: what was confirmed before needs no other trial (P4)."""
    if not (kept.is_home(found.running) or kept.release_in(found.running)):
        stranger(found, kept)
        return
    found.confirm()
    tell(kept)


def fail(found: slots.Slots, kept: record.Record) -> None:
    mend(found)
    job, seen = kept.job, tried(found, kept.job)
    reason = kept.reason_of(job["sequence"])
    if not reason and seen and machine.reset_cause() > machine.PWRON_RESET:
        reason = "trial-watchdog" if machine.reset_cause() == machine.WDT_RESET else "trial-crash"
    kept.fail(reason or ("trial-power" if seen else "switch-lost"))
    tell(kept)


def retry(found: slots.Slots, kept: record.Record) -> None:
    mend(found)
    kept.job["phase"], kept.job["reason"] = "writing", "trial-power"
    kept.save("job")


def reclaim(found: slots.Slots, kept: record.Record) -> None:
    """Otadata names an image that does not start: point it back at the running one, all that is left. A new image in the
    damaged slot would share its sequence number with the old one and could not be aborted."""
    job = kept.job
    if job["phase"] == "failed" and not job["told"] and job["slot"] == found.boot_label():
        # With three slots, or a factory app, the bootloader may have taken an older release than the job came from.
        if job["came_from"] != found.label and job["switches"] < _MAX_SWITCHES:
            job["switches"] += 1  # no loop, should that not start either
            if back.to(found, kept, job["came_from"]):
                machine.reset()
    found.set_boot(found.running)
    if not found.fell_back():
        found.confirm()
    say("reclaimed", found.label)
    tell(kept)


def stranger(found: slots.Slots, kept: record.Record) -> None:
    """Another program switched: nothing is known of what runs, but how its trial ends is remembered as well."""
    job = kept.job
    if job["phase"] in ("ready", "trial") and kept.is_home(found.running) and found.state(job["slot"]) != "valid":
        _unsaid(found, kept)
        return
    try:
        kept.begin({}, found.running, _before(found), "ready")
    except OtaError as e:  # NVS is full: the trial is armed all the same
        say("error", e)
    trial(found, kept)


def _unsaid(found: slots.Slots, kept: record.Record) -> None:
    # Back by hand from a trial, and NVS had no room to say so, nor why: as if a network had ended it (P6).
    found.confirm()
    try:
        kept.hold()
        kept.fail("trial-crash", remember=False)
    except OtaError as e:
        say("error", e)
    tell(kept)


def _before(found: slots.Slots):
    """The slot that otadata named before this one, if it was confirmed; None where it was not, or nobody knows."""
    seq, state = min(found.entries())
    if seq:  # an unconfirmed one must not pass for home: to go back there is no trial (P4)
        return found.ota[(seq - 1) % len(found.ota)] if state == "valid" else None
    return found.all[0] if found.all[0] is not found.ota[0] else None  # the factory app


def bitten(found: slots.Slots, kept: record.Record) -> None:
    """The watchdog ended a trial, and no bootloader goes back for us."""
    _keep_failure(kept, "trial-watchdog")
    leave(found, kept)


def leave(found: slots.Slots, kept: record.Record) -> None:
    """What runs has failed. Where nothing else would start, the program runs, and the next release finds a way."""
    if back.go(found, kept):
        machine.reset()
    found.confirm()
    say("kept", found.label)
    tell(kept)


def switch(found: slots.Slots, kept: record.Record) -> None:
    """A rollback that power interrupted goes on."""
    mend(found)
    kept.job["switches"] += 1
    kept.save("job")
    slot = found.find(kept.job["slot"])
    if slot and back.with_application(slot, kept.job) and back.starts(found, slot, kept.job):
        machine.reset()
    kept.fail("no-rollback", remember=False)
    tell(kept)
