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
    """As agent.status() says."""
    value = record.load().value
    return {
        "chip": port.chip(), "build": getattr(sys.implementation, "_build", None),
        "micropython": ".".join(str(n) for n in sys.implementation.version[:3]), "slots": [],
        "trial": bool(boot.current), "current": value["current"], "installed": value["release"],
        "before": value["before"], "failed": [{"sequence": f[0], "reason": f[1]} for f in value["failed"]],
        "refused": value["refused"], "job": {key: value[key] for key in ("reason", "detail")},
    }  # fmt: skip
