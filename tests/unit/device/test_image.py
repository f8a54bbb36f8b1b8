"""device/ota/release/image.py and facts.py on the heads of real firmware and of spoiled ones."""

import struct
from pathlib import Path
from typing import Any

import pytest

from .conftest import Run

FIRMWARE = Path(__file__).resolve().parents[4] / "shared" / "firmware"

CHECK = """
    import binascii
    from ota.release import facts, image
    head = memoryview(binascii.unhexlify(args["head"]))
    def check_head():
        image.check_head(head, args["chip"])
        return facts.of(head, args["chip"])
    print(json.dumps(attempt(check_head)))
"""


def check(mpy: Run, head: bytes, chip: str = "esp32") -> Any:
    return mpy(CHECK, head=head[:4096].hex(), chip=chip)


def head(
    *,
    magic: int = 0xE9,
    segments: int = 7,
    chip_id: int = 0,
    min_rev: int = 0,
    max_rev: int = 399,
    first_size: int = 0x40000,
    descriptor: int = 0xABCD5432,
) -> bytes:
    """The head of an app image as esptool writes it, in ESP-IDF's layout."""
    header = struct.pack(
        "<BBBBIBBBBHBHH4BB",
        *(magic, segments, 2, 0x20, 0x40081234, 0xEE, 0, 0, 0),
        *(chip_id, 0, min_rev, max_rev, 0, 0, 0, 0, 1),
    )
    segment = struct.pack("<II", 0x3F400020, first_size)
    desc = struct.pack(
        "<II8x32s32s16s16s32s32sHHB75x",
        *(descriptor, 3, b"v9", b"demo", b"04:38:51", b"Sep 11 2025", b"v5.4.2", b"\x5a" * 32),
        *(0, 0, 16),
    )
    return (header + segment + desc).ljust(4096, b"\x11")


def test_an_image_s_facts_are_read(mpy: Run) -> None:
    assert check(mpy, head()) == {
        "ok": {
            "chip": "esp32",
            "segments": 7,
            "hash_appended": True,
            "secure_version": 3,
            "version": "v9",
            "project": "demo",
            "built": "Sep 11 2025 04:38:51",
            "idf": "v5.4.2",
            "elf_sha256": "5a" * 32,
        }
    }


def test_288_bytes_suffice_and_fewer_do_not(mpy: Run) -> None:
    assert "ok" in check(mpy, head()[:288])
    assert check(mpy, head()[:287]) == {"code": "not-an-image", "detail": "287 bytes"}
    assert check(mpy, b"") == {"code": "not-an-image", "detail": "0 bytes"}


@pytest.mark.parametrize(
    ("data", "code", "detail"),
    [
        (b"\x7fELF".ljust(4096, b"\0"), "not-an-image", "7f454c46"),
        (b"<!DOCTYPE html>".ljust(4096), "not-an-image", "3c21444f"),
        (b"\xff" * 4096, "full-flash", "starts erased"),
        (b"\xff" * 31 + b"\0" * 4000, "not-an-image", "ffffffff"),
        (head(segments=0), "not-an-image", "0 segments"),
        (head(segments=17), "not-an-image", "17 segments"),
        (head(descriptor=0, first_size=0x6F8), "full-flash", "starts with a bootloader"),
        (head(descriptor=0), "no-descriptor", ""),
        (head(chip_id=9), "wrong-chip", "esp32s3"),
        (head(chip_id=77), "wrong-chip", "chip-77"),
    ],
)
def test_what_an_app_slot_cannot_take_is_named(data: bytes, code: str, detail: str, mpy: Run) -> None:
    assert check(mpy, data) == {"code": code, "detail": detail}


def test_a_board_of_an_unknown_chip_takes_nothing(mpy: Run) -> None:
    assert check(mpy, head(), chip="esp99") == {"code": "wrong-chip", "detail": "esp32"}


REAL = [
    ("ESP32_GENERIC-20250911-v1.26.1.bin", 0xF000, "esp32", "v5.4.2"),
    ("ESP32_GENERIC_S3-20250911-v1.26.1.bin", 0x10000, "esp32s3", "v5.4.2"),
    ("ESP32_GENERIC_C3-20230426-v1.20.0.bin", 0x10000, "esp32c3", "v4.4.3"),
]


@pytest.mark.parametrize(("name", "app", "chip", "idf"), REAL, ids=[row[2] for row in REAL])
def test_real_firmware(name: str, app: int, chip: str, idf: str, mpy: Run) -> None:
    path = FIRMWARE / name
    if not path.exists():
        pytest.skip(f"no {path}")
    data = path.read_bytes()
    facts = check(mpy, data[app:], chip)["ok"]
    assert (facts["chip"], facts["idf"], facts["hash_appended"]) == (chip, idf, True)
    assert facts["version"] == facts["project"] == ""  # as MicroPython builds are
    assert check(mpy, data, chip) == {"code": "full-flash", "detail": "starts with a bootloader"}
    assert check(mpy, b"\xff" * 0x1000 + data, chip)["code"] == "full-flash"
    wrong = "esp32c6"
    assert check(mpy, data[app:], wrong) == {"code": "wrong-chip", "detail": chip}
