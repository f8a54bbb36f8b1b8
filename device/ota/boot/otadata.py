"""What otadata says, which MicroPython has no call for. Source: ESP-IDF esp_flash_partitions.h,
bootloader_common_loader.c: two entries of 32 bytes, each alone in a sector; of two whose crc is good the one with the
larger sequence number wins. The crc does not cover the state."""

import binascii
import struct

_STATES = ("new", "pending", "valid", "invalid", "aborted")  # pending: booted, and not confirmed yet


def states(otadata, count: int) -> "dict[int, str]":
    """Slot index (0 for ota_0) -> state of its newest good entry: one of _STATES, or undefined. `count`: the OTA slots
    from ota_0 up to the first gap."""
    found: "dict[int, str]" = {}
    newest: "dict[int, int]" = {}
    raw = bytearray(32)
    for sector in (0, 1):
        otadata.readblocks(sector, raw)
        seq, state, crc = struct.unpack("<I20xII", raw)
        index = (seq - 1) % count
        good = binascii.crc32(raw[:4], 0xFFFFFFFF) == crc and seq != 0xFFFFFFFF
        if good and seq > newest.get(index, 0):
            newest[index] = seq
            found[index] = _STATES[state] if state < len(_STATES) else "undefined"
    return found
