"""What a chip accepts as an app image: sound ones, real ones, and every way of being damaged."""

import hashlib
import struct
from dataclasses import replace
from functools import reduce
from operator import xor
from pathlib import Path

import pytest
from vboard.chips import CHIPS, Chip
from vboard.flash.appimage import (
    DESC_OFFSET,
    HEAD_SIZE,
    HEADER_SIZE,
    AppDesc,
    Header,
    ImageError,
    ImageInfo,
    describe,
    measure,
    verify,
)
from vboard.flash.images import build_app

FIRMWARE = Path(__file__).resolve().parents[4] / "shared/firmware"
PART = 0x10000
ROOM = 0x1B0000
ESP32 = CHIPS["esp32"]
CHIP_ID, MIN_REVISION, MAX_REVISION = 12, 15, 17  # offsets in the header
FIRST_LENGTH = HEADER_SIZE + 4


def check(data: bytes, chip: Chip = ESP32, *, at: int = PART, room: int = ROOM) -> ImageInfo:
    return verify(data, at, room, chip, app_side=True)


def patched(data: bytes, offset: int, value: bytes) -> bytes:
    return data[:offset] + value + data[offset + len(value) :]


def resealed(data: bytes) -> bytes:
    """With the checksum and hash that its contents ask for: what is wrong is then all that is."""
    image = bytearray(data[: measure(data)])
    total, at = 0xEF, HEADER_SIZE
    for _ in range(image[1]):
        size = struct.unpack_from("<I", image, at + 4)[0]
        total = reduce(xor, image[at + 8 : at + 8 + size], total)
        at += 8 + size
    image[-33] = total
    image[-32:] = hashlib.sha256(image[:-32]).digest()
    return bytes(image)


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("size", [2_000, 24_576, 300_000])
def test_a_built_image_is_sound_on_both_sides(chip: str, size: int) -> None:
    image = build_app(chip, size=size)
    for app_side in (True, False):
        info = verify(image, PART, ROOM, CHIPS[chip], app_side=app_side)
        assert info.length == len(image)
        assert info.sha256 == image[-32:]


@pytest.mark.parametrize(
    ("name", "offset", "chip", "length", "day"),
    [
        ("ESP32_GENERIC-20250911-v1.26.1", 0xF000, "esp32", 1672976, "Sep 11 2025"),
        ("ESP32_GENERIC_S3-20250911-v1.26.1", 0x10000, "esp32s3", 1669920, "Sep 11 2025"),
        ("ESP32_GENERIC_C3-20230426-v1.20.0", 0x10000, "esp32c3", 1401392, "Apr 26 2023"),
    ],
)
def test_real_micropython_firmware_is_sound(name: str, offset: int, chip: str, length: int, day: str) -> None:
    path = FIRMWARE / f"{name}.bin"
    if not path.exists():
        pytest.skip(f"no {path}: the real firmware files are not here")
    image = path.read_bytes()[offset:]
    for app_side in (True, False):
        info = verify(image, PART, ROOM, CHIPS[chip], app_side=app_side)
        assert info.length == length
        assert info.desc is not None
        assert (info.desc.version, info.desc.project, info.desc.date) == ("", "", day)


def test_the_bytes_of_a_real_header_are_read_field_by_field() -> None:
    header, desc = describe(bytes.fromhex("e90702201c130840ee00000000000000008f010000000001").ljust(HEAD_SIZE, b"\0"))
    assert header == Header(7, 0x4008131C, 0, 0, 399, True, 2, 0x20)
    assert desc is None


def test_a_description_survives_its_bytes() -> None:
    desc = AppDesc("1.2.0", "lamp", "12:34:56", "Jan  1 2026", "v5.5.2", bytes(range(32)), 3, 1, 99)
    assert AppDesc.from_bytes(desc.to_bytes()) == desc
    assert len(desc.to_bytes()) == 256


@pytest.mark.parametrize(
    ("offset", "value", "reason"),
    [
        (0, b"\xff", "invalid magic byte"),
        (1, b"\x11", "segment count 17 exceeds max 16"),
        (CHIP_ID, b"\x09", "mismatch chip ID, expected 0, found 9"),
        (MIN_REVISION, struct.pack("<H", 302), "required >= v3.2, found v3.1"),
        (MAX_REVISION, struct.pack("<H", 300), "required <= v3.0, found v3.1"),
        (FIRST_LENGTH, struct.pack("<I", 4097), "segment 0: invalid length 0x1001"),
        (FIRST_LENGTH, struct.pack("<I", 16 << 20), "segment 0: invalid length 0x1000000"),
        (FIRST_LENGTH, struct.pack("<I", 8 << 20), "past the end"),
        (DESC_OFFSET + 300, b"\0\0\0\0", "checksum failed"),
        (-33, b"\x00", "checksum failed"),
        (-40, b"\xa5", "hash failed"),
        (-1, b"\x00", "hash failed"),
    ],
)
def test_damage_is_found_and_named(offset: int, value: bytes, reason: str) -> None:
    image = build_app("esp32", seed=1)
    at = offset % len(image)
    assert image[at : at + len(value)] != value
    with pytest.raises(ImageError, match=reason):
        check(patched(image, at, value))


@pytest.mark.parametrize("limit", [0, 0xFFFF])
def test_a_maximum_revision_may_be_unset(limit: int) -> None:
    check(build_app("esp32", max_revision=limit))


def test_revisions_that_just_fit_are_accepted() -> None:
    check(build_app("esp32", min_revision=301, max_revision=301))


@pytest.mark.parametrize("kept", [0, 23, 31, 5000, -33, -1])
def test_an_image_cut_short_is_refused(kept: int) -> None:
    with pytest.raises(ImageError, match=r"past the end|magic"):
        check(build_app("esp32")[:kept])


def test_two_swapped_words_pass_the_checksum_but_not_the_hash() -> None:
    image = build_app("esp32")
    at = DESC_OFFSET + 512
    swapped = patched(image, at, image[at + 4 : at + 8] + image[at : at + 4])
    assert swapped != image
    with pytest.raises(ImageError, match="hash failed"):
        check(swapped)


def test_an_image_without_hash_is_checked_by_its_checksum() -> None:
    image = build_app("esp32", append_hash=False)
    info = check(image)
    assert (info.length, info.sha256) == (len(image), None)
    with pytest.raises(ImageError, match="checksum failed"):
        check(patched(image, 1000, bytes([image[1000] ^ 1])))


def test_what_follows_an_image_does_not_matter() -> None:
    image = build_app("esp32")
    assert check(image + b"anything").length == len(image)


def test_an_image_must_fit_its_partition_to_the_byte() -> None:
    image = build_app("esp32")
    check(image, room=len(image))
    with pytest.raises(ImageError, match="doesn't fit in partition length"):
        check(image, room=len(image) - 1)


def test_a_partition_over_16_mb_holds_no_app() -> None:
    with pytest.raises(ImageError, match="larger than 16MB"):
        check(build_app("esp32"), room=(16 << 20) + 0x1000)


def test_mapped_segments_need_a_partition_on_a_64k_line() -> None:
    with pytest.raises(ImageError, match="segment 0: load address 0x3f400020 doesn't match"):
        check(build_app("esp32"), at=0x11000)


def test_only_the_bootloader_refuses_a_segment_meant_for_no_ram() -> None:
    image = build_app("esp32")
    second = FIRST_LENGTH + 4 + struct.unpack_from("<I", image, FIRST_LENGTH)[0]
    lost = resealed(patched(image, second, struct.pack("<I", 0x60000000)))
    verify(lost, PART, ROOM, ESP32, app_side=True)
    with pytest.raises(ImageError, match="bad load address range"):
        verify(lost, PART, ROOM, ESP32, app_side=False)


def test_the_description_is_needed_only_where_the_mmu_page_size_varies() -> None:
    bare = resealed(patched(build_app("esp32"), DESC_OFFSET, bytes(4)))
    assert check(bare).desc is None
    with pytest.raises(ImageError, match="no app description"):
        check(bare, replace(ESP32, mmu_page_configurable=True))


def test_a_reader_that_refuses_is_the_end_of_the_image() -> None:
    def read(offset: int, n: int) -> bytes:
        raise ValueError("outside the flash")

    with pytest.raises(ImageError, match="past the end"):
        verify(read, PART, ROOM, ESP32, app_side=True)
