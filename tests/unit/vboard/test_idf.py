"""ESP-IDF as the running app meets it: partitions found, read and written, errors and aborts."""

import pytest
from flashed import (
    BLANK,
    MIB,
    VALID,
    flashed,
    row,
)
from vboard.chip.bootloader import boot
from vboard.chip.idf import Abort, App, IdfError
from vboard.chips import CHIPS
from vboard.flash.nor import Flash
from vboard.flash.table import LAYOUTS, Row, Table

ESP32 = CHIPS["esp32"]
OTA = LAYOUTS["ota"].with_auto_vfs(4 * MIB)
OTA_0, OTA_1 = row(OTA, "ota_0"), row(OTA, "ota_1")
VFS, OTADATA, NVS = row(OTA, "vfs"), row(OTA, "otadata"), row(OTA, "nvs")
BOTH = "ota_0 ota_1"
INVALID_ARG = (-258, "ESP_ERR_INVALID_ARG")
INVALID_SIZE = (-260, "ESP_ERR_INVALID_SIZE")
NOT_FOUND = (-261, "ESP_ERR_NOT_FOUND")
NOT_ALLOWED = (-269, "ESP_ERR_NOT_ALLOWED")
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


def started(flash: Flash) -> Row:
    booted = boot(flash, ESP32)
    assert booted.row
    return booted.row


class TestFinding:
    def test_by_type_and_subtype_and_label_in_table_order(self, running):
        def labels(*query):
            return [found.label for found in running.find(*query)]

        assert labels(0) == ["ota_0", "ota_1"]
        assert labels(1) == ["nvs", "otadata", "vfs"]
        assert labels(1, 0) == ["otadata"]
        assert labels(1, 255, "nvs") == ["nvs"]
        assert labels(0, 255, "nvs") == []
        assert labels(0, 0x20) == []
        assert labels(1, 255, "") == []

    def test_any_type_goes_with_any_subtype_only(self, running):
        assert len(running.find(255)) == len(OTA.rows)
        assert running.find(255, 0) == []

    @pytest.mark.parametrize(
        ("layout", "start", "after"),
        [
            ("ota", "ota_0", "ota_1"),
            ("ota", "ota_1", "ota_0"),
            ("ota", "nvs", "ota_0"),
            ("factory-ota", "factory", "ota_0"),
            ("factory-ota", "ota_1", "ota_0"),
            ("factory", "factory", None),
        ],
    )
    def test_the_next_slot_to_update(self, flash, layout, start, after):
        table = LAYOUTS[layout]
        found = App(flash, ESP32, table, row(table, start)).next_update(row(table, start))
        assert (found.label if found else None) == after

    def test_the_next_slot_goes_by_number_and_passes_over_gaps(self, flash):
        table = Table(tuple(Row(0, 0x10 + n, 0x10000 + (n << 16), 0x10000, f"a{n}") for n in (5, 2, 0)))
        app_ = App(flash, ESP32, table, table.rows[0])
        assert [app_.next_update(table.rows[n]).label for n in (0, 1, 2)] == ["a0", "a5", "a2"]


class TestErrors:
    """In the order of probe.py: what a real board answers to the same calls."""

    @pytest.mark.parametrize(
        ("call", "error"),
        [
            (lambda a: a.write_blocks(OTA_1, 0, bytes(100), 4096), INVALID_SIZE),
            (lambda a: a.write_blocks(OTA_1, OTA_1.size, bytes(4096), 4096), INVALID_SIZE),
            (lambda a: a.write_blocks(OTA_1, OTA_1.size - 4096, bytes(8192), 4096), INVALID_SIZE),
            (lambda a: a.read(OTA_1, OTA_1.size, 32), INVALID_SIZE),
            (lambda a: a.read(OTA_1, OTA_1.size - 4096, 8192), INVALID_SIZE),
            (lambda a: a.erase(OTA_1, OTA_1.size, 4096), INVALID_SIZE),
            (lambda a: a.read(OTA_1, -4096, 32), INVALID_ARG),
            # from IDF's source
            (lambda a: a.read(OTA_1, OTA_1.size + 1, 0), INVALID_ARG),
            (lambda a: a.program(OTA_1, OTA_1.size + 4096, b"x"), INVALID_ARG),
            (lambda a: a.program(OTA_1, OTA_1.size, b"x"), INVALID_SIZE),
            (lambda a: a.program(OTA_1, -1, b"x"), INVALID_ARG),
            (lambda a: a.erase(OTA_1, OTA_1.size + 4096, 4096), INVALID_ARG),
            (lambda a: a.erase(OTA_1, 0, 100), INVALID_SIZE),
            (lambda a: a.erase(OTA_1, 100, 4096), INVALID_ARG),
            (lambda a: a.write_blocks(OTA_1, -512, bytes(512), 512), INVALID_ARG),
        ],
    )
    def test_errors_are_a_real_boards_and_nothing_is_written(self, running, flash, call, error):
        assert answer(lambda: call(running)) == error
        assert not flash.trace

    @pytest.mark.parametrize("change", ["program", "erase", "write_blocks"])
    def test_a_read_only_partition_is_only_read(self, flash, change):
        sealed = Row(1, 2, 0x9000, 0x3000, "sealed", flags=2)
        app_ = App(flash, ESP32, Table((sealed, OTA_0)), OTA_0)
        arguments = {"program": (b"x",), "erase": (4096,), "write_blocks": (bytes(4096), 4096)}
        assert answer(lambda: getattr(app_, change)(sealed, 0, *arguments[change])) == NOT_ALLOWED
        assert app_.read(sealed, 0, 1) == b"\xff"
        assert not flash.trace

    def test_reading_up_to_the_end_is_fine(self, running):
        assert running.read(OTA_1, OTA_1.size - 3, 3) == b"\xff" * 3
        assert running.read(OTA_1, OTA_1.size, 0) == b""


class TestWriting:
    def test_program_ands_and_erase_restores(self, running):
        running.program(OTA_1, 0, b"\xf0" * 8)
        running.program(OTA_1, 0, b"\x3c" * 4)
        assert running.read(OTA_1, 0, 8) == b"0000\xf0\xf0\xf0\xf0"
        running.erase(OTA_1, 0, 4096)
        assert running.read(OTA_1, 0, 8) == b"\xff" * 8

    def test_write_blocks_erases_first(self, running, flash):
        running.program(OTA_1, 4096, bytes(8192))
        flash.trace.clear()
        running.write_blocks(OTA_1, 4096, b"\x55" * 8192, 4096)
        assert running.read(OTA_1, 4096, 8192) == b"\x55" * 8192
        assert [(o.kind, o.size) for o in flash.trace] == [
            ("erase", 4096),
            ("erase", 4096),
            ("program", 8192),
        ]

    def test_a_block_of_64_kib_is_one_erase(self, running, flash):
        running.write_blocks(OTA_1, 0, bytes(65536), 4096)
        assert [(o.kind, o.size) for o in flash.trace] == [("erase", 65536), ("program", 65536)]

    def test_from_address_0_a_block_is_erased_and_nothing_written(self, running, flash):
        running.program(OTA_1, 65536, bytes(65536))
        flash.trace.clear()
        assert answer(lambda: running.write_from_nowhere(OTA_1, 65536, 65536, erases=True)) == INVALID_ARG
        assert running.read(OTA_1, 65536, 65536) == b"\xff" * 65536
        assert [(o.kind, o.size) for o in flash.trace] == [("erase", 65536)]

    def test_from_address_0_without_an_erase_nothing_is_done(self, running, flash):
        assert answer(lambda: running.write_from_nowhere(OTA_1, 0, 65536, erases=False)) == INVALID_ARG
        assert not flash.trace

    def test_from_address_0_the_running_app_is_guarded_and_an_end_refused(self, running):
        with pytest.raises(Abort):
            running.write_from_nowhere(OTA_0, 0, 65536, erases=True)
        end = OTA_1.size - 4096
        assert answer(lambda: running.write_from_nowhere(OTA_1, end, 65536, erases=True)) == INVALID_SIZE

    @pytest.mark.parametrize(
        ("offset", "size", "sectors"),
        [
            (0, 512, 1),
            (512, 512, 1),
            (3584, 512, 1),
            (3584, 1024, 2),
            (512, 9216, 3),
            (0, 4096, 1),
        ],
    )
    def test_small_blocks_keep_the_rest_of_their_sectors(self, running, flash, offset, size, sectors):
        old = bytes(range(256)) * 48
        running.program(OTA_1, 0, old)
        flash.trace.clear()
        running.write_blocks(OTA_1, offset, b"\xa5" * size, 512)
        new = old[:offset] + b"\xa5" * size + old[offset + size :]
        assert running.read(OTA_1, 0, len(old)) == new
        assert sum(o.kind == "erase" for o in flash.trace) == sectors

    def test_a_block_size_that_wrapped_to_zero_counts_as_small(self, running, flash):
        running.write_blocks(OTA_1, 0, b"\x01", 0)
        assert running.read(OTA_1, 0, 2) == b"\x01\xff"

    def test_the_trace_tells_the_file_system_from_the_app(self, running, flash):
        running.write_blocks(VFS, 0, bytes(4096), 4096)
        running.program(OTA_1, 0, b"x")
        running.program(NVS, 0, b"x")
        assert [o.actor for o in flash.trace] == ["vfs", "vfs", "app", "app"]


class TestProtection:
    EARLY = Row(0x40, 0, 0x8C00, 0x9400, "early")
    NEIGHBOUR = Row(0x40, 0, OTA_0.offset - 0x2000, 0x4000, "over")

    @pytest.mark.parametrize(
        "write",
        [
            lambda a: a.program(OTA_0, 0, b""),
            lambda a: a.program(OTA_0, OTA_0.size - 1, b"x"),
            lambda a: a.erase(OTA_0, 0, 4096),
            lambda a: a.write_blocks(OTA_0, 0, bytes(4096), 4096),
            lambda a: a.program(TestProtection.EARLY, 0, b"x"),
            lambda a: a.program(TestProtection.NEIGHBOUR, 0x1FFF, b"xx"),
            lambda a: a.erase(TestProtection.NEIGHBOUR, 0x2000, 4096),
            lambda a: a.erase(Row(0x40, 0, 0x8000, 0x1000, "table"), 0, 4096),
            lambda a: a.erase(Row(0x40, 0, 0x1000, 0x1000, "boot"), 0, 4096),
        ],
    )
    def test_a_write_into_the_running_app_the_table_or_the_bootloader_aborts(self, running, flash, write):
        with pytest.raises(Abort):
            write(running)
        assert not flash.trace

    def test_a_write_right_beside_them_does_not(self, running, flash):
        running.program(self.EARLY, 1, b"x")
        running.program(self.NEIGHBOUR, 0x1FFF, b"x")
        running.erase(OTA_1, 0, 4096)
        assert len(flash.trace) == 3

    def test_what_is_protected_goes_with_what_runs(self, flash):
        second = App(flash, ESP32, OTA, OTA_1)
        second.erase(OTA_0, 0, 4096)
        with pytest.raises(Abort, match="ota_1"):
            second.erase(OTA_1, 0, 4096)
