"""What a board without two slots tells of itself, and the way back by hand: rarely asked for, so loaded then."""

import sys

import machine

from ..errors import require
from ..install import tree
from . import boot, port, record


def rollback() -> None:
    """As agent.rollback() says."""
    kept = record.load()
    value = kept.value
    before = value["before"]
    require(not boot.current, "unconfirmed")
    require(before and tree.holds(kept.other, before["sha256"]), "no-rollback")
    require(before["security_version"] >= value["floor_security"], "security-version")
    kept.set(failed=(value["failed"] + [[value["release"]["sequence"], "rollback"]])[-6:])
    kept.attempt(before)
    machine.reset()


def status() -> dict:
    """As agent.status() says; the two directories stand where another board has its slots."""
    kept = record.load()
    value = kept.value
    runs = value["trying"] if boot.current else value["current"]
    known = {value["current"]: value["release"], kept.other: value["next"] or value["before"]}
    installed, job = value["release"], value["next"]
    return {
        "single": True, "chip": port.chip(), "build": getattr(sys.implementation, "_build", None),
        "micropython": ".".join(str(n) for n in sys.implementation.version[:3]),
        "running": runs, "boot": value["trying"] or value["current"], "next": kept.other,
        "trial": bool(boot.current),
        "slots": [{"name": name, "size": 0, "state": "", "image": {"release": known[name].get("version")}}
                  for name in ("a", "b") if known.get(name)],
        "job": {"phase": "trial" if value["trying"] else "failed" if value["reason"] else "idle",
                "version": job.get("version"), "sequence": job.get("sequence", 0), "size": 0, "offset": 0,
                "reason": value["reason"], "detail": value["detail"]},
        "installed": {"version": installed.get("version"), "sequence": installed.get("sequence", 0),
                      "security_version": installed.get("security_version", 0)},
        "refused": value["refused"],
        "failed": [{"sequence": f[0], "reason": f[1]} for f in value["failed"]],
    }  # fmt: skip
