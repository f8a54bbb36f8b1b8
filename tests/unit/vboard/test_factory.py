"""The flash that a new board gets, and a folder whose board stays what it was made as."""

from pathlib import Path

import pytest
from flashed import MIB, app, flashed
from vboard import factory, folder
from vboard.chip.startup import start
from vboard.chips import CHIPS
from vboard.flash import bootimage
from vboard.flash.nor import Flash
from vboard.flash.table import LAYOUTS, TABLE_OFFSET
from vboard.refused import Refused

ESP32 = CHIPS["esp32"]


def starts(flash: Flash) -> bool:
    return start(flash, ESP32, asleep_on=None, rollback=True).row is not None


def made(place: Path, **how) -> Flash:
    return factory.flash(place / "flash.bin", how.pop("chip", ESP32), "ota", None, None, **how)


def test_a_blank_flash_is_blank(tmp_path):
    with made(tmp_path, blank=True) as flash:
        assert flash.read(0, flash.size).count(0xFF) == flash.size == 4 * MIB


def test_a_flash_of_before_gets_a_bootloader_once(tmp_path):
    flashed(tmp_path, good="ota_0").close()
    with made(tmp_path) as flash:
        assert starts(flash)
        flash.erase(0x1000, 0x7000, actor="host")
    with made(tmp_path) as flash:
        assert not starts(flash)


@pytest.mark.parametrize("blank", [True, False])
def test_a_flash_of_today_without_a_bootloader_stays_without(tmp_path, blank):
    with made(tmp_path, blank=blank) as flash:
        flash.erase(0x1000, 0x7000, actor="host")
        flash.force(TABLE_OFFSET, LAYOUTS["ota"].to_bytes())
    with made(tmp_path) as flash:
        assert not starts(flash)


def test_what_lies_in_the_bootloaders_place_is_not_written_over(tmp_path):
    with flashed(tmp_path, good="ota_0") as flash:
        flash.program(0x2000, b"somebody's", actor="host")
    with made(tmp_path) as flash:
        assert flash.read(0x2000, 10) == b"somebody's"
        assert not starts(flash)


def test_a_blank_board_stays_the_chip_that_it_was_made_as(tmp_path):
    made(tmp_path, chip=CHIPS["esp32s3"], blank=True).close()
    assert folder.chip_for(tmp_path, folder.Wanted()) == "esp32s3"
    assert folder.chip_for(tmp_path, folder.Wanted(blank=True)) == "esp32s3"


@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        (folder.Wanted(chip="esp32"), "--chip"),
        (folder.Wanted(full_flash=b"a file"), "--full-flash"),
        (folder.Wanted(app=app("esp32s3")), "--app"),
    ],
)
def test_a_blank_board_is_not_made_into_another(tmp_path, wanted, named):
    made(tmp_path, chip=CHIPS["esp32s3"], blank=True).close()
    with pytest.raises(Refused, match=f"{named} would change it"):
        folder.chip_for(tmp_path, wanted)


def test_a_board_with_an_app_is_not_blank(tmp_path):
    made(tmp_path).close()
    with pytest.raises(Refused, match="--blank would change it"):
        folder.chip_for(tmp_path, folder.Wanted(blank=True))


@pytest.mark.parametrize("data", [b"", app("esp32"), LAYOUTS["ota"].to_bytes(), bootimage.build("esp32", 4 * MIB)])
def test_what_is_no_full_flash_file(data):
    assert not factory.is_full_flash(data, ESP32)
