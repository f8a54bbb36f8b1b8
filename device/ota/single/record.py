"""What a board without two slots keeps across a reset: which of its two directories holds what, and which is tried. It lies
in NVS, or where the port has none in two files."""

from micropython import const

from ..errors import OtaError, clean

try:
    from ..boot.store import Document
except ImportError:
    from .files import Document  # type: ignore[assignment]

FOLDER = "/app-"  # then `a` or `b`; no module can have such a name
NEW = FOLDER + "new"  # where a release is unpacked: what is called a or b is whole
_KEPT = const(6)
_NOTHING: dict = {
    "current": None, "trying": None,  # "a" or "b"
    "starts": 0,  # of what is tried
    # version, sequence, security_version and sha256: of the current one, of what is tried, of what was there before
    "release": {}, "next": {}, "before": {},
    "floor_sequence": 0, "floor_security": 0,  # P7
    "failed": [],  # P6: [sequence, reason], the oldest first
    "reason": None, "detail": None, "told": True,  # how the last trial failed
    "refused": None, "heard": None,  # as boot/record.py has them
}  # fmt: skip
_loaded = None


def load() -> "Record":
    """The one record of the program. Raises OtaError record."""
    global _loaded
    if _loaded is None:
        _loaded = Record("single", _NOTHING)
    return _loaded


class Record(Document):
    """Its methods write at once; all but note() raise OtaError record."""

    @property
    def state(self) -> dict:
        return self.value

    def set(self, **values) -> None:
        before = {key: self.value[key] for key in values}
        self.value.update(values)
        try:
            self.save()
        except Exception:  # no memory, say: what is not written does not count
            self.value.update(before)
            raise

    def note(self, key: str, value: object) -> None:
        """An entry changes, where there is room for it: a look goes on without. Raises nothing."""
        if self.value[key] != value:
            try:
                self.set(**{key: value})
            except OtaError:
                pass

    @property
    def other(self) -> str:
        """The directory that the current application is not in."""
        return "b" if self.value["current"] == "a" else "a"

    def attempt(self, release: dict) -> None:
        """`release` lies in the other directory, whole: the next start tries it."""
        self.set(trying=self.other, starts=0, next=release, refused=None)

    def confirm(self) -> None:
        """What was tried is what runs from now on; the floors rise to it (P7)."""
        value, release = self.value, self.value["next"]
        self.set(
            current=value["trying"], trying=None, release=release, next={}, before=value["release"],
            reason=None, detail=None, told=True,
            floor_sequence=max(value["floor_sequence"], release["sequence"]),
            floor_security=max(value["floor_security"], release["security_version"]),
        )  # fmt: skip

    def fail(self, reason: str, detail: object = "") -> None:
        """What was tried is not tried again (P6): the next start takes the current one."""
        sequence = self.value["next"].get("sequence", 0)
        failed = [f for f in self.value["failed"] if f[0] != sequence] + [[sequence, reason]]
        self.set(trying=None, failed=failed[-_KEPT:], reason=reason, detail=clean(detail)[:40], told=False)
