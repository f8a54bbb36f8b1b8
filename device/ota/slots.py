"""Slots and otadata: the agent's only door to esp32.Partition, and where P2, P3 and P4 are kept.

MicroPython gives no call for an image's state, so otadata is read and decoded here. Source: ESP-IDF
esp_flash_partitions.h, bootloader_common_loader.c: two entries, each alone in a sector; the crc
covers the sequence number only; of two valid entries the larger number wins, a tie goes to entry 0.
"""

import binascii
import hashlib
import struct

from esp32 import Partition
from micropython import const

from .errors import OtaError

SECTOR = 4096

NEW = const(0)
PENDING = const(1)  # PENDING_VERIFY: booted once, not yet confirmed
VALID = const(2)
INVALID = const(3)
ABORTED = const(4)
UNDEFINED = const(0xFFFFFFFF)
_NAMES = {NEW: "new", PENDING: "pending", VALID: "valid", INVALID: "invalid", ABORTED: "aborted"}

_BLANK = const(0xFFFFFFFF)
_OTA_0 = const(0x10)
_OTA_LAST = const(0x1F)


def state_name(state: "int | None") -> str:
    return "none" if state is None else _NAMES.get(state, "undefined")


class Slots:
    """What runs, what boots next, what each slot's otadata entry says. Reads flash on each call."""

    def __init__(self) -> None:
        """Raises OtaError no-ota-slots on a board whose partition table has no two OTA slots."""
        self._otadata = Partition.find(Partition.TYPE_DATA, subtype=0)
        self.all = [
            p for p in Partition.find(Partition.TYPE_APP) if _OTA_0 <= p.info()[1] <= _OTA_LAST
        ]
        if not self._otadata or len(self.all) < 2:
            raise OtaError("no-ota-slots", len(self.all))
        self.running = Partition(Partition.RUNNING)

    def running_label(self) -> str:
        return self.running.info()[4]

    def boot_label(self) -> str:
        """The partition that the next reset will try first."""
        return Partition(Partition.BOOT).info()[4]

    def next_slot(self) -> Partition:
        """The slot that an update goes to: never the one that runs."""
        return self.running.get_next_update()

    def by_label(self, label: str) -> "Partition | None":
        for p in self.all:
            if p.info()[4] == label:
                return p
        return None

    def entries(self) -> "list[tuple[int, int, bool]]":
        """Both otadata entries as (sequence number, state, crc is right)."""
        found = []
        raw = bytearray(32)
        for sector in (0, 1):
            self._otadata[0].readblocks(sector, raw)
            seq, state, crc = struct.unpack("<I20xII", raw)
            found.append((seq, state, binascii.crc32(raw[:4], 0xFFFFFFFF) == crc))
        return found

    def state(self, label: str) -> "int | None":
        """The state that otadata holds for a slot; None where no good entry names it."""
        best = -1
        state = None
        for seq, found, good in self.entries():
            if good and seq != _BLANK and seq > best:
                if self.all[(seq - 1) % len(self.all)].info()[4] == label:
                    best, state = seq, found
        return state

    def on_trial(self) -> bool:
        """Whether the running image is what otadata would boot and is not confirmed yet."""
        label = self.running_label()
        return label == self.boot_label() and self.state(label) in (NEW, PENDING)

    def fell_back(self) -> bool:
        """Whether the bootloader passed over the image that otadata names, because it is damaged."""
        return self.running_label() != self.boot_label()

    def require_confirmed(self) -> None:
        """P2: while the running image is on trial the other slot is the only way back."""
        if self.on_trial():
            raise OtaError("unconfirmed", self.running_label())

    def write(self, slot: Partition, block: int, buf: "bytearray | memoryview") -> None:
        """Erase and write whole sectors at sector number `block`. Allocates nothing.

        Raises OtaError flash-write.
        """
        try:
            slot.writeblocks(block, buf)
        except OSError as e:
            raise OtaError("flash-write", e.args[0])

    def switch(self, slot: Partition, size: int, sha256: bytes, buf: memoryview):
        """Make `slot` the one to boot: a generator of the bytes read back so far (P3).

        The whole image is read from flash and held against the signed `sha256` first; set_boot()
        then has the chip check it once more. Raises OtaError read-back, set-boot.
        """
        self.require_confirmed()
        if slot.info()[4] == self.running_label():
            raise OtaError("running-slot", self.running_label())
        for done, digest in hash_slot(slot, size, buf):
            yield done
        if digest != sha256:
            raise OtaError("read-back", binascii.hexlify(digest[:4]).decode())
        try:
            slot.set_boot()
        except OSError as e:
            raise OtaError("set-boot", e.args[0])

    def confirm(self) -> None:
        """Mark the running image valid and read it back (P4). Raises OtaError not-on-trial, confirm."""
        if not self.on_trial():
            raise OtaError("not-on-trial", state_name(self.state(self.running_label())))
        try:
            Partition.mark_app_valid_cancel_rollback()
        except OSError as e:
            raise OtaError("confirm", e.args[0])
        if self.state(self.running_label()) != VALID:
            raise OtaError("confirm", state_name(self.state(self.running_label())))

    def reclaim(self) -> None:
        """Point otadata back at the running image after a fall-back from a damaged one.

        What runs was confirmed before, or is all that is left. Until this is done a new image in the
        damaged slot would share its entry with the old one, and could not be rolled back cleanly.
        """
        self.running.set_boot()
        if not self.fell_back():
            Partition.mark_app_valid_cancel_rollback()


def hash_slot(slot: Partition, size: int, buf: memoryview):
    """Read `size` bytes of a slot: a generator of (bytes done, SHA-256 digest or None until the end)."""
    h = hashlib.sha256()
    done = 0
    block = 0
    while done < size:
        n = min(len(buf), size - done)
        part = buf if n == len(buf) else buf[:n]
        slot.readblocks(block, part)
        h.update(part)
        done += n
        block += n // SECTOR
        if done < size:
            yield done, None
    yield done, h.digest()
