"""The partition table: bytes, what bootloader and app refuse, CSV, and the ready-made layouts."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from vboard.flash.table import LAYOUTS, Row, Table, TableError

MIB = 1 << 20
HOST = Path(__file__).resolve().parents[3] / "host"
FIRMWARE = Path(__file__).parents[4] / "shared" / "firmware"
FACTORY = LAYOUTS["factory"]


def rows_of(table: Table) -> list[tuple[str, int, int, int, int]]:
    return [(row.label, row.type, row.subtype, row.offset, row.size) for row in table.rows]


def read(data: bytes, *, size: int = 4 * MIB, require_md5: bool = False) -> Table:
    return Table.from_bytes(data, size, require_md5=require_md5)


def patched(*patches: tuple[int, bytes]) -> bytes:
    data = bytearray(FACTORY.to_bytes())
    for offset, new in patches:
        data[offset : offset + len(new)] = new
    return bytes(data)


def test_a_table_is_read_on_any_system() -> None:
    posix = ["fcntl", "pty", "termios", "tty", "pwd", "grp", "resource", "selectors", "signal"]
    program = f"import sys\nsys.modules.update(dict.fromkeys({posix}))\nimport vboard.flash.table"
    environment = {**os.environ, "PYTHONPATH": str(HOST)}
    assert subprocess.run([sys.executable, "-c", program], env=environment, check=False).returncode == 0


def test_a_table_is_read_in_one_place() -> None:
    rows = '"<2sBBLL16sL"'  # the format of a row
    assert [p.name for p in sorted(HOST.rglob("*.py")) if rows in p.read_text()] == ["partition.py"]


def test_the_stock_table_is_the_one_in_micropython_firmware():
    data = FACTORY.to_bytes()
    assert data[:12].hex() == "aa50010200900000" + "00600000"
    assert data[0x60:0x70] == b"\xeb\xeb" + b"\xff" * 14
    assert data[0x70:0x80].hex() == "8405a9bb5ce0b84c4f2ca5de9a76b050"
    assert data[0x80:] == b"\xff" * (0x1000 - 0x80)


@pytest.mark.parametrize(
    ("file", "offset", "rows"),
    [
        ("ESP32_GENERIC-20250911-v1.26.1.bin", 0x7000, rows_of(FACTORY)),
        ("ESP32_GENERIC_S3-20250911-v1.26.1.bin", 0x8000, rows_of(FACTORY)),
        (
            "ESP32_GENERIC_C3-20230426-v1.20.0.bin",
            0x8000,
            [
                ("nvs", 1, 2, 0x9000, 0x6000),
                ("phy_init", 1, 1, 0xF000, 0x1000),
                ("factory", 0, 0, 0x10000, 0x1F0000),
                ("vfs", 1, 0x81, 0x200000, 0x200000),
            ],
        ),
    ],
)
def test_tables_of_real_firmware(file, offset, rows):
    path = FIRMWARE / file
    if not path.exists():
        pytest.skip(f"{path} is not here: the real firmware files are not part of the project")
    sector = path.read_bytes()[offset : offset + 0x1000]
    table = read(sector, require_md5=True)
    assert rows_of(table) == rows
    assert table.to_bytes() == sector


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_comes_back_from_its_bytes_and_fits_its_flash(name):
    table = LAYOUTS[name]
    assert read(table.to_bytes(), size=8 * MIB, require_md5=True) == table
    table.check(8 * MIB if name in ("factory-ota", "three") else 4 * MIB)


def test_the_ota_layout_is_that_of_the_real_board():
    assert rows_of(LAYOUTS["ota"].with_auto_vfs(4 * MIB)) == [
        ("nvs", 1, 2, 36864, 20480),
        ("otadata", 1, 0, 57344, 8192),
        ("ota_0", 0, 16, 65536, 1769472),
        ("ota_1", 0, 17, 1835008, 1769472),
        ("vfs", 1, 129, 3604480, 589824),
    ]


def test_the_stock_ota_layout_is_micropythons():
    assert rows_of(LAYOUTS["ota-stock"]) == [
        ("nvs", 1, 2, 0x9000, 0x4000),
        ("otadata", 1, 0, 0xD000, 0x2000),
        ("phy_init", 1, 1, 0xF000, 0x1000),
        ("ota_0", 0, 0x10, 0x10000, 0x180000),
        ("ota_1", 0, 0x11, 0x190000, 0x180000),
    ]


@pytest.mark.parametrize(
    ("data", "code", "text"),
    [
        (b"\xff" * 0x1000, "empty", "blank"),
        (patched((0x20, b"\0\0")), "bad-magic", "partition 1 invalid magic number 0x0"),
        (patched((0x60, b"\xaa\x51")), "bad-magic", "partition 3 invalid magic number 0x51aa"),
        (patched((0x04, b"\x01")), "bad-md5", "Incorrect MD5"),
        (patched((0x7F, b"\0")), "bad-md5", "Incorrect MD5"),
        (patched((0x80, b"\xff\xff\x00")), "bad-magic", "partition 4"),
        (patched((0x4B, b"\x01")), "outside-flash", "partition 2 invalid - offset 0x10000"),
        (patched((0x47, b"\xff")), "outside-flash", "exceeds flash chip size 0x400000"),
        (FACTORY.to_bytes()[:0x60] * 32, "no-end", "no terminating entry"),
    ],
)
def test_what_the_bootloader_refuses(data, code, text):
    if code == "outside-flash":  # the MD5 row comes last: a row out of the flash is met before it
        data = data[:0x60] + b"\xff" * (0x1000 - 0x60)
    with pytest.raises(TableError, match=text) as caught:
        read(data)
    assert caught.value.code == code


def test_a_second_md5_row_is_refused():
    rows = FACTORY.to_bytes()[:0x80]
    second = rows + b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(rows).digest()
    with pytest.raises(TableError) as caught:
        read(second.ljust(0x1000, b"\xff"))
    assert caught.value.code == "two-md5"


def test_only_the_app_insists_on_the_md5_row():
    data = FACTORY.to_bytes()[:0x60].ljust(0x1000, b"\xff")
    assert read(data) == FACTORY
    with pytest.raises(TableError) as caught:
        read(data, require_md5=True)
    assert caught.value.code == "no-md5"


def test_the_last_partition_may_end_with_the_flash():
    assert read(FACTORY.to_bytes(), size=2 * MIB) == FACTORY
    with pytest.raises(TableError, match="exceeds"):
        read(FACTORY.to_bytes(), size=2 * MIB - 1)


def test_a_row_keeps_flags_and_a_label_of_all_sixteen_characters():
    row = Row(0x41, 0x07, 0x200000, 0x1000, "sixteen-letters!", 0x3)
    assert Row.from_bytes(row.to_bytes()) == row
    assert row.readonly
    assert not Row(1, 2, 0x9000, 0x6000, "nvs", 0x1).readonly


def test_a_label_ends_at_its_first_nul():
    raw = bytearray(Row(1, 2, 0x9000, 0x6000, "nvs").to_bytes())
    raw[16:20] = b"left"
    assert Row.from_bytes(bytes(raw)).label == "nvs"


def test_a_full_table_fits_and_one_more_row_does_not():
    rows = tuple(Row(0x40, 0, 0x10000 + n * 0x1000, 0x1000, f"p{n}") for n in range(95))
    full = Table(rows[:94])
    assert read(full.to_bytes(), require_md5=True) == full
    with pytest.raises(TableError) as caught:
        Table(rows).to_bytes()
    assert caught.value.code == "too-many"


class TestFinding:
    GAP = Table.from_csv(
        """
        otadata, data, ota,   0xe000,   0x2000
        test,    app,  test,  0x10000,  64K
        ota_3,   app,  ota_3, 0x20000,  64K
        ota_1,   app,  ota_1, 0x30000,  64K
        ota_0,   app,  ota_0, 0x40000,  64K
        """
    )

    def test_the_app_counts_slots_up_to_the_first_gap_and_the_bootloader_all(self):
        assert [row.label for row in self.GAP.ota_slots] == ["ota_0", "ota_1"]
        assert [row.label for row in self.GAP.all_ota] == ["ota_3", "ota_1", "ota_0"]

    def test_sixteen_slots_are_all_there_are(self):
        rows = tuple(Row(0, 0x10 + n, n << 16, 0x10000, f"a{n}") for n in range(17))
        assert [row.label for row in Table(rows).ota_slots] == [f"a{n}" for n in range(16)]

    def test_rows_by_their_role(self):
        assert self.GAP.otadata == self.GAP.find("otadata")
        assert self.GAP.test == self.GAP.find("test")
        assert (self.GAP.factory, self.GAP.find("nope")) == (None, None)
        assert FACTORY.factory == FACTORY.find("factory")
        assert FACTORY.otadata is None

    def test_only_ota_slots_have_a_number(self):
        assert [row.slot_index for row in self.GAP.all_ota] == [3, 1, 0]
        for table, label in ((self.GAP, "test"), (self.GAP, "otadata"), (FACTORY, "factory")):
            with pytest.raises(ValueError, match=label):
                table.find(label).slot_index


class TestAutomaticVfs:
    def test_it_goes_from_the_last_row_to_the_end_of_the_flash(self):
        rows = FACTORY.with_auto_vfs(16 * MIB).rows
        assert rows[:-1] == FACTORY.rows
        assert rows[-1] == Row(1, 0x81, 0x200000, 14 * MIB, "vfs")

    @pytest.mark.parametrize("label", ["vfs", "ffat"])
    def test_a_table_that_names_a_file_system_keeps_it(self, label):
        table = Table((*FACTORY.rows, Row(1, 0x81, 0x300000, 0x10000, label)))
        assert table.with_auto_vfs(4 * MIB) == table

    def test_there_is_none_in_a_full_flash(self):
        assert FACTORY.with_auto_vfs(2 * MIB) == FACTORY
        assert Table(()).with_auto_vfs(2 * MIB) == Table(())


class TestCsv:
    def test_names_numbers_units_and_blank_offsets(self):
        table = Table.from_csv(
            """
            # Name,  Type, SubType, Offset, Size, Flags
            nvs,     data, nvs,    ,        24K,     # first after the table
            odd,     0x40, 7,      ,        4096, encrypted
            fact,    app,  factory,,        1M
            ota_0,   0,    0x10,   ,        0x100000
            cfg,     data, ,       0x300000, 0x1000, readonly:encrypted
            fs,      data, littlefs,,       64k
            """
        )
        assert table.rows == (
            Row(1, 0x02, 0x9000, 0x6000, "nvs"),
            Row(0x40, 7, 0xF000, 0x1000, "odd", 1),
            Row(0, 0x00, 0x10000, 0x100000, "fact"),
            Row(0, 0x10, 0x110000, 0x100000, "ota_0"),
            Row(1, 0x06, 0x300000, 0x1000, "cfg", 3),
            Row(1, 0x83, 0x301000, 0x10000, "fs"),
        )

    def test_a_blank_app_offset_moves_up_to_64_kib(self):
        table = Table.from_csv("a, data, nvs, 0x9000, 0x3000\nb, app, ota_0, , 64K")
        assert table.rows[1].offset == 0x10000

    @pytest.mark.parametrize(
        ("line", "code", "text"),
        [
            ("x, what, nvs, , 0x3000", "csv", r"line 2: 'what': a number, or one of app, data"),
            ("x, data, what, , 0x3000", "csv", r"line 2: 'what': a number, or one of ota, phy"),
            ("x, 0x40, what, , 0x3000", "csv", r"line 2: 'what' is not a number"),
            ("x, app, , , 1M", "csv", r"line 2: '': a number, or one of factory"),
            ("x, data, nvs, 12Q, 0x3000", "csv", r"line 2: '12Q' is not a number"),
            ("x, data, nvs, ,", "csv", r"line 2: '' is not a number"),
            ("x, data, nvs, , K", "csv", r"line 2: 'K' is not a number"),
            ("x, data, nvs, , 0x3000, hidden", "csv", r"unknown flag 'hidden': one of encrypted"),
            ("x, app, ota_0, 0x18000, 1M", "alignment", "0x18000 is not a multiple of 0x10000"),
            ("x, data, fat, 0x10800, 1M", "alignment", "0x10800 is not a multiple of 0x1000"),
            ("x, app, ota_0, , 0x10800", "alignment", "0x10800 is not of whole sectors"),
            ("x, data, fat, , 0", "alignment", "0x0 is not of whole sectors"),
            ("x, data, ota, , 0x1000", "bad-size", "otadata is always 0x2000"),
            ("x, data, nvs, , 0x2000", "bad-size", "NVS needs 0x3000"),
            ("x, data, fat, 0x8000, 1M", "overlap", "x begins at 0x8000, before 0x9000 is free"),
            ("x, data, fat, 0xa000, 1M", "overlap", "x begins at 0xa000, before 0xc000"),
            ("first, data, fat, , 1M", "duplicate", "label first stands in the table twice"),
            ("longer-than-sixteen, data, fat, , 1M", "label", "1 to 16 ASCII characters"),
            (", data, fat, , 1M", "label", "1 to 16 ASCII characters"),
            ("grün, data, fat, , 1M", "label", "1 to 16 ASCII characters"),
            ("x, 300, 0, , 1M", "csv", "line 2: 300 is no type or subtype: 0 to 255"),
            ("x, data, -1, , 1M", "csv", "line 2: -1 is no type or subtype"),
            ("x, data, fat, , 4096M", "bad-size", "ends at 0x10000c000, beyond 4 GiB"),
        ],
    )
    def test_what_cannot_be_a_table_is_refused_by_name(self, line, code, text):
        with pytest.raises(TableError, match=text) as caught:
            Table.from_csv("first, data, fat, 0x9000, 0x3000\n" + line)
        assert caught.value.code == code

    def test_two_otadata_partitions_are_refused(self):
        with pytest.raises(TableError, match="otadata"):
            Table.from_csv("a, data, ota, , 0x2000\nb, data, ota, , 0x2000")

    def test_a_read_only_nvs_may_be_small(self):
        Table.from_csv("keys, data, nvs, , 0x1000, readonly")

    def test_a_table_for_a_larger_flash_is_refused_when_the_size_is_known(self):
        table = Table.from_csv("big, app, ota_0, , 4M")
        table.check(8 * MIB)
        with pytest.raises(TableError) as caught:
            table.check(4 * MIB)
        assert caught.value.code == "outside-flash"
