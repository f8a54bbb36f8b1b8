"""A record of 0.1.0, which knew one release as installed and one as previous, by their places."""

from . import record, slots

_KNEW = ("version", "sequence", "security_version")


def run(found: slots.Slots, kept: record.Record) -> None:
    """It becomes one of today's; written with the next change."""
    state, job = kept.state, kept.job
    installed, previous = state.pop("installed"), state.pop("previous", None)
    if state["releases"]:
        return
    others = [p.info()[4] for p in found.all if p.info()[4] != found.label]
    other = others[0] if len(others) == 1 else None  # with more slots nobody knows which
    unsure = job["slot"] == found.label and job["phase"] in ("ready", "trial")
    pairs = ((other, installed),) if unsure else ((other, previous), (found.label, installed))
    for label, release in pairs:
        if label and release and release["version"]:
            slot = found.find(label)
            state["releases"].append([label] + [release[key] for key in _KNEW] + [0, "", slot and slots.mark(slot, 0)])
    job["rollback"] = job["phase"] in ("ready", "trial") and not job["sha256"]
