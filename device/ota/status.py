"""What agent.status() tells: read only."""

import sys

from . import boot, install
from .boot import record, slots
from .errors import OtaError
from .release import facts, image, keys

_JOB = "phase version sequence size wear reason detail".split()


def status() -> dict:
    """Plain values, ready for JSON. Raises OtaError no-ota-slots, record."""
    found, kept = slots.Slots(), record.load()
    installed, heard = kept.release_in(found.running) or {}, kept.state["heard"]
    job = {key: kept.job[key] for key in _JOB}
    chip = image.chip(found.running)
    return {
        "chip": chip, "build": getattr(sys.implementation, "_build", None),
        "micropython": ".".join(str(n) for n in sys.implementation.version[:3]),
        "running": found.label, "boot": found.boot_label(), "next": found.next.info()[4],
        "trial": bool(boot.current), "slots": [_slot(found, kept, slot, chip) for slot in found.all],
        "job": dict(job, offset=kept.offset),
        "installed": {key: installed.get(key, 0 if key != "version" else None)
                      for key in ("version", "sequence", "security_version")},
        "refused": kept.state["refused"], "trust": _trust(),
        "heard": heard and {"sequence": heard[1], "published": heard[2], "at": heard[3] * 86400},
        "failed": [{"sequence": f[0], "reason": f[1]} for f in kept.state["failed"]],
    }  # fmt: skip


def _trust() -> "dict | None":
    # None where configuration or keys are damaged: `refused` has told why
    from . import config

    try:
        version, trusted, threshold = keys.load(config.load()["keys"])
    except OtaError:
        return None
    return {"version": version, "release": [keyid[:16] for keyid in trusted], "threshold": threshold}


def _slot(found: slots.Slots, kept: record.Record, slot, chip: str) -> dict:
    label, size = slot.info()[4], slot.info()[3]
    head = bytearray(image.HEAD)
    slot.readblocks(0, head)
    try:
        image.check_head(head, chip)
        holds = dict(facts.of(head, chip), release=_release(kept, slot))
    except OtaError:
        holds = None
    application = _application(label) if install.applications() else None
    return {"name": label, "size": size, "state": found.state(label), "image": holds, "application": application}


def _application(label: str) -> "dict | None":
    from .install import tree

    sizes = [size for _, size in tree.walk(tree.FOLDER + label)]
    return {"files": len(sizes), "bytes": sum(sizes)} if sizes else None


def _release(kept: record.Record, slot) -> "str | None":
    # The job's, or what was confirmed there; None: something else wrote it.
    job = kept.job
    placed = job["slot"] == slot.info()[4] and job["phase"] in ("ready", "trial", "failed")
    if placed and job["mark"] and slots.mark(slot, job["size"]) == job["mark"]:
        return job["version"]
    return (kept.release_in(slot) or {}).get("version")
