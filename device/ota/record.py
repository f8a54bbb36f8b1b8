"""What must outlive a reset, in NVS namespace `ota`: the job at hand, and what the board has come to.

Two blobs. `job` is one update on its way; one write moves it whole, and it is written before the
flash operation that it announces. `state` is what is installed, the floors (P7) and the releases
that failed (P6). A blob that is missing, short or of another layout reads as an empty one.
"""

import struct

from esp32 import NVS
from micropython import const

from .errors import OtaError

IDLE = const(0)
WRITING = const(1)
READY = const(2)  # the slot is whole; set_boot() is next, or was lost to power
TRIAL = const(3)
CONFIRMED = const(4)
FAILED = const(5)
PHASES = ("idle", "writing", "ready", "trial", "confirmed", "failed")

_LAYOUT = const(1)
# layout, phase, attempts, told, sequence, security version, size, offset,
# sha256, version, slot, reason, detail, etag
_JOB = "<BBBBIIII32s24s16s24s40s48s"
_OFFSET_AT = const(16)
# layout, then installed and previous (sequence, security version, version), the two floors
_STATE = "<B3xII24sII24sII"
_FAILED = "<I24s"
_FAILED_KEPT = const(6)


def _text(raw: bytes) -> str:
    return raw.split(b"\0")[0].decode()


def _raw(text: str, room: int) -> bytes:
    return text.encode()[:room]


class Job:
    """One update. `offset` counts bytes that are in flash for certain, a multiple of the sector."""

    def __init__(self) -> None:
        self.phase = IDLE
        self.attempts = 0
        self.told = 1
        self.sequence = self.security_version = self.size = self.offset = 0
        self.sha256 = bytes(32)
        self.version = self.slot = self.reason = self.detail = self.etag = ""

    def pack(self) -> bytearray:
        return bytearray(
            struct.pack(
                _JOB, _LAYOUT, self.phase, self.attempts, self.told,
                self.sequence, self.security_version, self.size, self.offset,
                self.sha256, _raw(self.version, 24), _raw(self.slot, 16),
                _raw(self.reason, 24), _raw(self.detail, 40), _raw(self.etag, 48),
            )
        )  # fmt: skip

    def unpack(self, raw: bytearray) -> None:
        (_, self.phase, self.attempts, self.told,
         self.sequence, self.security_version, self.size, self.offset,
         self.sha256, version, slot, reason, detail, etag) = struct.unpack(_JOB, raw)  # fmt: skip
        self.version, self.slot, self.etag = _text(version), _text(slot), _text(etag)
        self.reason, self.detail = _text(reason), _text(detail)


class Record:
    """Loaded when made. Every method that changes something has written it when it returns."""

    def __init__(self) -> None:
        self._nvs = NVS("ota")
        self.job = Job()
        raw = self._load("job", struct.calcsize(_JOB))
        if raw:
            self.job.unpack(raw)
        self._packed = self.job.pack()
        self.sequence = self.security_version = 0
        self.previous = (0, 0, "")
        self.version = ""
        self.floor_sequence = self.floor_security = 0
        self.failed: "list[tuple[int, str]]" = []  # (sequence, reason), the oldest first
        raw = self._load(
            "state", struct.calcsize(_STATE) + _FAILED_KEPT * struct.calcsize(_FAILED)
        )
        if raw:
            self._unpack_state(raw)

    def begin(
        self, sequence: int, security: int, version: str, size: int, sha256: bytes, slot: str
    ) -> None:
        """A new job takes the place of whatever was there."""
        job = self.job = Job()
        job.phase = WRITING
        job.sequence, job.security_version, job.version = sequence, security, version
        job.size, job.sha256, job.slot = size, sha256, slot
        self.save_job()

    def progress(self, offset: int) -> None:
        """Note that the bytes below `offset` are in flash. Allocates nothing."""
        self.job.offset = offset
        struct.pack_into("<I", self._packed, _OFFSET_AT, offset)
        self._nvs.set_blob("job", self._packed)

    def phase(self, phase: int) -> None:
        self.job.phase = phase
        self.save_job()

    def confirmed(self) -> None:
        """The job's release is what this board runs now; both floors rise to it."""
        job = self.job
        if job.sequence and job.sequence != self.sequence:
            self.previous = (self.sequence, self.security_version, self.version)
            self.sequence, self.security_version = job.sequence, job.security_version
            self.version = job.version
            self.floor_sequence = max(self.floor_sequence, job.sequence)
            self.floor_security = max(self.floor_security, job.security_version)
        self.save_state()
        job.phase, job.reason, job.detail = CONFIRMED, "", ""
        self.save_job()

    def installed(self, sequence: int, security: int, version: str) -> None:
        """The running image turned out to be this release (it came by cable)."""
        self.sequence, self.security_version, self.version = sequence, security, version
        self.floor_sequence = max(self.floor_sequence, sequence)
        self.floor_security = max(self.floor_security, security)
        self.save_state()

    def fail(self, reason: str, detail: str = "", remember: bool = True) -> None:
        """The job ends here. `remember`: never try this release again (P6)."""
        job = self.job
        if remember and job.sequence:
            self.remember(job.sequence, reason)
        job.phase, job.reason, job.detail, job.told = FAILED, reason, detail, 0
        self.save_job()

    def remember(self, sequence: int, reason: str) -> None:
        kept = [f for f in self.failed if f[0] != sequence]
        self.failed = (kept + [(sequence, reason)])[-_FAILED_KEPT:]
        self.save_state()

    def save_job(self) -> None:
        self._packed = self.job.pack()
        self._save("job", self._packed)

    def save_state(self) -> None:
        raw = struct.pack(
            _STATE, _LAYOUT, self.sequence, self.security_version, _raw(self.version, 24),
            self.previous[0], self.previous[1], _raw(self.previous[2], 24),
            self.floor_sequence, self.floor_security,
        )  # fmt: skip
        kept = self.failed + [(0, "")] * (_FAILED_KEPT - len(self.failed))
        for sequence, reason in kept:
            raw += struct.pack(_FAILED, sequence, _raw(reason, 24))
        self._save("state", raw)

    def _unpack_state(self, raw: bytearray) -> None:
        (_, self.sequence, self.security_version, version, sequence, security, previous,
         self.floor_sequence, self.floor_security) = struct.unpack_from(_STATE, raw)  # fmt: skip
        self.version = _text(version)
        self.previous = (sequence, security, _text(previous))
        at = struct.calcsize(_STATE)
        for _ in range(_FAILED_KEPT):
            sequence, reason = struct.unpack_from(_FAILED, raw, at)
            if sequence:
                self.failed.append((sequence, _text(reason)))
            at += struct.calcsize(_FAILED)

    def _load(self, key: str, size: int) -> "bytearray | None":
        raw = bytearray(size)
        try:
            found = self._nvs.get_blob(key, raw)
        except OSError:
            return None  # not there, or longer than this layout knows
        return raw if found == size and raw[0] == _LAYOUT else None

    def _save(self, key: str, raw: "bytes | bytearray") -> None:
        try:
            self._nvs.set_blob(key, raw)
            self._nvs.commit()
        except OSError as e:
            raise OtaError("record", e.args[0])
