"""From a reset to an app: what the ROM does of the bootloader in flash, and what that one's header decides."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from flashed import MIB, NEW, PENDING, VALID, app, entry, flashed, otadata_of, row
from vboard import factory
from vboard.chip import rom
from vboard.chip.startup import Started, flash_fault, start
from vboard.chips import CHIPS, Chip
from vboard.flash import bootimage
from vboard.flash.appimage import Header, ImageError, measure
from vboard.flash.nor import Flash
from vboard.flash.table import LAYOUTS, TABLE_OFFSET, Table

FIRMWARE = Path(__file__).resolve().parents[4] / "shared" / "firmware"
ESP32 = CHIPS["esp32"]
OTHER = {"esp32": "esp32s3", "esp32s2": "esp32", "esp32s3": "esp32c3", "esp32c3": "esp32s3", "esp32c6": "esp32c3"}
WATCHDOG = {  # what a reset says after the ROM found nothing to start
    "esp32": b"rst:0x10 (RTCWDT_RTC_RESET),boot:0x13",
    "esp32s2": b"rst:0x7 (TG0WDT_SYS_RST),boot:0x8",
    "esp32s3": b"rst:0x7 (TG0WDT_SYS_RST),boot:0x8",
    "esp32c3": b"rst:0x7 (TG0WDT_SYS_RST),boot:0xc",
    "esp32c6": b"rst:0x7 (TG0_WDT_HPSYS),boot:0xc",
}
every_chip = pytest.mark.parametrize("chip", CHIPS.values(), ids=lambda chip: chip.name)


def bagged(tmp_path: Path, chip: Chip, bootloader: bytes, *, size: int = 4 * MIB, layout: str | Table = "ota") -> Flash:
    """A flash with that at the bootloader's place, a table, and a good app in every slot."""
    table = LAYOUTS[layout] if isinstance(layout, str) else layout
    good = " ".join(row.label for row in table.rows if row.is_app and row.offset < size)
    flash = flashed(tmp_path, table, good=good, size=size, chip=chip.name)
    flash.program(chip.bootloader_offset, bootloader, actor="host")
    flash.trace.clear()
    return flash


def started(flash: Flash, chip: Chip, *, rollback: bool = True) -> Started:
    return start(flash, chip, asleep_on=None, rollback=rollback)


def sound(chip: Chip, size: int = 4 * MIB) -> bytes:
    return bootimage.build(chip.name, size)


def resealed(image: bytes, at: int, data: bytes) -> bytes:
    """The image with other header bytes, its SHA-256 made to fit; the checksum does not cover the header."""
    body = bytearray(image[:-32])
    body[at : at + len(data)] = data
    return bytes(body) + sha256(body).digest()


# --- the ROM --------------------------------------------------------------------------------------------------------


@every_chip
def test_a_sound_bootloader_starts_and_says_nothing(tmp_path, chip):
    found = started(bagged(tmp_path, chip, sound(chip)), chip)
    assert found.row and found.row.label == "ota_0"
    assert found.log == []


@every_chip
def test_blank_flash_is_an_invalid_header_and_a_watchdog(tmp_path, chip):
    flash = Flash(tmp_path / "flash.bin", 4 * MIB)
    found = started(flash, chip)
    assert found.row is None
    assert set(found.log) == {"invalid header: 0xffffffff"}
    assert WATCHDOG[chip.name] in rom.banner(chip.name, found.again)
    assert not flash.trace


@every_chip
def test_a_bootloader_at_another_chips_place_is_not_found(tmp_path, chip):
    flash = bagged(tmp_path, chip, b"")
    flash.program(0x1000 - chip.bootloader_offset, sound(chip), actor="host")
    assert started(flash, chip).row is None


@every_chip
def test_a_bootloader_of_another_chip_is_not_started(tmp_path, chip):
    other = CHIPS[OTHER[chip.name]]
    found = started(bagged(tmp_path, chip, sound(other)), chip)
    says = f"Invalid chip id. Expected {chip.chip_id} read {other.chip_id}. Bootloader for wrong chip?"
    assert found.row is None
    assert found.log[0] == (f"wrong chip id 0x{other.chip_id:04x}" if chip is ESP32 else says)


@every_chip
def test_an_app_in_the_bootloaders_place_is_not_started(tmp_path, chip):
    found = started(bagged(tmp_path, chip, app(chip.name)), chip)
    assert found.row is None
    assert found.log[:1] == ([] if chip is ESP32 else ["Invalid image block, can't boot."])


@every_chip
def test_a_wrong_byte_fails_the_checksum(tmp_path, chip):
    image = bytearray(sound(chip))
    image[5000] ^= 0x41
    found = started(bagged(tmp_path, chip, bytes(image)), chip)
    good = image[measure(bytes(image)) - 33]
    wrong = good ^ 0x41
    assert found.row is None
    assert found.log[0] == (
        f"csum err:0x{wrong:02x}!=0x{good:02x}"
        if chip is ESP32
        else f"Checksum failure. Calculated 0x{wrong:02x} stored 0x{good:02x}"
    )


@every_chip
def test_a_wrong_hash_is_told_of_and_started_all_the_same(tmp_path, chip):
    image = bytearray(sound(chip))
    image[3] ^= 0x10  # the flash size, as some tools patch it
    found = started(bagged(tmp_path, chip, bytes(image), size=8 * MIB), chip)
    assert found.row
    assert ("Attempting to boot anyway..." in found.log) == (chip is not ESP32)


def test_a_bootloader_whose_end_is_not_there_is_not_started(tmp_path):
    flash = bagged(tmp_path, ESP32, sound(ESP32)[:0x2000])
    assert started(flash, ESP32).row is None


def test_a_segment_beyond_the_flash_is_not_loaded(tmp_path):
    image = bytearray(sound(ESP32))
    image[28:32] = (0xF00000).to_bytes(
        4, "little"
    )  # the length of the first segment: within an image, not within 4 MiB
    assert started(bagged(tmp_path, ESP32, bytes(image)), ESP32).row is None


# --- what the bootloader's header decides ---------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "mib"), [(0, 1), (1, 2), (2, 4), (3, 8), (4, 16), (5, 32), (6, 64), (7, 128), (9, 2)])
def test_flash_size_of_a_header(code, mib):
    head = resealed(sound(ESP32), 3, bytes([code << 4]))[:24]
    assert Header.from_bytes(head).flash_size == mib * MIB


@every_chip
def test_rows_beyond_the_size_in_the_header_are_refused(tmp_path, chip):
    flash = bagged(tmp_path, chip, sound(chip, 4 * MIB), size=8 * MIB, layout="three")
    found = started(flash, chip)
    assert found.row is None
    assert found.log == [
        "E flash_parts: partition 4 invalid - offset 0x370000 size 0x1b0000 exceeds flash chip size 0x400000",
        "E boot: Failed to verify partition table",
        "E boot: load partition table error!",
    ]
    assert b"rst:0x3 (" in rom.banner(chip.name, found.again)


def test_rows_within_the_size_in_the_header_are_fine(tmp_path):
    found = started(bagged(tmp_path, ESP32, sound(ESP32, 8 * MIB), size=8 * MIB, layout="three"), ESP32)
    assert found.row and found.flash_size == 8 * MIB


def test_without_a_table_the_bootloader_says_so_and_resets(tmp_path):
    flash = Flash(tmp_path / "flash.bin", 4 * MIB)
    flash.program(0x1000, sound(ESP32), actor="host")
    found = started(flash, ESP32)
    assert found.row is None
    assert found.log[0] == "E flash_parts: partition 0 invalid magic number 0xffff"


@every_chip
def test_an_app_dies_of_a_header_that_promises_more_flash_than_there_is(tmp_path, chip):
    flash = bagged(tmp_path, chip, sound(chip, 8 * MIB))
    found = started(flash, chip)
    assert found.row and found.row.label == "ota_0"
    size, guru = flash_fault(found.flash_size, flash.size, chip)
    assert "Detected size(4096k) smaller than the size in the binary image header(8192k). Probe failed." in size
    assert guru.startswith("Guru Meditation Error")


@pytest.mark.parametrize("told", [4, 2, 1])
def test_an_app_lives_with_a_header_that_promises_no_more(told):
    assert flash_fault(told * MIB, 4 * MIB, ESP32) == []


def test_beyond_its_end_a_flash_begins_again(tmp_path):
    table = Table.from_csv(
        "nvs,data,nvs,0x9000,0x5000\notadata,data,ota,0x40e000,0x2000\nota_0,app,ota_0,0x410000,1M\n"
    )
    flash = flashed(tmp_path, LAYOUTS["ota"], good="ota_0", otadata=((1, VALID), None))
    flash.force(TABLE_OFFSET, table.to_bytes())
    flash.program(0x1000, sound(ESP32, 8 * MIB), actor="host")
    assert started(flash, ESP32).row == replace(row(table, "ota_0"), offset=0x10000)


def test_a_bootloader_for_newer_silicon_refuses(tmp_path):
    newer = resealed(sound(ESP32), 15, (400).to_bytes(2, "little"))
    found = started(bagged(tmp_path, ESP32, newer), ESP32)
    assert found.row is None
    assert "chip revision check failed" in found.log[0]


def test_a_bootloader_knows_no_newest_silicon(tmp_path):
    older = resealed(sound(ESP32), 17, (99).to_bytes(2, "little"))
    assert started(bagged(tmp_path, ESP32, older), ESP32).row


# --- rollback -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("in_flash", "setting", "after"),
    [(True, True, PENDING), (False, True, NEW), (True, False, NEW), (False, False, NEW)],
)
def test_the_bootloader_in_flash_says_whether_it_rolls_back(tmp_path, in_flash, setting, after):
    flash = bagged(tmp_path, ESP32, bootimage.build("esp32", 4 * MIB, rollback=in_flash))
    for index, wanted in enumerate(((1, VALID), (2, NEW))):
        flash.program(0xE000 + index * 0x1000, entry(wanted), actor="host")
    assert started(flash, ESP32, rollback=setting).row
    assert otadata_of(flash, LAYOUTS["ota"]) == ((1, VALID), (2, after))


@pytest.mark.parametrize("rollback", [True, False])
@every_chip
def test_esptool_takes_a_made_up_bootloader_for_a_sound_one(chip, rollback):
    from esptool.bin_image import LoadFirmwareImage

    image = bootimage.build(chip.name, 8 * MIB, rollback=rollback)
    read = LoadFirmwareImage(chip.name, image)
    assert read.checksum == read.calculate_checksum()
    assert read.stored_digest == read.calc_digest
    assert len(image) <= TABLE_OFFSET - chip.bootloader_offset


@pytest.mark.parametrize(
    ("name", "chip", "rolls_back"),
    [
        ("ESP32_GENERIC-20250911-v1.26.1", "esp32", True),
        ("ESP32_GENERIC_S3-20250911-v1.26.1", "esp32s3", True),
        ("ESP32_GENERIC_C3-20241129-v1.24.1", "esp32c3", True),
        ("ESP32_GENERIC_C3-20230426-v1.20.0", "esp32c3", False),  # facts 6.5
    ],
)
def test_real_firmware_starts_at_its_offset(tmp_path, name, chip, rolls_back):
    path = FIRMWARE / f"{name}.bin"
    if not path.is_file():
        pytest.skip("no real firmware beside the project (../shared/firmware)")
    data = path.read_bytes()
    with factory.flash(tmp_path / "flash.bin", CHIPS[chip], "ota", None, None, full_flash=data) as flash:
        found = started(flash, CHIPS[chip])
        assert (flash.size, found.flash_size, found.log) == (4 * MIB, 4 * MIB, [])
        assert found.row and found.row.label == "factory"
        assert bootimage.rolls_back(data[: measure(data)]) == rolls_back
        assert factory.is_full_flash(data, CHIPS[chip])
        assert not any(factory.is_full_flash(data, other) for other in CHIPS.values() if other.name != chip)


def test_no_image_has_no_flash_size():
    assert bootimage.flash_size_of(b"\xff" * 64) is None
    with pytest.raises(ImageError):
        Header.from_bytes(b"\xff" * 64)
