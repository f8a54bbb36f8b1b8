"""Once a boot: hold the record against otadata, and do what the table in decision.py says."""

import machine
from micropython import const

from ..console import say
from ..errors import OtaError
from . import decision, record, remains, slots

_MAX_SWITCHES = const(3)


def run() -> None:
    """Raises OtaError: record, timer, set-boot. Nothing on a board without OTA slots: nothing can be on trial there."""
    try:
        found = slots.Slots()
    except OtaError:
        return
    remains.pass_over()
    kept = record.load()
    if "installed" in kept.state:
        from . import takeover

        takeover.run(found, kept)
    action = decision.decide(*situation(found, kept))
    try:
        if action in _ORDINARY:
            _ORDINARY[action](found, kept)
        else:
            from . import rare

            getattr(rare, action)(found, kept)
    except OtaError as e:
        if e.code != "record":
            raise
        say("error", e)  # NVS is full: what was to be written holds until the next boot, and looks go on


def situation(found: slots.Slots, kept: record.Record) -> "tuple[str, str, str, str, str]":
    """The words of decision.decide()."""
    job, named = kept.job, found.boot_label()
    cause = machine.reset_cause()
    end = {machine.SOFT_RESET: "soft", machine.WDT_RESET: "watchdog"}.get(cause, "hard")
    failed = job["phase"] == "failed"
    if job["slot"] == found.label:
        where = "over" if failed and job["told"] else "here"
    elif job["slot"] == named:
        where = "named"
    elif failed and not job["told"] and (job["back"] or found.label) == found.label:
        where = "back"
    else:
        where, end = "away", _end_of(found, kept, cause)
    return "fallen" if found.fell_back() else "boot", found.state(named), job["phase"], where, end


def tried(found: slots.Slots, job: dict) -> bool:
    return found.state(job["slot"]) in ("aborted", "invalid")


def _end_of(found: slots.Slots, kept: record.Record, cause: int) -> str:
    job = kept.job
    seen = tried(found, job)
    if kept.reason_of(job["sequence"]):
        return "known"
    if seen and cause > machine.PWRON_RESET:  # below: what the port has no word for, a chip's own USB with its reset
        return "failed"
    if job["switches"] >= _MAX_SWITCHES:
        return "spent"
    if job["rollback"]:
        return "again"
    return "power" if seen else "lost"


def trial(found: slots.Slots, kept: record.Record) -> None:
    """Put what runs on trial."""
    from .. import boot
    from .trial import Trial

    slots.unsure = True
    boot.current = Trial(found, kept)  # type: ignore
    boot.current.arm()  # type: ignore


def _confirmed(found: slots.Slots, kept: record.Record) -> None:
    mend(found)
    kept.confirmed(found.running)


def _rest(found: slots.Slots, kept: record.Record) -> None:
    mend(found)
    tell(kept)


def mend(found: slots.Slots) -> None:
    """What is not on trial is confirmed."""
    if found.state(found.label) == "undefined":
        found.confirm()  # power tore the state of what is confirmed: it boots all the same


def tell(kept: record.Record) -> None:
    """How the job failed, once."""
    job = kept.job
    if job["phase"] == "failed" and not job["told"]:
        job["told"] = True
        kept.save("job")
        say("rolled-back", job["version"] or "unknown", job["reason"], job["detail"])


_ORDINARY = {"rest": _rest, "trial": trial, "confirmed": _confirmed}
