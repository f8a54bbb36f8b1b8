"""Firmware files: real ones, made-up ones, damaged ones, and what is none."""

import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from esptool.bin_image import LoadFirmwareImage
from imagekeys import ImageKey
from otactl.errors import ReleaseError, UsageError
from otactl.release import firmware
from vboard.flash.images import build_app
from vboard.flash.table import LAYOUTS, TABLE_OFFSET

APP = build_app("esp32", size=20_000)


def full_flash(app: bytes = APP, base: int = 0x1000, layout: str = "ota") -> bytes:
    """As MicroPython's makeimg.py joins bootloader, table and app."""
    bootloader = bytearray(build_app("esp32", size=4000))
    bootloader[32:36] = bytes(4)
    table = LAYOUTS[layout]
    first = next(row for row in table.rows if row.is_app)
    data = bytes(bootloader).ljust(TABLE_OFFSET - base, b"\xff") + table.to_bytes()
    return data.ljust(first.offset - base, b"\xff") + app


@pytest.fixture
def load(tmp_path: Path) -> Callable[[bytes], firmware.Firmware]:
    def load(data: bytes) -> firmware.Firmware:
        (tmp_path / "file.bin").write_bytes(data)
        return firmware.load(tmp_path / "file.bin")

    return load


@pytest.mark.parametrize(
    ("name", "chip", "length", "idf", "micropython"),
    [  # lengths: the end of the image and 32 bytes of SHA-256, as esptool image-info shows
        ("ESP32_GENERIC-20250911-v1.26.1.bin", "esp32", 1672976, "v5.4.2", "1.26.1"),
        ("ESP32_GENERIC_S3-20250911-v1.26.1.bin", "esp32s3", 1669920, "v5.4.2", "1.26.1"),
        ("ESP32_GENERIC_C3-20230426-v1.20.0.bin", "esp32c3", 1401392, "v4.4.3", "1.20.0"),
    ],
)
def test_the_app_is_taken_out_of_micropythons_own_builds(
    real_firmware: Path, name: str, chip: str, length: int, idf: str, micropython: str
) -> None:
    found = firmware.load(real_firmware / name)
    assert (found.chip, len(found.app), found.idf, found.micropython) == (chip, length, idf, micropython)
    assert "full-flash file" in found.note
    assert "factory at 0x10000" in found.note
    assert LoadFirmwareImage(chip, found.app).stored_digest == sha256(found.app[:-32]).digest()


@pytest.mark.parametrize("base", [0x0, 0x1000, 0x2000])
@pytest.mark.parametrize("layout", ["ota", "ota-stock", "factory"])
def test_a_full_flash_file_gives_its_first_app(load, base: int, layout: str) -> None:
    found = load(full_flash(base=base, layout=layout))
    assert found.app == APP
    assert "took the app out" in found.note


def test_an_app_image_is_taken_as_it_is(load) -> None:
    found = load(APP)
    assert (found.app, found.note, found.chip) == (APP, "", "esp32")
    assert found.built == "Jan  1 2026 12:00:00"


@pytest.mark.parametrize("chip", ["esp32", "esp32s3", "esp32c3"])
@pytest.mark.parametrize("append_hash", [True, False])
def test_each_chip_with_and_without_hash(load, chip: str, append_hash: bool) -> None:
    app = build_app(chip, append_hash=append_hash)
    found = load(app + b"\xff" * 5000)
    assert (found.chip, found.app) == (chip, app)


@pytest.mark.parametrize("padding", [b"\xff" * 70000, b"\0" * 512, b"\xff" * 16 + b"\0" * 16])
def test_the_padding_of_a_slot_is_cut_off(load, padding: bytes) -> None:
    assert load(APP + padding).app == APP


def test_a_signature_sector_behind_the_image_stays_the_padding_behind_it_goes(load, tmp_path: Path) -> None:
    signed = ImageKey(tmp_path, "ecdsa256").sign(APP)
    assert load(signed).app == signed
    assert load(full_flash(signed).ljust(1 << 21, b"\xff")).app == signed


def flipped(at: int) -> bytes:
    data = bytearray(APP)
    data[at] ^= 1
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (flipped(5000), "checksum|SHA-256"),
        (flipped(-33), "checksum"),  # the checksum byte itself
        (flipped(-1), "SHA-256"),
        (APP[:-1], "cut short"),
        (APP[:-40], "cut short"),
        (APP[:10000], "cut short"),
        (APP[:40], "cut short"),
        (full_flash()[:-100], "cut short"),
        (full_flash(flipped(5000)), "checksum"),
        (APP[:23] + b"\x55" + APP[24:], "append_digest"),
    ],
)
def test_a_damaged_file_is_refused_and_the_damage_named(load, data: bytes, why: str) -> None:
    with pytest.raises(ReleaseError, match=f"file.bin: damaged.*({why})"):
        load(data)


@pytest.mark.parametrize("append_hash", [True, False])
@pytest.mark.parametrize("size", range(4000, 4032, 4))
def test_the_length_is_right_to_the_byte_whatever_the_segments_end_on(size: int, append_hash: bool) -> None:
    app = build_app("esp32", size=size, append_hash=append_hash)
    assert firmware.check(app + b"\xff" * 100, "esp32", "file") == len(app)


def test_a_damaged_byte_anywhere_in_an_image_is_noticed(load) -> None:
    # but for byte 23, which says that a hash follows: without one the image is sound to a chip too
    for at in [*range(23), *range(24, 40), *range(40, len(APP), 997)]:
        with pytest.raises(ReleaseError):
            load(flipped(at))


def test_a_file_cut_anywhere_is_refused(load) -> None:
    ends = [*range(0, len(APP), 997), *range(len(APP) - 50, len(APP))]
    for end in ends:
        with pytest.raises(ReleaseError):
            load(APP[:end])


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "an empty file"),
        (b"\x7fELF" + bytes(100), "an ELF file"),
        (b"UF2\n" + bytes(100), "a UF2 file"),
        (b"PK\x03\x04" + bytes(100), "a ZIP archive"),
        (b"\x1f\x8b" + bytes(100), "a gzip file"),
        (b"<!DOCTYPE html>", "a web page"),
        (b"\xcf\xb6\x88\x07" + bytes(600), "an encrypted image"),
        (LAYOUTS["ota"].to_bytes(), "a partition table"),
        (b"\xff" * 4096, "blank flash"),
        (b"hello world", "not ESP32 firmware .*68 65 6c 6c 6f"),
        (full_flash()[:0x7000], "without application descriptor .a bootloader"),
        (full_flash(bytes(20_000)), "full-flash file, but .* holds no app image"),
        (full_flash()[: 0x10000 - 0x1000], "full-flash file, but .* holds no app image"),
    ],
)
def test_what_is_no_firmware_is_named(load, data: bytes, what: str) -> None:
    with pytest.raises(ReleaseError, match=what):
        load(data)


def test_a_table_with_a_wrong_checksum_is_not_believed(load) -> None:
    data = bytearray(full_flash())
    data[TABLE_OFFSET - 0x1000 + 4] ^= 0x10
    with pytest.raises(ReleaseError, match="bootloader"):
        load(bytes(data))


@pytest.mark.parametrize(
    ("text", "known"),
    [
        (b"", ""),
        (b"MicroPython v1.18 on 2022-01-17\0", "1.18"),
        (b"MicroPython v1.22.2 on 2024-02-22\x003.4.0; MicroPython v1.22.2 on 2024-02-22\0", "1.22.2"),
        (b"MicroPython v1.22.0-preview.7.gabc-dirty on 2023-11-02\0", "1.22.0"),
        (b"MicroPython v1.22.2 on 2024-02-22\0MicroPython v1.26.1 on 2025-09-11\0", ""),  # which of them runs?
        (b"for MicroPython v1.22.2 and newer", ""),
    ],
)
def test_a_micropython_that_is_too_old_is_refused_where_it_is_known(tmp_path: Path, text: bytes, known: str) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(APP + text)
    assert firmware.load(path).micropython == known
    if known:
        with pytest.raises(ReleaseError, match=f"file.bin: MicroPython {known}, too old .*: take 1.23 or newer"):
            firmware.for_agent(path)
    else:
        assert firmware.for_agent(path).chip == "esp32"


@pytest.mark.parametrize("version", ["1.23.0-preview.100.gabc", "1.23.0", "1.26.1", "1.100.0", "2.0.0"])
def test_a_micropython_that_the_agent_runs_on_is_taken(tmp_path: Path, version: str) -> None:
    (tmp_path / "file.bin").write_bytes(APP + f"MicroPython v{version} on 2025-09-11\0".encode())
    assert firmware.for_agent(tmp_path / "file.bin").micropython == version.partition("-")[0]


def test_an_unknown_chip_is_refused(load) -> None:
    data = bytearray(APP)
    data[12:14] = b"\x63\0"
    with pytest.raises(ReleaseError, match="chip id 99"):
        load(bytes(data))


def test_a_missing_file_and_a_folder_are_errors_in_one_line(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.bin", tmp_path):
        with pytest.raises(UsageError, match=re.escape(str(path))):
            firmware.load(path)


def test_chip_ids_are_those_of_esptool() -> None:
    from esptool.targets import CHIP_DEFS

    theirs = {getattr(rom, "IMAGE_CHIP_ID", None): name for name, rom in CHIP_DEFS.items()}
    assert firmware.CHIPS.items() <= theirs.items()


def test_chips_are_those_that_the_agent_knows() -> None:
    import ast

    source = Path(__file__).resolve().parents[3] / "device" / "ota" / "release" / "image.py"
    tables = [
        ast.literal_eval(node)
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.Dict) and all(isinstance(v, ast.Constant) for v in node.values)
    ]
    assert firmware.CHIPS in tables
