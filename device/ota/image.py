"""What the first bytes of a file say: is it an app image that this chip may be given?

Source: ESP-IDF esp_app_format.h (24-byte header) and esp_app_desc.h (256 bytes at offset 32).
The rest of the image is checked by the signed hash, and once more by set_boot().
"""

import binascii
import struct

from .errors import OtaError

HEAD = 288  # bytes: header, first segment's header, application descriptor

# fmt: off
CHIPS = {
    "esp32": 0, "esp32s2": 2, "esp32c3": 5, "esp32s3": 9, "esp32c2": 12, "esp32c6": 13,
    "esp32h2": 16, "esp32p4": 18, "esp32c61": 20, "esp32c5": 23, "esp32h21": 25, "esp32h4": 28,
}
# fmt: on

_MAGIC = 0xE9
_DESC_MAGIC = 0xABCD5432
# A bootloader has at most 0x8000 bytes before the partition table; an app's first segment, its
# constants, is larger than that in every MicroPython build.
_BOOTLOADER_MAX = 0x8000


def chip_name(chip_id: int) -> str:
    for name, number in CHIPS.items():
        if number == chip_id:
            return name
    return f"chip-{chip_id}"


def check_head(head: "bytearray | memoryview", chip: str, revision: "int | None") -> dict:
    """Facts from the first `HEAD` bytes or more of an app image for `chip`.

    `revision` is major * 100 + minor, None where the firmware cannot tell. Raises OtaError:
    not-an-image, full-flash, wrong-chip, chip-revision, no-descriptor.
    """
    if len(head) < HEAD:
        raise OtaError("not-an-image", f"{len(head)} bytes")
    magic, segments = head[0], head[1]
    chip_id, _, min_rev, max_rev, _, hashed = struct.unpack_from("<HBHHIB", head, 12)
    first_size, desc_magic, secure_version = struct.unpack_from("<III", head, 28)
    if magic != _MAGIC:
        # A flash dump of an ESP32 begins with the erased 4 KiB before its bootloader.
        if bytes(head[:32]) == b"\xff" * 32:
            raise OtaError("full-flash", "starts erased")
        raise OtaError("not-an-image", binascii.hexlify(bytes(head[:4])).decode())
    if not 0 < segments <= 16:
        raise OtaError("not-an-image", f"{segments} segments")
    if desc_magic != _DESC_MAGIC:
        # What micropython.org offers first is a .bin with the bootloader at its front: an image
        # header like any other, but its first segment is small and has no descriptor.
        if first_size < _BOOTLOADER_MAX:
            raise OtaError("full-flash", "starts with a bootloader")
        raise OtaError("no-descriptor")
    if chip_id != CHIPS.get(chip):
        raise OtaError("wrong-chip", chip_name(chip_id))
    top = 0xFFFF if max_rev == 0 else max_rev  # both stand for no upper limit
    if revision is not None and not min_rev <= revision <= top:
        raise OtaError("chip-revision", f"{revision} not {min_rev}-{top}")
    return {
        "chip": chip,
        "segments": segments,
        "hash_appended": hashed == 1,
        "secure_version": secure_version,
        "version": _string(head, 48, 32),
        "project": _string(head, 80, 32),
        "built": (_string(head, 128, 16) + " " + _string(head, 112, 16)).strip(),
        "idf": _string(head, 144, 32),
        "elf_sha256": binascii.hexlify(bytes(head[176:208])).decode(),
    }


def _string(head: "bytearray | memoryview", offset: int, size: int) -> str:
    raw = bytes(head[offset : offset + size]).split(b"\0")[0]
    return "".join(chr(c) if 32 <= c < 127 else "?" for c in raw)
