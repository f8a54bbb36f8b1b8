"""Firmware files: find the app image in what a person downloaded, and have esptool check it.

Source of the offsets: ESP-IDF esp_app_format.h, esp_app_desc.h, esp_flash_partitions.h; that a
full-flash file begins at the bootloader's offset: MicroPython ports/esp32/makeimg.py.
"""

import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vboard.flash.table import TABLE_OFFSET, TABLE_SIZE, Row, Table, TableError  # pure Python: runs on any system

from otactl.errors import ReleaseError
from otactl.files import read_named

CHIPS = {
    0: "esp32", 2: "esp32s2", 5: "esp32c3", 9: "esp32s3", 12: "esp32c2", 13: "esp32c6",
    16: "esp32h2", 18: "esp32p4", 20: "esp32c61", 23: "esp32c5", 25: "esp32h21", 28: "esp32h4",
}  # fmt: skip
_MAGIC = 0xE9
_HEAD = 24  # bytes of an image's header
_SEGMENT_HEAD = 8
_CHIP_ID = 12
_DESC_OFFSET = 32
_DESC_MAGIC = b"\x32\x54\xcd\xab"
_SECURE_VERSION = _DESC_OFFSET + 4
HEAD = _DESC_OFFSET + 256  # bytes: header, first segment's header, application descriptor
_DATE, _TIME, _IDF = _DESC_OFFSET + 96, _DESC_OFFSET + 80, _DESC_OFFSET + 112
_BASES = (0x1000, 0x0, 0x2000)  # flash offsets that a full-flash file may begin at
_WIDEST_FLASH = 1 << 32  # bytes; a file does not say how large the chip's flash is
_SECTOR = 4096
_FIRST_FIT = (1, 23)  # the MicroPython from which on the agent runs
_FIRST_WITH_FILES = (1, 26)  # and from which on it needs no row for files: its partition table ends with one it makes
# as the banner and sys.version have it; 1.23.0-preview may be fit or not
_MICROPYTHON = re.compile(rb"MicroPython v(\d+\.\d+(?:\.\d+)?)[-\w.]* on \d{4}-\d\d-\d\d")
_DIGEST = 32  # bytes of the SHA-256 behind an image
_OTHERS = {
    b"\x7fELF": "an ELF file; publish the .bin or .app-bin of the same build",
    b"UF2\n": "a UF2 file; publish the .bin or .app-bin of the same build",
    b"PK\x03\x04": "a ZIP archive; unpack it first",
    b"\x1f\x8b": "a gzip file; unpack it first",
    b"\xcf\xb6\x88\x07": "an encrypted image (esp_encrypted_img); publish it before encryption",
    b"\xaa\x50": "a partition table; publish the app",
    b"<": "a web page; the download went wrong",
    b"\xff" * 16: "blank flash contents",
}


@dataclass(frozen=True, slots=True)
class Firmware:
    """A whole app image. `note`: what was done to the file to get it. `micropython`: 1.26.1, empty where untold.
    `signed_by`: the digests (hex) of the keys in its own signature sector, as image_signature.signers().
    `secure_version`: its own, which ESP-IDF's anti-rollback goes by."""

    app: bytes
    chip: str
    idf: str
    built: str
    note: str
    micropython: str = ""
    signed_by: tuple[str, ...] = ()
    secure_version: int = 0


def load(path: Path, image_key: Path | None = None) -> Firmware:
    """`image_key`: a PEM to sign the image itself with, as espsecure does.

    Raises ReleaseError that says what the file is instead, or what is damaged; UsageError where there is none.
    """
    from otactl.release import image_signature  # which loads espsecure

    app, note = extract(read_named(path), str(path))
    number = int.from_bytes(app[_CHIP_ID : _CHIP_ID + 2], "little")
    if number not in CHIPS:
        raise ReleaseError(f"{path}: made for chip id {number}, which otactl does not know")
    chip = CHIPS[number]
    end = check(app, chip, str(path))
    app = _trim(app, end)
    if image_key:
        app = image_signature.sign(app, image_key)
    signed_by = image_signature.signers(app, end, str(path))
    built = f"{_text(app, _DATE, 16)} {_text(app, _TIME, 16)}".strip()
    return Firmware(app, chip, _text(app, _IDF, 32), built, note, micropython(app), signed_by, secure_version(app))


def secure_version(head: bytes) -> int:
    """That of an app image, from its first HEAD bytes; 0 where it has no descriptor."""
    if head[_DESC_OFFSET : _DESC_OFFSET + 4] != _DESC_MAGIC:
        return 0
    return int.from_bytes(head[_SECURE_VERSION : _SECURE_VERSION + 4], "little")


def for_agent(path: Path, image_key: Path | None = None) -> Firmware:
    """A firmware that the agent runs on, or that does not say what it is. Raises ReleaseError, UsageError as `load`."""
    found = load(path, image_key)
    if found.micropython and too_old(found.micropython):
        first = ".".join(map(str, _FIRST_FIT))
        raise ReleaseError(f"{path}: MicroPython {found.micropython}, too old for the agent: take {first} or newer")
    return found


def too_old(version: str) -> bool:
    """Whether the agent does not run on this version of MicroPython: 1.22.2."""
    return _is_before(version, _FIRST_FIT)


def advice(found: Firmware) -> str | None:
    """What is to be known of a firmware that boards are about to get; None where there is nothing."""
    if found.micropython and _is_before(found.micropython, _FIRST_WITH_FILES):
        return (
            f"MicroPython {found.micropython} finds files in a vfs partition only, which 1.26 and newer make by themselves: "
            "a board without that row loses sight of its files, and stays in the trial until it is reset"
        )
    return None


def _is_before(version: str, first: tuple[int, int]) -> bool:
    return tuple(map(int, version.split(".")))[:2] < first


def extract(data: bytes, name: str) -> tuple[bytes, str]:
    """(app image, note) of a file that is one, or of a full-flash file.

    The app of a full-flash file is that of its first app partition, with what follows it there.
    Raises ReleaseError that says what the file is instead.
    """
    if _is_app(data):
        return data, ""
    for base in _BASES:
        at = TABLE_OFFSET - base
        for row in _app_rows(data[at : at + TABLE_SIZE]):
            app = data[row.offset - base : row.end - base]
            where = f"its partition {row.label} at {row.offset:#x}"
            if not _is_app(app):
                raise ReleaseError(f"{name}: a full-flash file, but {where} holds no app image")
            return app, f"a full-flash file: took the app out of {where}"
    raise ReleaseError(f"{name}: {_what_else(data)}")


def check(app: bytes, chip: str, name: str) -> int:
    """esptool's checks: structure, checksum, SHA-256. Gives the image's length in bytes.

    Raises ReleaseError.
    """
    from esptool.bin_image import LoadFirmwareImage  # esptool takes a while to load, and most callers want CHIPS

    from otactl.release import silent

    silent.esptool()
    try:
        image: Any = LoadFirmwareImage(chip, app)
        sound = image.checksum == image.calculate_checksum()
    except (RuntimeError, struct.error, IndexError, TypeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise ReleaseError(f"{name}: damaged or cut short; esptool says: {reason}") from None
    if not sound:
        raise ReleaseError(f"{name}: damaged, its checksum is wrong; download or build it again")
    if image.append_digest:
        if image.stored_digest != image.calc_digest:
            raise ReleaseError(f"{name}: damaged or cut short, its SHA-256 is wrong; download or build it again")
        return int(image.data_length) + _DIGEST
    # esptool's file_offs is that of a segment's header, not of its data
    ends = [s.file_offs + _SEGMENT_HEAD + len(s.data) for s in image.segments]
    return (int(max(ends, default=_HEAD)) + 16) & ~15


def _trim(app: bytes, length: int) -> bytes:
    """Without the padding of a slot; what else follows an image (a signature block) stays."""
    rest = app[length:]
    if not rest.strip(b"\xff\0"):
        return app[:length]
    used = length + len(rest.rstrip(b"\xff"))
    return app[: -(-used // _SECTOR) * _SECTOR]


def _is_app(data: bytes) -> bool:
    return data[:1] == bytes([_MAGIC]) and data[_DESC_OFFSET : _DESC_OFFSET + 4] == _DESC_MAGIC


def _app_rows(sector: bytes) -> list[Row]:
    """None where this is no whole partition table."""
    try:
        table = Table.from_bytes(sector, _WIDEST_FLASH, require_md5=False)
    except TableError:
        return []
    return [row for row in table.rows if row.is_app]


def _what_else(data: bytes) -> str:
    for magic, what in _OTHERS.items():
        if data.startswith(magic):
            return what
    if data[:1] == bytes([_MAGIC]):
        return "an ESP image without application descriptor (a bootloader?); publish the app"
    if not data:
        return "an empty file"
    return f"not ESP32 firmware (it begins with {data[:8].hex(' ')})"


def micropython(app: bytes) -> str:
    """The version in an app image; empty where it names none, or several: frozen modules and data may hold any text."""
    found = {match[1].decode() for match in _MICROPYTHON.finditer(app)}
    return found.pop() if len(found) == 1 else ""


def _text(data: bytes, offset: int, size: int) -> str:
    return data[offset : offset + size].split(b"\0")[0].decode("latin-1")
