"""agent.rollback(): back to what was confirmed before."""

from .boot import back, record, slots
from .console import say
from .errors import OtaError
from .release import image


def begin() -> None:
    """Switch to the slot of the release that was confirmed last, of those that are whole (P3), their application too, and
    not below the security version, nor the running image's own (P7). Raises OtaError: unconfirmed, no-rollback,
    security-version, no-ota-slots, record."""
    found, kept = slots.Slots(), record.load()
    found.require_confirmed()
    refusal = OtaError("no-rollback")
    for known in reversed(kept.state["releases"]):
        slot = found.find(known[0])
        # not to one that was left by request before: it is not installed again either
        wanted = slot and known[0] != found.label and not kept.reason_of(known[2])
        release = kept.release_in(slot) if wanted else None
        if not release:
            continue
        if release["security_version"] < kept.state["floor_security"]:
            refusal = OtaError("security-version", release["security_version"])
            continue
        if image.secure_version(slot) < image.secure_version(found.running):
            refusal = OtaError("security-version", "image")
            continue
        if kept.job.get("data"):
            # it stays, as after any rollback: what power has left half copied becomes whole
            from .install import staged

            staged.finish(found, kept, memoryview(bytearray(slots.SECTOR)))
        kept.begin(release, slot, found.running, "ready", rollback=True)
        if back.with_application(slot, release) and back.starts(found, slot, release):
            say("rollback", release["version"])
            return
        kept.fail("no-rollback", known[0], remember=False, told=True)
        refusal = OtaError("no-rollback", known[0])
    raise refusal
