"""What must outlive a reset, in NVS. What cannot be read is as new. `job` is the update at hand: one write moves it
whole, before the flash operation that it announces. `offset` counts the job's bytes that are surely in flash; an entry
of its own, it costs a sixth of the wear. `state` is what the board has come to. Job and state lie in two blobs each,
written in turn, as ESP-IDF 5 can lose the old and the new value of a blob when power goes inside its update."""

import json

from esp32 import NVS, Partition

from .errors import OtaError

_ROOM = 704  # bytes of the largest blob
_FAILED_KEPT = 6
_NO_JOB = {
    "phase": "idle",  # writing, ready (the slot is whole), trial, confirmed, failed
    "version": None, "sequence": 0, "security_version": 0, "size": 0, "sha256": "", "slot": None,
    "etag": None,  # of the file that the bytes in flash came from
    "switches": 0, "restarts": 0,  # tries of set_boot(); soft resets of a trial
    "spoiled": 0,  # downloads of this very image that were not what was signed, or did not hold
    "reason": None, "detail": None, "told": True,
}  # fmt: skip
_NO_RELEASE = {"version": None, "sequence": 0, "security_version": 0}
_NO_STATE: dict = {
    "installed": _NO_RELEASE,
    "previous": None,  # the release in the other slot, if it is whole and was confirmed once
    "floor_sequence": 0, "floor_security": 0,  # P7
    "failed": [],  # P6: [sequence, reason], the oldest first
    "refused": None,  # [code, detail] of the last pass, if it ended so
}  # fmt: skip


class Record:
    """Who changes `job` or `state` calls `save`; what says "written" has. All raise OtaError record."""

    def __init__(self) -> None:
        try:
            self._nvs = NVS("ota")
        except OSError as e:
            raise OtaError("record", e.args[0])
        self._turn: "dict[str, int]" = {}  # which -> number of its newest copy
        self.job = self._load("job", _NO_JOB)
        self.state = self._load("state", _NO_STATE)
        try:
            self.offset = self._nvs.get_i32("offset")
        except OSError:
            self.offset = 0

    def pass_remains(self) -> None:
        """Where torn writes have left something in NVS, write fillers of one entry each until one lies behind it all. What
        ESP-IDF writes over it is spoilt without an error, or forgotten at the next start. Raises nothing."""
        part, blank = Partition.find(Partition.TYPE_DATA, label="nvs")[0], b"\xff" * 32  # type: ignore[call-arg]
        head, entry = bytearray(64), bytearray(32)
        for number in range(256):
            for page in range(part.info()[3] // 4096):
                part.readblocks(page, head)
                if head[0] == 0xFE:  # active: the page that is written to
                    break
            torn = free = filled = False
            for i in range(126):  # its entries; its table has two bits for each: 3 is free, 2 is written
                part.readblocks(page, entry, 64 + 32 * i)
                state = head[32 + i // 4] >> i % 4 * 2 & 3
                free = free or state == 3
                if state != 3 or entry != blank:  # ESP-IDF may take it, or one before it, for free
                    torn = torn or free or entry[0] & entry[1] & entry[2] & entry[3] == 0xFF
                    filled = state == 2 and entry[8:14] == b"filler"
            if filled or not torn:
                return
            try:
                self._nvs.set_i32("filler", number)
            except OSError:  # full, or worse: whoever saves will say so; a trial is armed all the same
                return

    def begin(self, offer: dict, slot: str, phase: str = "writing") -> None:
        """A new job takes the place of whatever was there. Written."""
        self.progress(0)
        spoiled = self.job["spoiled"] if self.job["sha256"] == offer["sha256"] else 0
        self.job = dict(_NO_JOB, phase=phase, slot=slot, spoiled=spoiled)
        self.job.update({key: value for key, value in offer.items() if key in _NO_JOB})
        self.save("job")

    def progress(self, offset: int) -> None:
        """The bytes below `offset` are in flash. Written; allocates nothing."""
        self.offset = offset
        try:
            self._nvs.set_i32("offset", offset)
        except OSError as e:
            raise OtaError("record", e.args[0])

    def confirmed(self) -> None:
        """The job's release is what this board runs now; both floors rise to it. Written."""
        left = self.state["installed"]
        if self.job["sequence"] != left["sequence"]:
            if not self.job["sha256"]:  # a rollback
                self._remember(left["sequence"], "rollback")
            self.state["previous"] = left
        self.installed(self.job)
        self.job.update(phase="confirmed", reason=None, detail=None)
        self.save("job")

    def installed(self, release: dict) -> None:
        """The running image is this release. Written."""
        state = self.state
        state["installed"] = {key: release[key] for key in _NO_RELEASE}
        state["floor_sequence"] = max(state["floor_sequence"], release["sequence"])
        state["floor_security"] = max(state["floor_security"], release["security_version"])
        self.save("state")

    def fail(self, reason: str, detail: str = "", *, remember: bool = True) -> None:
        """The job ends here. Written."""
        if remember and self.job["sequence"]:
            self._remember(self.job["sequence"], reason)
            self.save("state")
        self.job.update(phase="failed", reason=reason, detail=detail[:80], told=not remember)
        self.save("job")

    def _remember(self, sequence: int, reason: str) -> None:  # never to be tried again (P6)
        failed = [f for f in self.state["failed"] if f[0] != sequence]
        self.state["failed"] = (failed + [[sequence, reason]])[-_FAILED_KEPT:]

    def note(self, key: str, value: object) -> None:
        """An entry of `state` changes. Written."""
        if self.state[key] != value:
            self.state[key] = value
            self.save("state")

    def save(self, which: str) -> None:
        """Write "job" or "state". Raises OtaError record."""
        turn = self._turn.get(which, 0) + 1
        try:
            self._nvs.set_blob(which + str(turn & 1), json.dumps([turn, getattr(self, which)]))
            self._nvs.commit()
        except OSError as e:
            raise OtaError("record", e.args[0])
        self._turn[which] = turn

    def _load(self, which: str, default: dict) -> dict:
        newest, raw = dict(default), bytearray(_ROOM)
        for key in (which + "0", which + "1"):
            try:
                turn, found = json.loads(bytes(raw[: self._nvs.get_blob(key, raw)]))
                if turn > self._turn.get(which, 0):
                    newest, self._turn[which] = dict(default, **found), turn
            except (OSError, ValueError, TypeError):
                pass
        return newest
