"""Bootloader and app together: whole updates, and power lost at each of their operations."""

import pytest
from flashed import (
    ABORTED,
    BLANK,
    MIB,
    NEW,
    PENDING,
    VALID,
    Cut,
    flashed,
    otadata_of,
    row,
    unloadable_app,
)
from vboard.chip.bootloader import boot
from vboard.chip.idf import App
from vboard.chips import CHIPS
from vboard.flash.nor import Flash, PowerLost
from vboard.flash.otadata import Entry
from vboard.flash.table import LAYOUTS, Row

ESP32 = CHIPS["esp32"]
OTA = LAYOUTS["ota"].with_auto_vfs(4 * MIB)
OTA_0, OTA_1 = row(OTA, "ota_0"), row(OTA, "ota_1")
OTADATA = row(OTA, "otadata")
BOTH = "ota_0 ota_1"


def started(flash: Flash) -> Row:
    booted = boot(flash, ESP32)
    assert booted.row
    return booted.row


def update(flash: Flash) -> None:
    App(flash, ESP32, OTA, OTA_0).set_boot(OTA_1)
    boot(flash, ESP32)
    App(flash, ESP32, OTA, OTA_1).mark_valid()


def test_an_update_that_is_confirmed_stays(tmp_path):
    flash = flashed(tmp_path, good=BOTH)
    assert started(flash) == OTA_0
    App(flash, ESP32, OTA, OTA_0).set_boot(OTA_1)
    assert started(flash) == OTA_1
    App(flash, ESP32, OTA, OTA_1).mark_valid()
    assert otadata_of(flash, OTA) == ((1, VALID), (2, VALID))
    assert started(flash) == OTA_1


def test_an_update_that_is_not_confirmed_is_rolled_back(tmp_path):
    flash = flashed(tmp_path, good=BOTH, otadata=((1, VALID), (2, VALID)))
    App(flash, ESP32, OTA, OTA_1).set_boot(OTA_0)
    assert started(flash) == OTA_0
    assert started(flash) == OTA_1
    assert otadata_of(flash, OTA) == ((3, ABORTED), (2, VALID))


def test_the_old_app_can_confirm_a_damaged_new_one_by_mistake(tmp_path):
    flash = flashed(tmp_path, good="ota_0", damaged="ota_1", otadata=((1, VALID), (2, NEW)))
    assert started(flash) == OTA_0
    app_ = App(flash, ESP32, OTA, OTA_0)
    assert app_.boot_partition() == OTA_1
    app_.mark_valid()
    assert otadata_of(flash, OTA) == ((1, VALID), (2, VALID))
    for _ in range(2):
        assert started(flash) == OTA_0


def test_set_boot_accepts_code_that_only_the_bootloader_finds_it_cannot_load(tmp_path):
    flash = flashed(tmp_path, good="ota_0", otadata=((1, VALID), BLANK))
    flash.program(OTA_1.offset, unloadable_app(), actor="host")
    App(flash, ESP32, OTA, OTA_0).set_boot(OTA_1)
    assert started(flash) == OTA_0
    assert otadata_of(flash, OTA) == ((1, VALID), (2, PENDING))


def test_setting_the_active_slot_again_can_put_it_on_trial_again(tmp_path):
    flash = flashed(tmp_path, good=BOTH, otadata=((1, VALID), (2, VALID)))
    App(flash, ESP32, OTA, OTA_1).set_boot(OTA_1)
    assert started(flash) == OTA_1
    assert otadata_of(flash, OTA) == ((2, PENDING), (2, VALID))


@pytest.mark.parametrize(
    ("at", "starts", "after"),
    [
        # set_boot writes the entry that is not active: the old app is unaffected
        (0, OTA_0, ((1, VALID), BLANK)),
        (1, OTA_0, ((1, VALID), BLANK)),
        # the bootloader writes the new entry: lost, the update vanishes without a mark
        (2, OTA_1, ((1, VALID), (2, PENDING))),
        (3, OTA_0, ((1, VALID), BLANK)),
        # mark_valid rewrites the new entry: aborted, or lost although it was accepted
        (4, OTA_0, ((1, VALID), (2, ABORTED))),
        (5, OTA_0, ((1, VALID), BLANK)),
    ],
)
def test_power_lost_at_each_operation_of_an_update(tmp_path, at, starts, after):
    flash = flashed(tmp_path, good=BOTH, otadata=((1, VALID), BLANK))
    Cut(flash, at)
    with pytest.raises(PowerLost):
        update(flash)
    assert started(flash) == starts
    assert otadata_of(flash, OTA) == after


@pytest.mark.parametrize("at", [1, 3, 5])
def test_an_entry_torn_at_any_byte_leaves_the_old_app(tmp_path, at):
    flash = flashed(tmp_path, good=BOTH)
    for torn in range(1, 32):
        flash.before = None
        flash.erase(OTADATA.offset, OTADATA.size, actor="host")
        flash.program(OTADATA.offset, Entry.make(1, VALID).to_bytes(), actor="host")
        Cut(flash, at, torn)
        with pytest.raises(PowerLost):
            update(flash)
        assert started(flash) == OTA_0, f"torn after {torn} bytes"


def test_an_update_is_six_operations(tmp_path):
    flash = flashed(tmp_path, good=BOTH, otadata=((1, VALID), BLANK))
    update(flash)
    assert [o.actor for o in flash.trace] == ["app"] * 2 + ["bootloader"] * 2 + ["app"] * 2


@pytest.mark.parametrize(
    ("before", "starts"),
    [
        (((1, VALID), (2, NEW)), "ota_0"),  # the update vanishes without a mark
        (((1, VALID), (2, PENDING)), "ota_0"),
        (((3, PENDING), (2, VALID)), "ota_1"),
        ((BLANK, BLANK), "ota_0"),  # just starts over
    ],
)
@pytest.mark.parametrize("torn", [0, 1, 4, 24, 28, 31])
def test_power_lost_while_otadata_is_written_leaves_the_old_image(tmp_path, before, starts, torn):
    flash = flashed(tmp_path, otadata=before, good=BOTH)
    Cut(flash, 1, torn)
    with pytest.raises(PowerLost):
        boot(flash, ESP32)
    assert started(flash).label == starts
