"""Is a file an app image for this chip? Source: ESP-IDF esp_app_format.h (24 bytes), esp_app_desc.h (256, at 32)."""

import struct

from ..errors import require

HEAD = 288  # bytes: header, first segment's header, application descriptor
CHIPS = {
    0: "esp32", 2: "esp32s2", 5: "esp32c3", 9: "esp32s3", 12: "esp32c2", 13: "esp32c6", 16: "esp32h2",
    18: "esp32p4", 20: "esp32c61", 23: "esp32c5", 25: "esp32h21", 28: "esp32h4",
}  # fmt: skip


def chip(slot) -> str:
    """The chip that the image in a slot is for: this board's, where the image is the one that runs."""
    head = bytearray(16)
    slot.readblocks(0, head)
    chip_id = head[12] | head[13] << 8
    return CHIPS.get(chip_id, f"chip-{chip_id}")


def secure_version(slot) -> int:
    """That of the app image in a slot, its own, which ESP-IDF's anti-rollback goes by: 0 unless it was built with one."""
    head = bytearray(40)
    slot.readblocks(0, head)
    return int.from_bytes(head[36:], "little")


def check_head(head: "bytearray | memoryview", chip: str) -> int:
    """Are the first `HEAD` bytes or more those of an app image for `chip`? Its revision a program cannot ask for, so
    set_boot() sees to it. Returns its secure_version. Raises OtaError: not-an-image, full-flash, wrong-chip,
    no-descriptor."""
    require(len(head) >= HEAD, "not-an-image", f"{len(head)} bytes")
    magic, segments = head[0], head[1]
    chip_id = head[12] | head[13] << 8
    first_size, desc_magic, secure = struct.unpack_from("<III", head, 28)
    require(bytes(head[:32]) != b"\xff" * 32, "full-flash", "starts erased")  # as an ESP32's dump does
    require(magic == 0xE9, "not-an-image", bytes(head[:4]).hex())
    require(0 < segments <= 16, "not-an-image", f"{segments} segments")
    described = desc_magic == 0xABCD5432
    # micropython.org's first offer is a .bin that starts with a bootloader: an image too, but without a descriptor, and
    # its first segment fits in the 32 KiB before the partition table. No MicroPython build's first, its constants, does.
    require(described or first_size >= 0x8000, "full-flash", "starts with a bootloader")
    require(described, "no-descriptor")
    require(CHIPS.get(chip_id) == chip, "wrong-chip", CHIPS.get(chip_id, f"chip-{chip_id}"))
    return secure
