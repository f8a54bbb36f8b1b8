"""Full-flash files, as micropython.org offers them for a first flash by cable: bootloader, partition table, app.

Source: MicroPython ports/esp32/makeimg.py (the file begins at the bootloader's offset); ESP-IDF esp_app_format.h (the
flash's size stands in the upper half of the header's fourth byte, the image's SHA-256 behind its checksum).
"""

import struct
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from esptool.bin_image import LoadFirmwareImage
from esptool.targets import CHIP_DEFS
from esptool.util import FatalError

from otactl.errors import ReleaseError
from otactl.release import firmware, silent
from otactl.release.firmware import Firmware

HEAD = 24  # bytes of an image's header
TABLE_AT = 0x8000
_MAGIC, _SIZE_AT, _HASHED_AT = 0xE9, 3, 23
_DIGEST = 32
_SEGMENT = struct.Struct("<II")
_MOST_SEGMENTS = 16


@dataclass(frozen=True, slots=True)
class FullFlash:
    """What a full-flash file brings. `bootloader`: the image alone, for flash from `boot_at` on."""

    name: str
    firmware: Firmware
    bootloader: bytes
    boot_at: int

    @property
    def chip(self) -> str:
        return self.firmware.chip

    def bootloader_for(self, flash_size: int) -> bytes:
        """The bootloader, with `flash_size` bytes in its header: it refuses a table that goes beyond what stands there.

        Raises ReleaseError for a size that has no number there.
        """
        return with_flash_size(self.bootloader, self.chip, flash_size)


def load(path: Path) -> FullFlash:
    """Raises ReleaseError that says what the file is instead, or what is damaged, or that it is too old for the agent."""
    found = firmware.for_agent(path)
    if not found.note:
        raise ReleaseError(
            f"{path}: an app image alone, and a board needs the bootloader too: take the full-flash file of the same "
            f"build, the one that ends in .bin"
        )
    boot_at = CHIP_DEFS[found.chip].BOOTLOADER_FLASH_OFFSET
    data = path.read_bytes()
    bootloader = image(data[: TABLE_AT - boot_at])
    if bootloader is None:
        raise ReleaseError(
            f"{path}: no bootloader where a {found.chip} has one ({boot_at:#x}): download the file again"
        )
    _check(bootloader, found.chip, path)
    return FullFlash(str(path), found, bootloader, boot_at)


def image(data: bytes) -> bytes | None:
    """The image that `data` begins with, without what follows it; None where it begins with none that has an end there."""
    if len(data) < HEAD or data[0] != _MAGIC or data[1] > _MOST_SEGMENTS:
        return None
    at = HEAD
    for _ in range(data[1]):
        if at + _SEGMENT.size > len(data):
            return None
        at += _SEGMENT.size + _SEGMENT.unpack_from(data, at)[1]
    at = (at + 16) & ~15
    at += _DIGEST if data[_HASHED_AT] == 1 else 0
    return data[:at] if at <= len(data) else None


def with_flash_size(bootloader: bytes, chip: str, flash_size: int) -> bytes:
    """The image with another flash size in its header, and the SHA-256 that goes with it.

    Raises ReleaseError for a size that has no number there.
    """
    try:
        number = CHIP_DEFS[chip].parse_flash_size_arg(f"{flash_size >> 20}MB")
    except FatalError:
        raise ReleaseError(f"a bootloader for {chip} knows no flash of {flash_size >> 20} MiB") from None
    changed = bytearray(bootloader)
    changed[_SIZE_AT] = number | changed[_SIZE_AT] & 0x0F
    if changed[_HASHED_AT] == 1:
        changed[-_DIGEST:] = sha256(changed[:-_DIGEST]).digest()
    return bytes(changed)


def flash_size(header: bytes, chip: str) -> int:
    """Bytes, as a bootloader's header has it; 0 where the number means none."""
    number = header[_SIZE_AT] & 0xF0
    for said, value in CHIP_DEFS[chip].FLASH_SIZES.items():
        if value == number and said.endswith("MB"):
            return int(said.removesuffix("MB")) << 20
    return 0


def _check(bootloader: bytes, chip: str, path: Path) -> None:
    silent.esptool()
    try:
        LoadFirmwareImage(chip, bootloader).verify()
        sound = bootloader[_HASHED_AT] != 1 or sha256(bootloader[:-_DIGEST]).digest() == bootloader[-_DIGEST:]
    except (FatalError, RuntimeError, struct.error, ValueError):
        sound = False
    if not sound:
        raise ReleaseError(f"{path}: its bootloader is damaged: download the file again")
