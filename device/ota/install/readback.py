"""The target of a delta, or of a compressed image."""

from .firmware import Firmware


class ReadBack(Firmware):
    """The slot, of which nothing is hashed as it comes: each record has shown that it is the signed one, and what is made of
    them is judged by what lies in flash, read once. Nothing else may be written between that and commit()."""

    _whole = False  # it has been read, since it was written
    _wear: "list | None" = None

    def prepare(self, view: memoryview):
        """As Firmware.prepare()."""
        yield from Firmware.prepare(self, view)
        self._whole = self.offset == self.size
        if self._whole:
            self.wear = self._wear or self.wear
        else:
            self._hash = self  # type: ignore[assignment]

    def update(self, part) -> None:
        """As a hash has it: nothing is done."""

    def verify(self) -> bool:
        """As Firmware.verify(), once it has been read."""
        if self._whole:
            Firmware.verify(self)
        self._sectors, self._wear = None, self.wear  # type: ignore # reading is done with what they hold
        return not self._whole

    def commit(self, view: memoryview):
        """Switch (P3): a generator of the bytes read before. Raises OtaError unconfirmed, set-boot."""
        self._slots.require_confirmed()
        self._slots.set_boot(self._slot)
        yield self.size
