"""The data that a confirmed release has staged: it is done with before anything else takes that job's place, and of all others
nothing stays. Here whether or not the configuration names `data` today: it did when the release came."""

import os

import machine

from ..boot import record, slots
from ..console import say
from ..errors import OtaError, require


def place(found: slots.Slots, kept: record.Record, view: memoryview) -> None:
    """finish(), and a reset: whatever has read the partition before reads it anew."""
    if finish(found, kept, view):
        machine.reset()


def finish(found: slots.Slots, kept: record.Record, view: memoryview) -> bool:
    """Copy it into its partition, or say why not, and let go of it; of any other release too: who goes on with that stages it anew.
    Whether something was to be copied. Raises OtaError record."""
    job = kept.job
    noted: "list | None" = job.get("data")
    confirmed = job["phase"] == "confirmed"
    if noted and confirmed:
        try:
            from .. import config

            may = config.load()["data"]
            require(may, "partition", noted[0])  # nor is the module there any more that would copy
            from . import data

            data.place(found.running, noted, may, view)
        except OtaError as e:  # it would not do better the next time
            say("error", e)
            job["reason"], job["detail"] = e.code, e.detail
    try:
        os.remove("/etc/ota/staged")  # as data.py has it, whoever noted it: its job's place may be taken
    except OSError:
        pass
    if noted and (confirmed or job["phase"] == "failed"):
        job["data"] = None
        kept.save("job")
    return confirmed and noted is not None
