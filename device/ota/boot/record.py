"""What must outlive a reset: `job` is the update at hand, written whole before the flash operation that it announces;
`offset` counts the job's bytes that are surely in flash, an entry of its own at a sixth of the wear; `state` is what
the board has come to. What a slot holds is known by content: by a mark of its bytes, not by its place."""

from micropython import const

from ..errors import OtaError, clean
from . import slots, store

_FAILED_KEPT = const(6)
_RELEASES_KEPT = const(4)
_NO_JOB = {
    "phase": "idle",  # writing, ready (the slot is whole), trial, confirmed, failed
    "version": None, "sequence": 0, "security_version": 0, "size": 0, "sha256": "", "slot": None,
    "app": "",  # of its application: the archive's hash, or how that begins; empty where it has none
    "mark": "",  # of the slot, once the image is whole
    "came_from": None,  # the slot that ran when the job began, or None: the way back
    "home": "",  # the mark of its head
    "rollback": False,  # a return to what a slot holds already
    "back": None,  # the slot that a failed trial went back to by hand
    "etag": None,  # of the file that the bytes in flash came from
    "switches": 0, "restarts": 0,  # tries of set_boot(); soft resets of a trial
    "wear": None,  # of the slot, as install/sectors.py counts it
    "spoiled": 0,  # times that flash did not hold what was written of this image
    "reason": None, "detail": None, "told": True, "remember": False,
}  # fmt: skip
_NO_STATE: dict = {
    # [slot, version, sequence, security_version, size, sha256, mark, the beginning of app] of what was confirmed, the
    # newest last
    "releases": [],
    "floor_sequence": 0, "floor_security": 0,  # P7
    "failed": [],  # P6: [sequence, reason], the oldest first
    "held": None,  # [sequence, trials, looks to wait]: its trial met a network that was down
    "refused": None,  # [code, detail] of the last pass, if it ended so
    "heard": None,  # the newest that its channel has told, as release/fresh.hear() writes it
}  # fmt: skip
_FACTS = ("version", "sequence", "security_version", "size", "sha256", "app")
_loaded = None


def load() -> "Record":
    """The one record of the program. Raises OtaError record."""
    global _loaded
    if _loaded is None:
        _loaded = Record()
    return _loaded


class Record:
    """Who changes `job` or `state` calls `save`; what says "written" has. All raise OtaError record."""

    up_ms = 0  # since this start, at the last look that told it

    def __init__(self) -> None:
        self._documents = {"job": store.Document("job", _NO_JOB), "state": store.Document("state", _NO_STATE)}
        self.offset = store.number("offset")
        if self.job["remember"] and not self.reason_of(self.job["sequence"]):  # NVS had room for the job alone
            self.remember(self.job["sequence"], self.job["reason"])

    @property
    def job(self) -> dict:
        return self._documents["job"].value

    @property
    def state(self) -> dict:
        return self._documents["state"].value

    def save(self, which: str) -> None:
        """Write "job" or "state"."""
        self._documents[which].save()

    def note(self, key: str, value: object) -> None:
        """An entry of `state` changes, where NVS takes it: a look goes on without. Raises nothing."""
        if self.state[key] != value:
            self.state[key] = value
            try:
                self.save("state")
            except OtaError:
                pass

    # --- a job ----------------------------------------------------------------------------------------------------

    def begin(self, offer: dict, slot, came_from, phase: str = "writing", *, rollback: bool = False) -> None:
        """A new job takes the place of whatever was there. `came_from`: the slot to go back to, None where it is not known.
        Written."""
        self.progress(0)
        spoiled = self.job["spoiled"] if self.job["sha256"] == offer.get("sha256") else 0
        job = self._documents["job"].value = dict(_NO_JOB, phase=phase, slot=slot.info()[4])
        self.set_home(came_from)
        job.update({key: value for key, value in offer.items() if key in _FACTS})
        job["rollback"], job["spoiled"] = rollback, spoiled
        if rollback:
            job["mark"] = slots.mark(slot, job["size"])
        self.save("job")

    def set_home(self, slot) -> None:
        """The slot that the job goes back to, or None."""
        self.job["came_from"] = slot and slot.info()[4]
        self.job["home"] = slots.mark(slot, 0) if slot else ""

    def is_home(self, slot) -> bool:
        """Whether `slot` holds what the job began from, which was confirmed then (P2)."""
        return (
            bool(self.job["home"])
            and self.job["came_from"] == slot.info()[4]
            and self.job["home"] == slots.mark(slot, 0)
        )

    def progress(self, offset: int) -> None:
        """The bytes below `offset` are in flash. Written; allocates nothing."""
        self.offset = offset
        store.set_number("offset", offset)

    def fail(self, reason: str, detail: object = "", *, remember: bool = True, told: bool = False) -> None:
        """The job ends here; `remember`: its release is not tried again (P6); `told`: nothing was rolled back. Written."""
        remember = remember and self.job["sequence"] > 0
        self.job.update(phase="failed", reason=reason, detail=clean(detail), told=told, remember=remember)
        try:
            if remember:
                self.remember(self.job["sequence"], reason)
                self.save("state")
        finally:
            self.save("job")  # where NVS has room for this alone, the next boot remembers from it

    def remember(self, sequence: int, reason: str) -> None:
        """This release is never to be tried again."""
        failed = [f for f in self.state["failed"] if f[0] != sequence]
        self.state["failed"] = (failed + [[sequence, reason]])[-_FAILED_KEPT:]

    def reason_of(self, sequence: int) -> "str | None":
        """Why a release is not tried again; None where it may be."""
        for known, reason in self.state["failed"]:
            if known == sequence:
                return reason
        return None

    def hold(self) -> None:
        """The job's trial met a network that was down: it waits for twice as many looks as the last time, so that a
        release that cannot reach the network itself is no loop either. Written."""
        held = self.state["held"]
        trials = held[1] + 1 if held and held[0] == self.job["sequence"] else 1
        self.state["held"] = [self.job["sequence"], trials, (1 << min(trials, 10)) - 1]
        self.save("state")

    # --- what slots hold ------------------------------------------------------------------------------------------

    def release_in(self, slot) -> "dict | None":
        """The release that a slot holds, as one look at two of its sectors tells; None where it is not known."""
        label = slot.info()[4]
        for entry in self.state["releases"]:
            if entry[0] == label and entry[6] == slots.mark(slot, entry[4]):
                return dict(zip(_FACTS, entry[1:6] + entry[7:]))
        return None

    def confirmed(self, slot) -> None:
        """The job's release is what `slot` runs now. Written."""
        job = self.job
        for left in self.state["releases"]:
            if job["rollback"] and left[0] == job["came_from"] and left[2] != job["sequence"]:
                self.remember(left[2], "rollback")
        self.installed(job, slot)
        job.update(phase="confirmed", reason=None, detail=None)
        self.save("job")

    def installed(self, release: dict, slot) -> None:
        """The image in `slot` runs, is this release, and good; both floors rise to it. Written."""
        state, label = self.state, slot.info()[4]
        entry = [label] + [release[key] for key in _FACTS]
        entry[6:] = [slots.mark(slot, release["size"]), entry[6][:16]]
        others = [r for r in state["releases"] if r[0] != label]
        state["releases"] = (others + [entry])[-_RELEASES_KEPT:]
        state["floor_sequence"] = max(state["floor_sequence"], release["sequence"])
        state["floor_security"] = max(state["floor_security"], release["security_version"])
        state["held"] = None
        self.save("state")

    def forget(self, label: str) -> None:
        """What this slot holds is going to be overwritten. Written."""
        others = [r for r in self.state["releases"] if r[0] != label]
        if others != self.state["releases"]:
            self.state["releases"] = others
            self.save("state")
