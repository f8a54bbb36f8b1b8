"""Slots and otadata: the agent's only door to them, and where P2, P3 and P4 are kept."""

import hashlib

from esp32 import Partition

from ..errors import OtaError, require
from . import otadata

SECTOR = 4096
_SMALL = 512  # bytes: a piece that a heap full of holes has
_FACTORY, _OTA_0, _OTA_END = 0x00, 0x10, 0x20  # subtypes of app partitions

unsure = False  # a trial runs, whatever otadata says of it


class Slots:
    """What runs, what boots next, what otadata says of each. Raises OtaError no-ota-slots where there are no two."""

    def __init__(self) -> None:
        found = {p.info()[1]: p for p in Partition.find(Partition.TYPE_APP)}
        # as otadata counts them: by subtype, up to the first gap, in whatever order the table has them
        self.ota: list = []
        while _OTA_0 + len(self.ota) in found and len(self.ota) < _OTA_END - _OTA_0:
            self.ota.append(found[_OTA_0 + len(self.ota)])
        self._otadata = Partition.find(Partition.TYPE_DATA, subtype=0)  # type: ignore[call-arg]
        require(self._otadata and len(self.ota) >= 2, "no-ota-slots", len(self.ota))
        self.all = ([found[_FACTORY]] if _FACTORY in found else []) + self.ota
        self.running = Partition(Partition.RUNNING)  # type: ignore[arg-type]
        self.label = self.running.info()[4]  # of the slot that runs
        self.next = self.running.get_next_update()  # an update goes there: never the slot that runs

    def find(self, label: "str | None"):
        """The slot of that name, or None."""
        for slot in self.all:
            if slot.info()[4] == label:
                return slot
        return None

    def boot_label(self) -> str:
        """What the next reset tries first."""
        return Partition(Partition.BOOT).info()[4]  # type: ignore[arg-type]

    def state(self, label: str) -> str:
        """The state in the newest good otadata entry for a slot, or undefined; none where there is none."""
        found = otadata.states(self._otadata[0], len(self.ota))
        for index, slot in enumerate(self.ota):
            if slot.info()[4] == label:
                return found.get(index, "none")
        return "none"

    def entries(self) -> "list[tuple[int, str]]":
        """The two entries of otadata, as otadata.entries()."""
        return otadata.entries(self._otadata[0])

    def fell_back(self) -> bool:
        """Whether the bootloader passed over the image that otadata names: it is damaged."""
        return self.label != self.boot_label()

    def on_trial(self) -> bool:
        """Whether the running image is what otadata boots, and is not confirmed yet."""
        return not self.fell_back() and self.state(self.label) in ("new", "pending")

    def require_confirmed(self) -> None:
        """P2: while the running image is on trial, the slot it came from is the only way back."""
        require(not (unsure or self.on_trial()), "unconfirmed", self.label)

    def switch(self, slot, size: int, sha256: str, buf: memoryview):
        """Make `slot` the one to boot: a generator of the bytes read back so far. P3: its first `size` bytes are held
        against `sha256` (hex) first. Raises OtaError unconfirmed, read-back, set-boot."""
        self.require_confirmed()
        digest = hashlib.sha256()
        yield from read_slot(slot, size, buf, digest)
        require(digest.digest().hex() == sha256, "read-back", slot.info()[4])
        self.set_boot(slot)

    def set_boot(self, slot) -> None:
        """The chip checks the image once more and writes otadata. Raises OtaError set-boot."""
        otadata.retire(self._otadata[0], slot.info()[1] == _FACTORY)  # IDF erases all of it to name the factory app
        try:
            slot.set_boot()
        except OSError as e:
            raise OtaError("set-boot", e.args[0])

    def confirm(self) -> None:
        """P4: mark the running image valid and read that back; the factory app has no mark. Raises OtaError
        not-on-trial, confirm."""
        require(not self.fell_back(), "not-on-trial", self.label)
        if self.running.info()[1] == _FACTORY:
            return
        try:
            Partition.mark_app_valid_cancel_rollback()
        except OSError as e:
            raise OtaError("confirm", e.args[0])
        require(self.state(self.label) == "valid", "confirm", self.state(self.label))


def read_slot(slot, size: int, buf: memoryview, digest):
    """Hash the first `size` bytes of a slot into `digest`: a generator of the bytes done. Allocates nothing but for the
    last block."""
    done = 0
    while done < size:
        n = min(len(buf), size - done)
        part = buf if n == len(buf) else buf[:n]
        slot.readblocks(0, part, done)
        digest.update(part)
        done += n
        yield done


def mark(slot, size: int) -> str:
    """A short word for what a slot holds, from its first and last bytes: 16 hex digits. An image's descriptor and its own
    SHA-256 lie there, so another image has another mark; it says nothing of damage in between."""
    digest, buf = hashlib.sha256(), bytearray(_SMALL)
    slot.readblocks(0, buf)
    digest.update(buf)
    slot.readblocks(0, buf, max(size - _SMALL, 0))
    digest.update(buf)
    return digest.digest()[:8].hex()
