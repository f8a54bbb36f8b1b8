"""Slots and otadata: the agent's only door to them, and where P2, P3 and P4 are kept. MicroPython has no
call for an image's state, so otadata is decoded here. Source: ESP-IDF esp_flash_partitions.h,
bootloader_common_loader.c: two entries, each alone in a sector; of two whose crc is good the larger one wins."""

import binascii
import hashlib
import struct

from esp32 import Partition

from .errors import OtaError, require

SECTOR = 4096
_STATES = ("new", "pending", "valid", "invalid", "aborted")  # pending: booted, not yet confirmed


class Slots:
    """What runs, what boots next, what otadata says of each. Raises OtaError no-ota-slots where there are no two."""

    unsure = False  # a trial runs, whatever otadata says

    def __init__(self) -> None:
        self._otadata = Partition.find(Partition.TYPE_DATA, subtype=0)  # type: ignore[call-arg]
        self.all = [p for p in Partition.find(Partition.TYPE_APP) if 0x10 <= p.info()[1] <= 0x1F]
        require(self._otadata and len(self.all) >= 2, "no-ota-slots", len(self.all))
        self.running = Partition(Partition.RUNNING)  # type: ignore[arg-type]
        self.label = self.running.info()[4]  # of the slot that runs
        self.next = self.running.get_next_update()  # an update goes there: never the slot that runs

    def boot_label(self) -> str:  # what the next reset tries first
        return Partition(Partition.BOOT).info()[4]  # type: ignore[arg-type]

    def state(self, label: str) -> str:
        """The state in the newest good otadata entry for a slot, or undefined; none where there is none."""
        newest, found, raw = 0, "none", bytearray(32)
        for sector in (0, 1):
            self._otadata[0].readblocks(sector, raw)
            seq, state, crc = struct.unpack("<I20xII", raw)
            good = binascii.crc32(raw[:4], 0xFFFFFFFF) == crc and newest < seq < 0xFFFFFFFF
            if good and self.all[(seq - 1) % len(self.all)].info()[4] == label:
                newest, found = seq, _STATES[state] if state < len(_STATES) else "undefined"
        return found

    def fell_back(self) -> bool:
        """Whether the bootloader passed over the image that otadata names: it is damaged."""
        return self.label != self.boot_label()

    def on_trial(self) -> bool:
        """Whether the running image is what otadata boots, and is not confirmed yet."""
        return not self.fell_back() and self.state(self.label) in ("new", "pending")

    def require_confirmed(self) -> None:
        """P2: while the running image is on trial, the other slot is the only way back."""
        require(not (Slots.unsure or self.on_trial()), "unconfirmed", self.label)

    def write(self, block: int, buf: "bytearray | memoryview") -> None:
        """Erase and write sectors of the next slot. Allocates nothing. Raises OtaError flash-write."""
        try:
            self.next.writeblocks(block, buf)  # type: ignore[arg-type]
        except OSError as e:
            raise OtaError("flash-write", e.args[0])

    def switch(self, size: int, sha256: str, buf: memoryview):
        """Make the next slot the one to boot: a generator of the bytes read back so far. P3: the whole image is held
        against the signed `sha256` first. Raises OtaError unconfirmed, read-back, set-boot."""
        self.require_confirmed()
        digest = hashlib.sha256()
        yield from read_slot(self.next, size, buf, digest)
        require(digest.digest().hex() == sha256, "read-back", self.next.info()[4])
        self.set_boot(self.next)

    def set_boot(self, slot: Partition) -> None:
        """The chip checks the image once more and writes otadata. Raises OtaError set-boot."""
        try:
            slot.set_boot()
        except OSError as e:
            raise OtaError("set-boot", e.args[0])

    def confirm(self) -> None:
        """P4: mark the running image valid and read that back. Raises OtaError not-on-trial, confirm."""
        require(not self.fell_back(), "not-on-trial", self.label)
        try:
            Partition.mark_app_valid_cancel_rollback()
        except OSError as e:
            raise OtaError("confirm", e.args[0])
        require(self.state(self.label) == "valid", "confirm", self.state(self.label))

    def reclaim(self) -> None:
        """Point otadata back at the running image, all that is left: a new one in the damaged slot would share its
        sequence number with the old one and could not be aborted. Raises OtaError set-boot."""
        self.set_boot(self.running)
        if not self.fell_back():
            Partition.mark_app_valid_cancel_rollback()


def read_slot(slot: Partition, size: int, buf: memoryview, digest):
    """Hash the first `size` bytes of a slot into `digest`: a generator of the bytes done."""
    done = 0
    while done < size:
        n = min(len(buf), size - done)
        part = buf if n == len(buf) else buf[:n]
        slot.readblocks(done // SECTOR, part)  # type: ignore[call-overload]
        digest.update(part)
        done += n
        yield done
