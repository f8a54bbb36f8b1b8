"""What otadata says, which MicroPython has no call for. Source: ESP-IDF esp_flash_partitions.h,
bootloader_common_loader.c: two entries of 32 bytes, each alone in a sector; of two whose crc is good the one with the
larger sequence number wins. The crc does not cover the state."""

import binascii
import struct

_STATES = ("new", "pending", "valid", "invalid", "aborted")  # pending: booted, and not confirmed yet
_GIVEN_UP = ("invalid", "aborted")
_SEQ_BLANK = 0xFFFFFFFF
_CRC_AT = 28


def entries(otadata) -> "list[tuple[int, str]]":
    """Sequence number (0: blank, or the crc is wrong) and state of the two."""
    found, raw = [], bytearray(32)
    for sector in (0, 1):
        otadata.readblocks(sector, raw)
        seq, state, crc = struct.unpack("<I20xII", raw)
        good = binascii.crc32(raw[:4], 0xFFFFFFFF) == crc and seq != _SEQ_BLANK
        found.append((seq if good else 0, _STATES[state] if state < len(_STATES) else "undefined"))
    return found


def states(otadata, count: int) -> "dict[int, str]":
    """Slot index (0 for ota_0) -> state of its newest good entry: one of _STATES, or undefined. `count`: the OTA slots
    from ota_0 up to the first gap."""
    found: "dict[int, str]" = {}
    newest: "dict[int, int]" = {}
    for seq, state in entries(otadata):
        index = (seq - 1) % count
        if seq > newest.get(index, 0):
            newest[index] = seq
            found[index] = state
    return found


def retire(otadata, erased: bool) -> None:
    """Spoil the crc of what a torn erase must not bring back: it can turn `aborted` into no state at all, which the
    bootloader starts, without a trial. A program only clears bits: however torn, it leaves the entry as dead as it was.
    `erased`: both are going to be erased, so that the older one must not outlive the other. Raises nothing."""
    both = entries(otadata)
    newest = max([0] + [seq for seq, state in both if state not in _GIVEN_UP])
    for sector, (seq, state) in enumerate(both):
        if seq and (state in _GIVEN_UP or (erased and seq != newest)):
            try:
                otadata.writeblocks(sector, bytes(4), _CRC_AT)  # with an offset: no erase
            except OSError:  # encrypted flash takes no four bytes: as it would have been
                pass
