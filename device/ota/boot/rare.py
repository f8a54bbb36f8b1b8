"""What settle.py does only where something went wrong: not loaded on an ordinary boot. The names are those of the table
in decision.py."""

import machine
from micropython import const

from ..console import say
from ..errors import OtaError
from . import back, record, slots
from .settle import mend, tell, trial

_MAX_SWITCHES = const(6)  # three to the new image, three back


def _fail(kept: record.Record, reason: str) -> None:
    try:
        kept.fail(reason)
    except OtaError as e:  # NVS is full: the way back counts more
        say("error", e)


def reset(found: slots.Slots, kept: record.Record) -> None:
    machine.reset()


def damaged(found: slots.Slots, kept: record.Record) -> None:
    """The bootloader passed over what the job had put there."""
    _fail(kept, "image-damaged")
    if found.state(found.boot_label()) == "pending":
        machine.reset()  # the bootloader takes the entry back
    reclaim(found, kept)


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
    if job["phase"] == "trial" and job["came_from"] == found.label and kept.release_in(found.running):
        # Back by hand from a trial, and NVS had no room to say so: what was confirmed before needs no other trial.
        found.confirm()
        _fail(kept, "trial-crash")
        tell(kept)
        return
    try:
        kept.begin({}, found.running, "", "ready")
    except OtaError as e:  # NVS is full: the trial is armed all the same
        say("error", e)
    trial(found, kept)


def bitten(found: slots.Slots, kept: record.Record) -> None:
    """The watchdog ended a trial, and no bootloader goes back for us."""
    _fail(kept, "trial-watchdog")
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
    if slot and back.starts(found, slot, kept.job):
        machine.reset()
    kept.fail("no-rollback", remember=False)
    tell(kept)
