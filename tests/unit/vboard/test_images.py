"""Built images, apps taken out of firmware files, and the trailer of a firmware's behaviour."""

from pathlib import Path

import pytest
from esptool.bin_image import LoadFirmwareImage
from vboard.chips import CHIPS
from vboard.flash.appimage import HEAD_SIZE, describe, measure, reader, verify
from vboard.flash.images import behaviour_of, build_app, extract_app, with_behaviour
from vboard.flash.table import LAYOUTS, TABLE_OFFSET

FIRMWARE = Path(__file__).resolve().parents[4] / "shared/firmware"


def full_flash(app: bytes, *, base: int = 0x1000, layout: str = "ota") -> bytes:
    """A bootloader (an image without description), a table and the app, as makeimg.py joins."""
    bootloader = bytearray(build_app("esp32", size=4000))
    bootloader[32:36] = bytes(4)
    table = LAYOUTS[layout]
    first = next(row for row in table.rows if row.is_app)
    data = bytes(bootloader).ljust(TABLE_OFFSET - base, b"\xff") + table.to_bytes()
    return data.ljust(first.offset - base, b"\xff") + app


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("size", [4_000, 200_000])
def test_esptool_reads_a_built_image_back(chip: str, size: int) -> None:
    data = build_app(chip, size=size, min_revision=1, max_revision=400)
    image = LoadFirmwareImage(chip, data)
    assert image.checksum == image.calculate_checksum()
    assert image.stored_digest == image.calc_digest
    assert (image.chip_id, image.min_rev_full) == (CHIPS[chip].chip_id, 1)
    assert abs(len(data) - size) <= 16


def test_a_seed_makes_the_same_image_again_and_another_seed_another_one() -> None:
    assert build_app("esp32", seed=3) == build_app("esp32", seed=3)
    assert build_app("esp32", seed=3) != build_app("esp32", seed=4)


def test_the_description_says_what_was_asked_for() -> None:
    data = build_app("esp32s3", version="1.4.0", project="lamp", secure_version=2)
    desc = describe(data[:HEAD_SIZE])[1]
    assert desc is not None
    assert (desc.version, desc.project, desc.secure_version) == ("1.4.0", "lamp", 2)
    assert desc.elf_sha256 != bytes(32)


def test_an_app_image_comes_back_as_it_is_with_what_follows_it() -> None:
    signed = build_app("esp32") + b"signature sector"
    assert extract_app(signed) == (signed, "app image")


@pytest.mark.parametrize("base", [0x0, 0x1000, 0x2000])
@pytest.mark.parametrize("layout", ["ota", "factory", "factory-ota"])
def test_the_app_is_taken_out_of_a_full_flash_file(base: int, layout: str) -> None:
    app = build_app("esp32")
    got, note = extract_app(full_flash(app + b"\xff" * 5000, base=base, layout=layout))
    assert got == app
    assert "0x10000" in note


@pytest.mark.parametrize(
    ("name", "chip", "length"),
    [
        ("ESP32_GENERIC-20250911-v1.26.1", "esp32", 1672976),
        ("ESP32_GENERIC_S3-20250911-v1.26.1", "esp32s3", 1669920),
        ("ESP32_GENERIC_C3-20230426-v1.20.0", "esp32c3", 1401392),
    ],
)
def test_the_app_is_taken_out_of_real_firmware(name: str, chip: str, length: int) -> None:
    path = FIRMWARE / f"{name}.bin"
    if not path.exists():
        pytest.skip(f"no {path}: the real firmware files are not here")
    app, note = extract_app(path.read_bytes())
    assert len(app) == length
    assert "factory at 0x10000" in note
    verify(app, 0x10000, 0x1F0000, CHIPS[chip], app_side=False)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"\x7fELF\1\1\1", "ELF"),
        (b"UF2\nWQ]\x9e", "UF2"),
        (b"PK\x03\x04" + bytes(40), "ZIP"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"<!DOCTYPE html>", "web page"),
        (b"\xff" * 4096, "blank"),
        (b"\xcf\xb6\x88\x07" + bytes(600), "encrypted"),
        (LAYOUTS["ota"].to_bytes(), "partition table"),
        (b"hello, world", "no ESP32 firmware"),
        (full_flash(b"")[:4000], "bootloader alone"),
        (full_flash(b"\xff" * 300), "without an app"),
        (build_app("esp32")[:20_000], "cut short"),
        (full_flash(build_app("esp32"))[:-1], "cut short"),
    ],
)
def test_a_file_that_holds_no_app_is_named(data: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        extract_app(data)


def test_behaviour_is_read_back_and_leaves_the_image_sound() -> None:
    image = with_behaviour(build_app("esp32"), panic=True, micropython="1.23.0")
    info = verify(image, 0x10000, 0x1B0000, CHIPS["esp32"], app_side=False)
    assert behaviour_of(reader(image), info.length) == {"panic": True, "micropython": "1.23.0"}


def test_a_second_behaviour_takes_the_place_of_the_first() -> None:
    image = with_behaviour(with_behaviour(build_app("esp32"), panic=True), hang=True)
    assert behaviour_of(reader(image), measure(image)) == {"hang": True}


@pytest.mark.parametrize("kept", [0, 5, 10, 15])
def test_no_whole_trailer_is_no_behaviour(kept: int) -> None:
    image = build_app("esp32")
    cut = with_behaviour(image, panic=True)[: len(image) + kept]
    assert behaviour_of(reader(cut), len(image)) == {}
    assert behaviour_of(reader(cut.ljust(len(image) + 100, b"\xff")), len(image)) == {}


def test_a_trailer_of_another_format_is_no_behaviour() -> None:
    image = with_behaviour(build_app("esp32"), panic=True).replace(b"VBOARD\0\1", b"VBOARD\0\2")
    assert behaviour_of(reader(image), measure(image)) == {}


def test_the_end_of_the_flash_is_no_behaviour() -> None:
    def read(offset: int, n: int) -> bytes:
        raise ValueError("outside the flash")

    assert behaviour_of(read, 4096) == {}
