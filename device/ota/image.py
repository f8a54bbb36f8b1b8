"""What the first bytes of a file say: is it an app image that this chip may be given? Source: ESP-IDF
esp_app_format.h (24-byte header) and esp_app_desc.h (256 bytes at offset 32)."""

import struct

from .errors import require

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


def check_head(head: "bytearray | memoryview", chip: str, revision: "int | None" = None) -> dict:
    """Facts from the first `HEAD` bytes or more of an app image; `revision` is major * 100 + minor, if known.
    Raises OtaError: not-an-image, full-flash, wrong-chip, chip-revision, no-descriptor."""
    require(len(head) >= HEAD, "not-an-image", f"{len(head)} bytes")
    magic, segments = head[0], head[1]
    chip_id, _, min_rev, max_rev, _, hashed = struct.unpack_from("<HBHHIB", head, 12)
    first_size, desc_magic, secure_version = struct.unpack_from("<III", head, 28)
    # An ESP32's flash dump is erased up to its bootloader.
    require(bytes(head[:32]) != b"\xff" * 32, "full-flash", "starts erased")
    require(magic == 0xE9, "not-an-image", bytes(head[:4]).hex())
    require(0 < segments <= 16, "not-an-image", f"{segments} segments")
    described = desc_magic == 0xABCD5432
    # What micropython.org offers first is a .bin with the bootloader at its front: an image header like any
    # other, but no descriptor, and a segment that fits in the 32 KiB before the partition table. An app's
    # first segment, its constants, is larger in every MicroPython build.
    require(described or first_size >= 0x8000, "full-flash", "starts with a bootloader")
    require(described, "no-descriptor")
    require(chip_id in CHIPS and CHIPS[chip_id] == chip, "wrong-chip", CHIPS.get(chip_id, f"chip-{chip_id}"))
    fits = revision is None or min_rev <= revision <= (max_rev or 0xFFFF)  # both stand for no upper limit
    require(fits, "chip-revision", f"{revision} not {min_rev}-{max_rev}")
    facts = {
        "chip": chip,
        "segments": segments,
        "hash_appended": hashed == 1,
        "secure_version": secure_version,
    }
    facts.update(version=_text(head, 48), project=_text(head, 80), idf=_text(head, 144))
    facts["built"] = (_text(head, 128, 16) + " " + _text(head, 112, 16)).strip()
    facts["elf_sha256"] = bytes(head[176:208]).hex()
    return facts


def _text(head: "bytearray | memoryview", offset: int, size: int = 32) -> str:
    raw = bytes(head[offset : offset + size]).split(b"\0")[0]
    return "".join(chr(c) if 32 <= c < 127 else "?" for c in raw)
