"""The data that a confirmed release has staged behind its image: it is done with before anything else takes that job's place.
Here whether or not the configuration names `data` today: it did when the release came."""

import machine

from .. import config
from ..boot import record, slots
from ..console import say
from ..errors import OtaError, require


def place(found: slots.Slots, kept: record.Record, view: memoryview) -> None:
    """finish(), and a reset: whatever has read the partition before reads it anew."""
    if finish(found, kept, view):
        machine.reset()


def finish(found: slots.Slots, kept: record.Record, view: memoryview) -> bool:
    """Copy it into its partition, or say why not, and let go of it. Whether there was any. Raises OtaError record."""
    job = kept.job
    if not job.get("data") or job["phase"] != "confirmed":
        return False
    try:
        may = config.load()["data"]
        require(may, "partition", job["data"][0])  # nor is the module there any more that would copy
        from . import data

        data.place(found.running, job["data"], may, view)
    except OtaError as e:  # it would not do better the next time
        say("error", e)
        job["reason"], job["detail"] = e.code, e.detail
    job["data"] = None
    kept.save("job")
    return True
