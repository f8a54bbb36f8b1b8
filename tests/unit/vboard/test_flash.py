"""The NOR model: what a flash chip does to its bytes, and the record that it keeps."""

import subprocess
import sys
from pathlib import Path

import pytest
from vboard.flash.nor import (
    BLOCK,
    ERASE_BLOCK_US,
    ERASE_SECTOR_US,
    PROGRAM_PAGE_US,
    SECTOR,
    Flash,
    Operation,
    PowerLost,
)

SIZE = 4 * BLOCK


@pytest.fixture
def flash(tmp_path: Path):
    with Flash(tmp_path / "flash.bin", SIZE) as flash:
        yield flash


def test_new_flash_is_erased(flash):
    assert flash.read(0, SIZE) == b"\xff" * SIZE


def test_program_only_clears_bits(flash):
    flash.program(100, b"\xf0\xf0\x00", actor="app")
    flash.program(100, b"\x3c\xff\xff", actor="app")
    assert flash.read(99, 5) == b"\xff\x30\xf0\x00\xff"


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_program_takes_any_buffer(flash, kind):
    flash.program(7, kind(b"abc"), actor="app")
    assert flash.read(7, 3) == b"abc"


def test_erase_sets_whole_sectors_and_no_more(flash):
    flash.program(0, bytes(3 * SECTOR), actor="app")
    flash.erase(SECTOR, SECTOR, actor="app")
    assert flash.read(0, 3 * SECTOR) == bytes(SECTOR) + b"\xff" * SECTOR + bytes(SECTOR)


@pytest.mark.parametrize(
    ("address", "size", "steps"),
    [
        (0, SECTOR, [SECTOR]),
        (0, BLOCK, [BLOCK]),
        (0, BLOCK - SECTOR, [SECTOR] * 15),
        (SECTOR, BLOCK, [SECTOR] * 16),
        (BLOCK - SECTOR, BLOCK + 2 * SECTOR, [SECTOR, BLOCK, SECTOR]),
        (BLOCK, 2 * BLOCK, [BLOCK, BLOCK]),
        (SECTOR, 0, []),
    ],
)
def test_erase_goes_by_blocks_where_they_fit(flash, address, size, steps):
    flash.erase(address, size, actor="app")
    assert [operation.size for operation in flash.trace] == steps
    ends = [address + sum(steps[:n]) for n in range(len(steps))]
    assert [operation.address for operation in flash.trace] == ends
    assert flash.erases == len(steps)


@pytest.mark.parametrize(
    ("address", "size"),
    [(1, SECTOR), (SECTOR, 1), (0, SIZE + SECTOR), (-SECTOR, SECTOR), (0, -SECTOR)],
)
def test_erase_outside_or_in_mid_sector_is_refused_and_changes_nothing(flash, address, size):
    flash.program(0, b"kept", actor="app")
    flash.trace.clear()
    with pytest.raises(ValueError):
        flash.erase(address, size, actor="app")
    assert flash.read(0, 4) == b"kept"
    assert not flash.trace


@pytest.mark.parametrize("address", [-1, SIZE - 3, SIZE])
def test_program_and_read_outside_are_refused(flash, address):
    with pytest.raises(ValueError):
        flash.program(address, b"four", actor="app")
    with pytest.raises(ValueError):
        flash.read(address, 4)
    assert flash.read(SIZE - 4, 4) == b"\xff" * 4


def test_trace_names_every_operation_in_order(flash):
    flash.erase(SECTOR, SECTOR, actor="bootloader")
    flash.program(SECTOR + 8, b"abc", actor="nvs")
    flash.program(0, b"", actor="app")
    assert flash.trace == [
        Operation(0, "bootloader", "erase", SECTOR, SECTOR),
        Operation(1, "nvs", "program", SECTOR + 8, 3),
    ]
    assert (flash.erases, flash.programs) == (1, 1)


def test_numbering_goes_on_after_the_trace_is_cleared(flash):
    flash.program(0, b"a", actor="app")
    flash.trace.clear()
    flash.program(1, b"b", actor="app")
    assert [operation.index for operation in flash.trace] == [1]


def test_wear_counts_the_erases_of_each_sector(flash):
    flash.erase(0, BLOCK, actor="app")
    flash.erase(3 * SECTOR, SECTOR, actor="app")
    assert (flash.wear[2], flash.wear[3], flash.wear[15], flash.wear[16]) == (1, 2, 1, 0)


def test_erasing_takes_the_time_of_a_real_chip(flash):
    flash.erase(0, BLOCK + SECTOR, actor="app")
    assert flash.busy_us == ERASE_BLOCK_US + ERASE_SECTOR_US


@pytest.mark.parametrize(("address", "size", "pages"), [(0, 1, 1), (1024, 256, 1), (250, 12, 2), (255, 258, 3)])
def test_programming_takes_a_command_for_each_page_it_touches(flash, address, size, pages):
    flash.program(address, bytes(size), actor="app")
    assert flash.busy_us == pages * PROGRAM_PAGE_US


def test_power_lost_before_an_operation_leaves_it_undone_and_unrecorded(flash):
    flash.program(0, b"\x0f", actor="app")
    seen = []

    def before(operation, data):
        seen.append((operation, data))
        raise PowerLost

    flash.before = before
    with pytest.raises(PowerLost):
        flash.program(0, b"\x00", actor="app")
    with pytest.raises(PowerLost):
        flash.erase(0, SECTOR, actor="vfs")
    assert flash.read(0, 1) == b"\x0f"
    assert seen == [
        (Operation(1, "app", "program", 0, 1), b"\x00"),
        (Operation(1, "vfs", "erase", 0, SECTOR), None),
    ]
    assert (len(flash.trace), flash.erases, flash.wear.total()) == (1, 0, 0)


def test_power_can_go_between_two_blocks_of_one_erase(flash):
    flash.program(0, bytes(2 * BLOCK), actor="app")

    def before(operation, _):
        if operation.address == BLOCK:
            raise PowerLost

    flash.before = before
    with pytest.raises(PowerLost):
        flash.erase(0, 2 * BLOCK, actor="app")
    assert flash.read(0, 2 * BLOCK) == b"\xff" * BLOCK + bytes(BLOCK)


def test_another_process_sees_each_operation_at_once(flash):
    flash.program(5, b"seen", actor="app")
    code = f"f = open({str(flash.path)!r}, 'rb'); f.seek(5); print(f.read(4))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "b'seen'"


def test_contents_outlive_the_object(tmp_path):
    with Flash(tmp_path / "flash.bin", SIZE) as flash:
        flash.program(0, b"kept", actor="app")
    with Flash(tmp_path / "flash.bin", SIZE) as flash:
        assert flash.read(0, 5) == b"kept\xff"
        assert flash.trace == []
    assert [path.name for path in tmp_path.iterdir()] == ["flash.bin"]


def test_a_file_of_another_size_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "flash.bin"
    path.write_bytes(b"not a flash")
    with pytest.raises(ValueError, match="holds 11 bytes"):
        Flash(path, SIZE)
    assert path.read_bytes() == b"not a flash"


@pytest.mark.parametrize("size", [0, -BLOCK, BLOCK + SECTOR])
def test_a_size_not_of_whole_blocks_is_refused(tmp_path, size):
    with pytest.raises(ValueError, match="not a multiple"):
        Flash(tmp_path / "flash.bin", size)
    assert not (tmp_path / "flash.bin").exists()


def test_reader_counts_from_its_base(flash):
    flash.program(SECTOR, b"base", actor="app")
    assert flash.reader(SECTOR)(1, 3) == b"ase"


def test_operations_take_a_chips_time_where_asked(tmp_path):
    spent = []
    with Flash(tmp_path / "flash.bin", 1 << 20) as flash:
        flash.takes = spent.append
        flash.erase(0, BLOCK + SECTOR, actor="app")
        flash.program(0, bytes(1024), actor="app")
        flash.program(2000, bytes(16), actor="host")  # what a person's cable does is no time of the board
    assert spent == [0.15, 0.045, 0.002]


def test_operation_that_a_watchdog_ends_did_not_happen(tmp_path):
    def ends(_):
        raise RuntimeError

    with Flash(tmp_path / "flash.bin", 1 << 20) as flash:
        flash.takes = ends
        with pytest.raises(RuntimeError):
            flash.program(0, b"\0", actor="app")
        assert flash.read(0, 1) == b"\xff"
        assert not flash.trace
