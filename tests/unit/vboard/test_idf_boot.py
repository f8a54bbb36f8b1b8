"""The running app's say over the next boot: set_boot, the boot partition, mark valid."""

import pytest
from flashed import (
    ABORTED,
    BLANK,
    INVALID,
    MIB,
    NEW,
    PENDING,
    VALID,
    app,
    flashed,
    otadata_of,
    row,
    spoiled,
)
from vboard.chip.bootloader import boot
from vboard.chip.idf import App, IdfError
from vboard.chips import CHIPS
from vboard.flash.images import build_app
from vboard.flash.otadata import Entry, State, crc_of
from vboard.flash.table import LAYOUTS, Row, Table

ESP32 = CHIPS["esp32"]
OTA = LAYOUTS["ota"].with_auto_vfs(4 * MIB)
OTA_0, OTA_1 = row(OTA, "ota_0"), row(OTA, "ota_1")
VFS, OTADATA, NVS = row(OTA, "vfs"), row(OTA, "otadata"), row(OTA, "nvs")
BOTH = "ota_0 ota_1"
INVALID_ARG = (-258, "ESP_ERR_INVALID_ARG")
NOT_FOUND = (-261, "ESP_ERR_NOT_FOUND")
VALIDATE_FAILED = (-5379, "ESP_ERR_OTA_VALIDATE_FAILED")
FAIL = (1, "ESP_FAIL")


@pytest.fixture
def flash(tmp_path):
    return flashed(tmp_path, good="ota_0", otadata=((1, VALID), BLANK))


@pytest.fixture
def running(flash):
    return App(flash, ESP32, OTA, OTA_0)


def answer(call) -> tuple[int, str]:
    with pytest.raises(IdfError) as caught:
        call()
    assert caught.value.args == (caught.value.code, caught.value.name)
    return caught.value.args


def test_set_boot_takes_the_time_of_a_hash(flash, running):
    flash.erase(OTA_1.offset, OTA_1.size, actor="host")
    flash.program(OTA_1.offset, build_app("esp32", size=800 << 10), actor="host")
    spent = []
    flash.takes = spent.append
    running.set_boot(OTA_1)
    assert 0.3 < spent[0] < 0.36  # 0.67 s for 1.6 MB (facts 10.11)
    assert spent[1:] == [0.045, 0.0005]
    spent.clear()
    with pytest.raises(IdfError):
        running.set_boot(OTADATA)
    assert not spent


class TestSetBoot:
    @pytest.mark.parametrize(
        ("before", "to", "after"),
        [
            (((1, VALID), BLANK), OTA_1, ((1, VALID), (2, NEW))),
            (((1, VALID), (2, VALID)), OTA_0, ((3, NEW), (2, VALID))),
            (((3, VALID), (2, VALID)), OTA_1, ((3, VALID), (4, NEW))),
            (((1, VALID), (2, ABORTED)), OTA_1, ((1, VALID), (2, NEW))),
            (((1, VALID), spoiled(9, VALID)), OTA_1, ((1, VALID), (2, NEW))),
            (((1, VALID), (2, PENDING)), OTA_0, ((3, NEW), (2, PENDING))),
            # the slot that is active already: the same number in the other sector
            (((1, VALID), BLANK), OTA_0, ((1, VALID), (1, NEW))),
            (((1, VALID), (2, VALID)), OTA_1, ((2, NEW), (2, VALID))),
            # no entry is active
            ((BLANK, BLANK), OTA_1, ((2, NEW), BLANK)),
            (((1, ABORTED), (2, INVALID)), OTA_0, ((1, NEW), (2, INVALID))),
            ((spoiled(7, VALID), BLANK), OTA_1, ((2, NEW), BLANK)),
        ],
    )
    def test_it_writes_the_inactive_entry(self, tmp_path, before, to, after):
        flash = flashed(tmp_path, good=BOTH, otadata=before)
        App(flash, ESP32, OTA, OTA_0).set_boot(to)
        assert otadata_of(flash, OTA) == after
        written = next(entry for entry in after if entry and entry[1] == NEW)
        sector = OTADATA.offset + after.index(written) * 4096
        assert flash.read(sector, 32) == Entry.make(*written).to_bytes()
        assert [(o.actor, o.kind, o.address, o.size) for o in flash.trace] == [
            ("app", "erase", sector, 4096),
            ("app", "program", sector, 32),
        ]

    def test_the_label_that_stood_in_the_entry_is_kept(self, tmp_path):
        old = Entry(2, ABORTED, crc_of(2), b"a label of 20 bytes!")
        flash = flashed(tmp_path, good=BOTH, otadata=((1, VALID), old))
        App(flash, ESP32, OTA, OTA_0).set_boot(OTA_1)
        stored = Entry.from_bytes(flash.read(OTADATA.offset + 4096, 32))
        assert stored == Entry(2, NEW, crc_of(2), b"a label of 20 bytes!")

    def test_three_slots_go_by_their_numbers(self, tmp_path):
        table = Table.from_csv(
            "otadata, data, ota, 0xe000, 0x2000\n" + "".join(f"ota_{n}, app, ota_{n}, , 64K\n" for n in range(3))
        )
        flash = flashed(tmp_path, table, good="ota_0 ota_1 ota_2", otadata=((5, VALID), BLANK))
        app_ = App(flash, ESP32, table, row(table, "ota_1"))
        assert app_.boot_partition() == row(table, "ota_1")
        app_.set_boot(row(table, "ota_0"))
        assert otadata_of(flash, table) == ((5, VALID), (7, NEW))
        assert app_.boot_partition() == row(table, "ota_0")
        app_.set_boot(row(table, "ota_2"))
        assert otadata_of(flash, table) == ((9, NEW), (7, NEW))

    @pytest.mark.parametrize(("good", "damaged", "to"), [("", "", OTA_1), ("", "ota_1", OTA_1), (BOTH, "", OTADATA)])
    def test_what_is_no_sound_image_is_refused_and_otadata_stays(self, tmp_path, good, damaged, to):
        before = ((1, VALID), BLANK)
        flash = flashed(tmp_path, good=good, damaged=damaged, otadata=before)
        assert answer(lambda: App(flash, ESP32, OTA, OTA_0).set_boot(to)) == VALIDATE_FAILED
        assert otadata_of(flash, OTA) == before
        assert not flash.trace

    def test_an_image_of_another_chip_is_refused(self, flash, running):
        flash.program(OTA_1.offset, app("esp32c3"), actor="host")
        assert answer(lambda: running.set_boot(OTA_1)) == VALIDATE_FAILED

    def test_an_image_longer_than_its_slot_is_refused(self, flash):
        short = Row(0, 0x11, OTA_1.offset, 0x1000, "ota_1")
        table = Table((OTADATA, OTA_0, short))
        flash.program(short.offset, app(), actor="host")
        assert answer(lambda: App(flash, ESP32, table, OTA_0).set_boot(short)) == VALIDATE_FAILED

    def test_the_factory_app_is_chosen_by_erasing_otadata(self, tmp_path):
        table = LAYOUTS["factory-ota"]
        flash = flashed(tmp_path, table, good="factory ota_0", otadata=((1, VALID), (2, ABORTED)))
        app_ = App(flash, ESP32, table, row(table, "ota_0"))
        app_.set_boot(row(table, "factory"))
        assert otadata_of(flash, table) == (BLANK, BLANK)
        assert app_.boot_partition() == boot(flash, ESP32).row == row(table, "factory")

    def test_without_otadata_it_is_not_found(self, tmp_path):
        table = LAYOUTS["factory"]
        flash = flashed(tmp_path, table, good="factory")
        app_ = App(flash, ESP32, table, row(table, "factory"))
        assert answer(lambda: app_.set_boot(row(table, "factory"))) == NOT_FOUND

    def test_a_slot_beyond_a_gap_is_an_invalid_argument(self, tmp_path):
        table = Table((OTADATA, OTA_0, Row(0, 0x12, OTA_1.offset, OTA_1.size, "ota_2")))
        flash = flashed(tmp_path, table, good="ota_2", otadata=((1, VALID), BLANK))
        assert answer(lambda: App(flash, ESP32, table, OTA_0).set_boot(table.rows[2])) == INVALID_ARG
        assert not flash.trace

    def test_an_app_image_in_a_data_partition_is_an_invalid_argument(self, running, flash):
        flash.program(VFS.offset, app(), actor="host")
        assert answer(lambda: running.set_boot(VFS)) == INVALID_ARG


class TestBootPartition:
    @pytest.mark.parametrize(
        ("layout", "before", "label"),
        [
            ("ota", (BLANK, BLANK), "ota_0"),
            ("ota", ((1, VALID), (2, NEW)), "ota_1"),
            ("ota", ((1, VALID), (2, PENDING)), "ota_1"),
            ("ota", ((1, VALID), (2, ABORTED)), "ota_0"),
            ("ota", (spoiled(2, VALID), BLANK), "ota_0"),
            ("ota", ((1, ABORTED), (2, INVALID)), "ota_0"),
            ("factory-ota", (BLANK, BLANK), "factory"),
            ("factory-ota", (spoiled(2, VALID), BLANK), "factory"),
            ("factory-ota", (BLANK, (4, VALID)), "ota_1"),
            ("factory", (BLANK, BLANK), None),
        ],
    )
    def test_it_is_what_otadata_names(self, tmp_path, layout, before, label):
        table = LAYOUTS[layout]
        flash = flashed(tmp_path, layout, otadata=before)
        found = App(flash, ESP32, table, table.rows[-1]).boot_partition()
        assert (found.label if found else None) == label

    def test_it_is_the_test_app_where_there_is_nothing_else(self, flash):
        test = Row(0, 0x20, 0x10000, 0x10000, "test")
        assert App(flash, ESP32, Table((OTADATA, test)), test).boot_partition() == test


class TestMarkValid:
    @pytest.mark.parametrize(
        ("before", "after", "operations"),
        [
            (((1, VALID), (2, PENDING)), ((1, VALID), (2, VALID)), 2),
            (((3, PENDING), (2, VALID)), ((3, VALID), (2, VALID)), 2),
            (((1, VALID), (2, NEW)), ((1, VALID), (2, VALID)), 2),
            (((1, State.UNDEFINED), BLANK), ((1, VALID), BLANK), 2),
            (((1, VALID), (2, VALID)), ((1, VALID), (2, VALID)), 0),
            (((1, VALID), (2, ABORTED)), ((1, VALID), (2, ABORTED)), 0),
        ],
    )
    def test_it_rewrites_the_active_entry_in_place(self, tmp_path, before, after, operations):
        flash = flashed(tmp_path, otadata=before)
        App(flash, ESP32, OTA, OTA_0).mark_valid()
        assert otadata_of(flash, OTA) == after
        assert [o.actor for o in flash.trace] == ["app"] * operations

    @pytest.mark.parametrize(
        "before",
        [(BLANK, BLANK), ((1, ABORTED), (2, INVALID)), (spoiled(1, PENDING), BLANK)],
    )
    def test_without_an_active_entry_it_fails(self, tmp_path, before):
        flash = flashed(tmp_path, otadata=before)
        assert answer(App(flash, ESP32, OTA, OTA_0).mark_valid) == FAIL
        assert not flash.trace

    def test_without_otadata_it_is_not_found(self, tmp_path):
        table = LAYOUTS["factory"]
        flash = flashed(tmp_path, table)
        assert answer(App(flash, ESP32, table, row(table, "factory")).mark_valid) == NOT_FOUND
