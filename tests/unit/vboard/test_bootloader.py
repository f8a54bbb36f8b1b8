"""Which partition starts after a reset, and what otadata says afterwards."""

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
from vboard.chips import CHIPS
from vboard.flash.otadata import Entry, State, crc_of
from vboard.flash.table import LAYOUTS, TABLE_OFFSET, Row, Table

ESP32 = CHIPS["esp32"]
OTA = LAYOUTS["ota"]
BOTH = "ota_0 ota_1"
FOUR_SLOTS = Table.from_csv(
    "otadata, data, ota, 0xe000, 0x2000\n"
    "factory, app, factory, , 64K\n"
    + "".join(f"ota_{n}, app, ota_{n}, , 64K\n" for n in range(4))
    + "test, app, test, , 64K\n"
)


def started(flash, **how) -> str | None:
    booted = boot(flash, ESP32, **how)
    return booted.row.label if booted.row else None


@pytest.mark.parametrize(
    ("before", "good", "damaged", "starts", "after"),
    [
        # the first boot of a new board fills in otadata
        ((BLANK, BLANK), BOTH, "", "ota_0", ((1, VALID), BLANK)),
        ((BLANK, BLANK), "ota_1", "ota_0", "ota_1", ((2, VALID), BLANK)),
        ((BLANK, BLANK), "ota_1", "", "ota_1", ((2, VALID), BLANK)),
        ((spoiled(1, ABORTED), BLANK), BOTH, "", "ota_0", ((1, VALID), BLANK)),
        (((0xFFFFFFFF, VALID), BLANK), BOTH, "", "ota_0", ((1, VALID), BLANK)),
        # a confirmed image just starts
        (((1, VALID), BLANK), BOTH, "", "ota_0", ((1, VALID), BLANK)),
        (((1, VALID), (2, VALID)), BOTH, "", "ota_1", ((1, VALID), (2, VALID))),
        (((3, VALID), (2, VALID)), BOTH, "", "ota_0", ((3, VALID), (2, VALID))),
        # a new image gets its one trial
        (((1, VALID), (2, NEW)), BOTH, "", "ota_1", ((1, VALID), (2, PENDING))),
        (((3, NEW), (2, VALID)), BOTH, "", "ota_0", ((3, PENDING), (2, VALID))),
        (((1, NEW), BLANK), BOTH, "", "ota_0", ((1, PENDING), BLANK)),
        # unconfirmed at the next reset: rolled back
        (((1, VALID), (2, PENDING)), BOTH, "", "ota_0", ((1, VALID), (2, ABORTED))),
        (((3, PENDING), (2, VALID)), BOTH, "", "ota_1", ((3, ABORTED), (2, VALID))),
        (((1, PENDING), (2, NEW)), BOTH, "", "ota_1", ((1, ABORTED), (2, PENDING))),
        # the new image is damaged: marked as tried before anyone looks, then the old one runs
        (((1, VALID), (2, NEW)), "ota_0", "ota_1", "ota_0", ((1, VALID), (2, PENDING))),
        (((1, VALID), (2, PENDING)), "ota_0", "ota_1", "ota_0", ((1, VALID), (2, ABORTED))),
        (((1, VALID), (2, VALID)), "ota_0", "ota_1", "ota_0", ((1, VALID), (2, VALID))),
        # no other image is left: even an aborted one starts
        (((1, VALID), (2, PENDING)), "ota_1", "ota_0", "ota_1", ((1, VALID), (2, ABORTED))),
        (((1, VALID), (2, INVALID)), "ota_1", "", "ota_1", ((1, VALID), (2, INVALID))),
        # nothing to choose from: from the first slot on, nothing is written
        (((1, ABORTED), (2, ABORTED)), BOTH, "", "ota_0", ((1, ABORTED), (2, ABORTED))),
        (((1, INVALID), (2, ABORTED)), "ota_1", "", "ota_1", ((1, INVALID), (2, ABORTED))),
        (((1, PENDING), BLANK), BOTH, "", "ota_0", ((1, ABORTED), BLANK)),
        # a tie goes to entry 0
        (((2, NEW), (2, VALID)), BOTH, "", "ota_1", ((2, PENDING), (2, VALID))),
        (((2, VALID), (2, NEW)), BOTH, "", "ota_1", ((2, VALID), (2, NEW))),
        # states that only other builds write count as valid
        (
            ((1, VALID), (2, State.UNDEFINED)),
            BOTH,
            "",
            "ota_1",
            ((1, VALID), (2, State.UNDEFINED)),
        ),
        (((5, VALID), (6, 77)), BOTH, "", "ota_1", ((5, VALID), (6, 77))),
        # nothing at all
        (((1, VALID), (2, NEW)), "", BOTH, None, ((1, VALID), (2, PENDING))),
        ((BLANK, BLANK), "", "", None, (BLANK, BLANK)),
    ],
)
def test_two_slots(tmp_path, before, good, damaged, starts, after):
    flash = flashed(tmp_path, otadata=before, good=good, damaged=damaged)
    assert started(flash) == starts
    assert otadata_of(flash, OTA) == after
    assert {operation.actor for operation in flash.trace} <= {"bootloader"}


@pytest.mark.parametrize(
    ("before", "good", "starts", "after", "says"),
    [
        ((BLANK, BLANK), "factory ota_0", "factory", (BLANK, BLANK), ""),
        (((1, ABORTED), (2, ABORTED)), "factory ota_0 ota_1", "factory", None, ""),
        (((1, VALID), BLANK), "factory ota_0", "ota_0", None, ""),
        (((1, PENDING), BLANK), "factory ota_0", "factory", ((1, ABORTED), BLANK), ""),
        (
            ((1, VALID), (2, NEW)),
            "factory",
            "factory",
            ((1, VALID), (2, PENDING)),
            "slot 0 is not",
        ),
        (
            (BLANK, BLANK),
            "ota_1",
            "ota_1",
            (BLANK, BLANK),
            "Factory app partition is not bootable",
        ),
        (
            (spoiled(1, VALID), BLANK),
            "factory ota_0",
            "factory",
            None,
            "ota data partition invalid, falling back to factory",
        ),
    ],
)
def test_a_factory_app_is_the_last_before_the_first(tmp_path, before, good, starts, after, says):
    flash = flashed(tmp_path, "factory-ota", otadata=before, good=good)
    table = LAYOUTS["factory-ota"]
    unchanged = otadata_of(flash, table)
    booted = boot(flash, ESP32)
    assert booted.row == row(table, starts)
    assert otadata_of(flash, table) == (after or unchanged)
    assert says in "\n".join(booted.log)


def test_a_wrong_crc_on_the_only_entry_tries_all_and_writes_nothing(tmp_path):
    flash = flashed(tmp_path, otadata=(spoiled(2, VALID), BLANK), good=BOTH)
    booted = boot(flash, ESP32)
    assert booted.row == row(OTA, "ota_0")
    assert booted.log == ["E boot: ota data partition invalid and no factory, will try all partitions"]
    assert not flash.trace


def test_a_pending_entry_is_aborted_whatever_its_crc_and_keeps_crc_and_label(tmp_path):
    odd = Entry(7, PENDING, crc_of(7) ^ 1, b"twenty bytes, unused")
    flash = flashed(tmp_path, otadata=(odd, (2, VALID)), good=BOTH)
    assert started(flash) == "ota_1"
    stored = Entry.from_bytes(flash.read(0xE000, 32))
    assert stored == Entry(7, ABORTED, crc_of(7) ^ 1, b"twenty bytes, unused")


def test_a_pending_mark_without_a_number_is_aborted_too(tmp_path):
    flash = flashed(tmp_path, otadata=(Entry(0xFFFFFFFF, PENDING, 0xFFFFFFFF), BLANK), good=BOTH)
    assert started(flash) == "ota_0"
    # the abort, then the first-boot entry: otadata counts as never written
    assert [operation.kind for operation in flash.trace] == ["erase", "program"] * 2
    assert otadata_of(flash, OTA) == ((1, VALID), BLANK)


@pytest.mark.parametrize(("before", "sector"), [(((1, VALID), (2, NEW)), 1), (((3, PENDING), (2, VALID)), 0)])
def test_a_change_is_one_erase_and_one_program_of_32_bytes_in_one_sector(tmp_path, before, sector):
    flash = flashed(tmp_path, otadata=before, good=BOTH)
    started(flash)
    address = 0xE000 + sector * 0x1000
    assert [(o.actor, o.kind, o.address, o.size) for o in flash.trace] == [
        ("bootloader", "erase", address, 0x1000),
        ("bootloader", "program", address, 32),
    ]


@pytest.mark.parametrize("state", [NEW, PENDING])
def test_an_old_bootloader_without_rollback_starts_the_image_and_writes_nothing(tmp_path, state):
    flash = flashed(tmp_path, otadata=((1, VALID), (2, state)), good=BOTH)
    assert started(flash, rollback_enabled=False) == "ota_1"
    assert not flash.trace


@pytest.mark.parametrize(
    ("good", "starts", "tried"),
    [
        ("ota_2", "ota_2", []),
        ("ota_1 ota_0 factory ota_3", "ota_1", ["slot 2"]),
        ("factory ota_3 test", "factory", ["slot 2", "slot 1", "slot 0"]),
        ("ota_3 test", "ota_3", ["slot 2", "slot 1", "slot 0", "Factory"]),
        ("test", "test", ["slot 2", "slot 1", "slot 0", "Factory", "slot 3"]),
        ("", None, ["slot 2", "slot 1", "slot 0", "Factory", "slot 3"]),
    ],
)
def test_the_fallback_goes_down_to_the_factory_app_and_then_up(tmp_path, good, starts, tried):
    flash = flashed(tmp_path, FOUR_SLOTS, otadata=((3, VALID), (2, VALID)), good=good)
    booted = boot(flash, ESP32)
    assert (booted.row.label if booted.row else None) == starts
    complaints = [line for line in booted.log if line.endswith("is not bootable")]
    assert all(name in line for name, line in zip(tried, complaints, strict=True))
    last = {
        "test": "W boot: Falling back to test app as only bootable partition",
        None: "E boot: No bootable app partitions in the partition table",
    }
    assert starts not in last or booted.log[-1] == last[starts]


def test_a_slot_beyond_a_gap_in_the_numbers_is_never_reached(tmp_path):
    table = Table.from_csv("otadata, data, ota, 0xe000, 0x2000\nota_0, app, ota_0, , 64K\nota_2, app, ota_2, , 64K\n")
    flash = flashed(tmp_path, table, good="ota_2")
    assert started(flash) is None


def test_a_table_without_otadata_starts_the_factory_app(tmp_path):
    flash = flashed(tmp_path, "factory", good="factory")
    assert started(flash) == "factory"
    assert not flash.trace


def test_without_otadata_a_slot_comes_after_the_factory_app(tmp_path):
    table = Table.from_csv("factory, app, factory, , 64K\nota_0, app, ota_0, , 64K\n")
    flash = flashed(tmp_path, table, good="factory ota_0")
    assert started(flash) == "factory"
    flash.erase(row(table, "factory").offset, 0x10000, actor="host")
    assert started(flash) == "ota_0"
    assert {operation.actor for operation in flash.trace} == {"host"}


def test_otadata_without_any_slot_starts_the_factory_app(tmp_path):
    table = Table.from_csv("otadata, data, ota, 0xe000, 0x2000\nfactory, app, factory, , 64K\n")
    flash = flashed(tmp_path, table, otadata=((1, VALID), BLANK), good="factory", size=4 * MIB)
    assert started(flash) == "factory"


def test_otadata_of_one_sector_stops_the_boot(tmp_path):
    rows = (Row(1, 0, 0xE000, 0x1000, "otadata"), Row(0, 0x10, 0x10000, 0x10000, "ota_0"))
    flash = flashed(tmp_path, Table(rows), good="ota_0")
    booted = boot(flash, ESP32)
    assert booted.row is None
    assert booted.log == ["E boot: ota_info partition size 4096 is too small (minimum 8192 bytes)"]


@pytest.mark.parametrize(
    ("patch", "says"),
    [
        ((TABLE_OFFSET + 5, b"\0"), "E flash_parts: Incorrect MD5 checksum"),
        ((TABLE_OFFSET, b"\0"), "E flash_parts: partition 0 invalid magic number 0x5000"),
    ],
)
def test_a_spoiled_table_starts_nothing(tmp_path, patch, says):
    flash = flashed(tmp_path, good=BOTH)
    flash.program(*patch, actor="host")
    booted = boot(flash, ESP32)
    assert booted.row is None
    assert booted.log[0] == says
    assert booted.log[-1] == "E boot: load partition table error!"


def test_a_table_without_md5_row_is_good_enough_for_the_bootloader(tmp_path):
    flash = flashed(tmp_path, good=BOTH)
    table = flash.read(TABLE_OFFSET, 0x80)
    flash.erase(TABLE_OFFSET, 0x1000, actor="host")
    flash.program(TABLE_OFFSET, table, actor="host")
    assert started(flash) == "ota_0"


def test_an_app_of_another_chip_does_not_start(tmp_path):
    flash = flashed(tmp_path, good="ota_1")
    flash.program(row(OTA, "ota_0").offset, app("esp32s3"), actor="host")
    booted = boot(flash, ESP32)
    assert booted.row == row(OTA, "ota_1")
    assert "E boot: OTA app partition slot 0 is not bootable" in booted.log
    assert any(line.startswith("E esp_image: ") for line in booted.log)


@pytest.mark.parametrize("chip", CHIPS)
def test_every_chip_starts_its_own_app(tmp_path, chip):
    flash = flashed(tmp_path, good="ota_0", chip=chip)
    assert boot(flash, CHIPS[chip]).row == row(OTA, "ota_0")


class TestDeepSleep:
    @pytest.mark.parametrize("state", [NEW, PENDING, VALID])
    def test_waking_starts_what_ran_before_and_leaves_otadata_alone(self, tmp_path, state):
        flash = flashed(tmp_path, otadata=((1, VALID), (2, state)), good=BOTH)
        assert started(flash, deep_sleep_partition="ota_0") == "ota_0"
        assert started(flash, deep_sleep_partition="ota_1") == "ota_1"
        assert not flash.trace

    def test_waking_does_not_verify_the_image(self, tmp_path):
        flash = flashed(tmp_path, otadata=((1, VALID), BLANK), good="ota_1", damaged="ota_0")
        assert started(flash, deep_sleep_partition="ota_0") == "ota_0"

    @pytest.mark.parametrize("slept_on", ["ota_1", "gone"])
    def test_where_nothing_is_left_of_it_the_boot_is_an_ordinary_one(self, tmp_path, slept_on):
        flash = flashed(tmp_path, otadata=((1, VALID), (2, PENDING)), good="ota_0")
        booted = boot(flash, ESP32, deep_sleep_partition=slept_on)
        assert booted.row == row(OTA, "ota_0")
        assert booted.log[0] == "E boot: Fast booting is not successful"
        assert otadata_of(flash, OTA) == ((1, VALID), (2, ABORTED))
