"""Built images, and the trailer of a firmware's behaviour."""

import pytest
from esptool.bin_image import LoadFirmwareImage
from vboard.chips import CHIPS
from vboard.flash.appimage import HEAD_SIZE, describe, measure, reader, verify
from vboard.flash.images import behaviour_of, build_app, with_behaviour


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
