"""The image that runs, taken along into the next slot by a release that names an application alone."""

from ..boot import slots
from ..errors import require
from . import let_go
from .firmware import Firmware


class RunningSlot:
    """The image that runs, as a source."""

    etag, ended = None, False

    def __init__(self, slot) -> None:
        self._slot = slot

    def open(self, offset: int, etag: "str | None"):
        """As HttpSource.open()."""
        self.offset = offset
        return
        yield

    def fill(self, buf: memoryview, have: int, want: int) -> int:
        """As Response.fill()."""
        self._slot.readblocks(0, buf[have:want], self.offset)
        self.offset += want - have
        return want

    def close(self) -> None:
        pass


class Copied(Firmware):
    """The image that runs, in the next slot: nothing is written where it is there already."""

    def prepare(self, view: memoryview):
        """As Firmware.prepare()."""
        kept, size = self._record, self.size
        if not kept.offset and slots.mark(self._slot, size) == slots.mark(self._slots.running, size):
            kept.offset = size
        yield from Firmware.prepare(self, view)
        self._whole = self.offset == size and self._hash.digest().hex() == self.sha256
        if self.offset == size and not self._whole:
            self.rewind()

    def verify(self) -> None:
        """Raises OtaError read-back: the image that runs is not what was signed."""
        require(self._whole or self._hash.digest().hex() == self.sha256, "read-back", self._slots.label)
        self._sectors = None  # type: ignore # as Firmware.verify()
        let_go("sectors")
