"""Firmware files: find the app image in what a person downloaded, and have esptool check it."""

import contextlib
import io
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from esptool.bin_image import LoadFirmwareImage
from esptool.util import FatalError

from otactl.errors import ReleaseError

CHIPS = {
    0: "esp32", 2: "esp32s2", 5: "esp32c3", 9: "esp32s3", 12: "esp32c2", 13: "esp32c6",
    16: "esp32h2", 18: "esp32p4", 20: "esp32c61", 23: "esp32c5",
}  # fmt: skip
_MAGIC = 0xE9
_DESC_MAGIC = 0xABCD5432
_DESC_OFFSET = 32
_TABLE_OFFSETS = (0x7000, 0x8000, 0x6000)  # in a file that starts at the bootloader: 0x1000, 0, 0x2000
_TABLE_IN_FLASH = 0x8000
_ROW = struct.Struct("<2sBBLL16sL")
_OTHERS = {
    b"\x7fELF": "an ELF file; publish the .bin or .app-bin of the same build",
    b"UF2\n": "a UF2 file; publish the .bin or .app-bin of the same build",
    b"PK\x03\x04": "a ZIP archive; unpack it first",
    b"\x1f\x8b": "a gzip file; unpack it first",
    b"<": "a web page; the download went wrong",
}


@dataclass(frozen=True, slots=True)
class Firmware:
    """An app image fit to publish. `note`: what was done to the file to get it."""

    app: bytes
    chip: str
    idf: str
    built: str
    note: str


def load(path: Path) -> Firmware:
    """Raises ReleaseError that says what the file is instead, or what is damaged."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ReleaseError(f"{path}: {error.strerror}") from None
    app, note = extract(data, str(path))
    chip = CHIPS.get(int.from_bytes(app[12:14], "little"))
    if chip is None:
        raise ReleaseError(f"{path}: made for chip id {int.from_bytes(app[12:14], 'little')}, which is not known")
    length = check(app, chip, str(path))
    if len(app) > length and not app[length:].strip(b"\xff\0"):
        app = app[:length]  # padding of a slot that was read back
    built = f"{_text(app, 128, 16)} {_text(app, 112, 16)}".strip()
    return Firmware(app, chip, _text(app, 144, 32), built, note)


def extract(data: bytes, name: str) -> tuple[bytes, str]:
    """(app image, note) of a file that is one, or of a full-flash file. Raises ReleaseError."""
    if _is_app(data):
        return data, ""
    for table_at in _TABLE_OFFSETS:
        base = _TABLE_IN_FLASH - table_at
        for row in _rows(data[table_at : table_at + 0xC00]):
            _, kind, _, offset, size, label, _ = row
            if kind:
                continue
            app = data[offset - base : offset - base + size]
            if not _is_app(app):
                raise ReleaseError(f"{name}: a full-flash file whose app partition holds no app image")
            where = label.rstrip(b"\0").decode("latin-1")
            return app, f"a full-flash file: took the app out of its partition {where} at {offset:#x}"
    for magic, what in _OTHERS.items():
        if data.startswith(magic):
            raise ReleaseError(f"{name}: {what}")
    if data[:1] == bytes([_MAGIC]):
        raise ReleaseError(f"{name}: an ESP image without application descriptor (a bootloader?); need the app")
    raise ReleaseError(f"{name}: not ESP32 firmware ({'empty' if not data else 'begins ' + data[:4].hex()})")


def check(app: bytes, chip: str, name: str) -> int:
    """esptool's checks: structure, checksum, SHA-256. Gives the image's length in bytes. Raises ReleaseError."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            image: Any = LoadFirmwareImage(chip, app)
            sound = image.checksum == image.calculate_checksum()
    except (FatalError, struct.error, IndexError, ValueError) as error:
        raise ReleaseError(f"{name}: damaged or cut short, esptool says: {error}") from None
    if not sound:
        raise ReleaseError(f"{name}: damaged: its checksum is wrong; download or build it again")
    if image.append_digest:
        if image.stored_digest != image.calc_digest:
            raise ReleaseError(f"{name}: damaged: its SHA-256 is wrong; download or build it again")
        return int(image.data_length) + 32
    end = max(s.file_offs + len(s.data) for s in image.segments) if image.segments else 24
    return (int(end) + 16) & ~15


def _is_app(data: bytes) -> bool:
    descriptor = data[_DESC_OFFSET : _DESC_OFFSET + 4]
    return data[:1] == bytes([_MAGIC]) and descriptor == _DESC_MAGIC.to_bytes(4, "little")


def _rows(table: bytes) -> list[tuple[Any, ...]]:
    rows = [_ROW.unpack_from(table, at) for at in range(0, len(table) - _ROW.size + 1, _ROW.size)]
    found = []
    for row in rows:
        if row[0] != b"\xaa\x50":
            break
        found.append(row)
    return found


def _text(data: bytes, offset: int, size: int) -> str:
    return data[offset : offset + size].split(b"\0")[0].decode("latin-1")
