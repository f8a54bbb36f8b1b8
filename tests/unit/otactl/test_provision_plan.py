"""What `otactl provision` would do to a board: flash in, steps and losses out. Nothing here has a port."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from otactl.board.provision import facts, layouts, plan, run
from otactl.board.provision.plan import Plan
from otactl.board.slots_picture import draw_from, next_boot
from otactl.board.slots_source import FileSource
from otactl.errors import OtactlError
from otactl.release import fullflash
from otactl.release.firmware import Firmware
from otactl.release.fullflash import FullFlash
from vboard.chips import CHIPS
from vboard.flash.appimage import verify
from vboard.flash.images import build_app
from vboard.flash.nor import Flash
from vboard.flash.nvs import Nvs
from vboard.flash.otadata import Entry, State
from vboard.flash.table import LAYOUTS, Table

MIB = 1 << 20
MAC = "24:0a:c4:12:34:56"
LITTLEFS = bytes(8) + b"littlefs"
ARDUINO = Table.from_csv("""
    nvs,     data, nvs,    0x9000,   0x5000
    otadata, data, ota,    0xe000,   0x2000
    app0,    app,  ota_0,  0x10000,  0x1C0000
    app1,    app,  ota_1,  0x1D0000, 0x1C0000
    spiffs,  data, spiffs, 0x390000, 0x60000
""")


OWN = Table.from_csv("""
    nvs,     data, nvs,     0x9000,   0x6000
    factory, app,  factory, 0x10000,  0x1F0000
    vfs,     data, fat,     0x200000, 0x1E0000
    fctry,   data, nvs,     0x3E0000, 0x6000
    mine,    0x40, 0x00,    0x3F0000, 0xF000
    key,     0x41, 0x07,    0x3FF000, 0x1000
""")


def full(chip: str = "esp32", *, size: int = 0, seed: int = 1, version: str = "1.26.1") -> FullFlash:
    """A full-flash file with made-up images; `size`: of the app, in bytes."""
    app = build_app(chip, seed=seed)
    app += b"\xaa" * (size - len(app))
    bootloader = build_app(chip, size=4096, seed=99)
    return FullFlash("stock.bin", Firmware(app, chip, "", "", "", version), bootloader, CHIPS[chip].bootloader_offset)


# its descriptor's texts are neighbours: together they say what MicroPython says of itself elsewhere
OLD = build_app("esp32", version="MicroPython v1.22.2 on 2024-02-2", project="2")


class Made:
    """A flash of `mib` MiB, written to by its maker."""

    def __init__(self, mib: int = 4, chip: str = "esp32") -> None:
        self.bytes, self.chip = bytearray(b"\xff" * (mib * MIB)), chip

    def put(self, offset: int, data: bytes) -> "Made":
        self.bytes[offset : offset + len(data)] = data
        return self

    def stock(self, table: str | Table = "factory", *, file: FullFlash | None = None) -> "Made":
        """As a board comes from its first flash: bootloader, table, app."""
        file, rows = file or full(self.chip), LAYOUTS[table] if isinstance(table, str) else table
        self.put(file.boot_at, file.bootloader_for(len(self.bytes)))
        self.put(0x8000, rows.to_bytes())
        return self.put((rows.factory or rows.ota_slots[0]).offset, file.firmware.app)

    def nvs(self, place: Path, offset: int, size: int, *names: str) -> "Made":
        """A value of a program's in each namespace."""
        with Flash(place, len(self.bytes)) as flash:
            store = Nvs(flash, offset, size)
            for name in names:
                store.set_i32(store.namespace(name), "value", 7)
            return self.put(offset, flash.read(offset, size))

    def planned(self, file: FullFlash | None = None, layout: str = "") -> Plan:
        source, file = FileSource(bytes(self.bytes), "flash", self.chip), file or full(self.chip)
        plan.check(self.chip, file, "")
        return plan.make(facts.gather(source, file, MAC), file, layout)

    def do(self, steps: tuple[plan.Step, ...]) -> "Made":
        for step in steps:
            self.put(step.offset, step.data)
        return self

    @property
    def boots(self) -> str:
        found = next_boot(draw_from(FileSource(bytes(self.bytes), "flash", self.chip))).part
        return found.name if found else ""


def rows(made: Plan) -> list[tuple[str, int, int]]:
    return [(part.name, part.offset, part.size) for part in made.after.parts]


def assert_asks(made: Plan, begin: list[str]) -> None:
    """A person is asked about what `begin` names, in its order, and about nothing else."""
    asked = [loss.what for loss in made.asks]
    assert len(asked) == len(begin) and all(map(str.startswith, asked, begin)), asked


def what(made: Plan) -> list[str]:
    return [step.what for step in made.steps]


@pytest.mark.parametrize(
    ("chip", "mib", "size", "slot", "files"),
    [
        ("esp32", 4, 1_672_976, 0x1B0000, 0x90000),  # v1.26.1, as docs/install.md has it
        ("esp32s2", 4, 1_300_000, 0x1B0000, 0x90000),
        ("esp32c3", 4, 1_713_728, 0x1C0000, 0x70000),  # v1.24.1: 5 % more do not fit the usual slot
        ("esp32c6", 4, 1_860_000, 0x1D0000, 0x50000),  # not 5 %, but room for files
        ("esp32s3", 8, 1_669_920, 0x280000, 0x2F0000),
        ("esp32s3", 16, 1_669_920, 0x400000, 0x7F0000),
        ("esp32s3", 16, 4_300_000, 0x450000, 0x750000),
    ],
)
def test_a_blank_chip_gets_two_slots_that_the_firmware_fits(
    chip: str, mib: int, size: int, slot: int, files: int
) -> None:
    made = Made(mib, chip).planned(full(chip, size=size))
    end = 0x10000 + 2 * slot
    assert rows(made)[2:] == [("ota_0", 0x10000, slot), ("ota_1", 0x10000 + slot, slot), ("vfs", end, files)]
    assert end + files == mib * MIB
    assert made.lost == () and not made.ready


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("mib", [4, 8, 16])
def test_what_the_steps_leave_boots_the_file_with_the_real_flash_size(chip: str, mib: int) -> None:
    board, file = Made(mib, chip), full(chip)
    after = board.do(board.planned(file).steps)
    assert after.boots == "ota_0"
    assert after.bytes[0x10000 : 0x10000 + len(file.firmware.app)] == file.firmware.app
    bootloader = fullflash.image(bytes(after.bytes[file.boot_at : 0x8000]))
    assert bootloader and fullflash.flash_size(bootloader, chip) == mib * MIB
    read, size = FileSource(bootloader, "bootloader").read, len(bootloader)
    verify(read, 0, size, CHIPS[chip], app_side=False)  # as the chip does: its SHA-256 is of what it is now
    assert after.planned(file).ready


def test_slots_without_room_to_grow_are_told_of() -> None:
    assert "room for 2.2% more" in layouts.for_firmware(1_860_000, 4 * MIB).note
    assert layouts.for_firmware(1_672_976, 4 * MIB).note == ""


@pytest.mark.parametrize(
    ("words", "mib", "first"),
    [("ota", 4, "ota_0"), ("ota-stock", 4, "ota_0"), ("factory-ota", 8, "factory"), ("three", 8, "ota_0")],
)
def test_a_named_layout_is_taken_and_has_room_for_files(words: str, mib: int, first: str) -> None:
    board = Made(mib)
    made = board.planned(layout=words)
    wanted = [(row.label, row.offset, row.size) for row in LAYOUTS[words].rows]
    assert rows(made)[:-1] == wanted and rows(made)[-1][0] == "vfs"
    assert board.do(made.steps).boots == first
    assert board.planned(layout=words).ready


def test_a_chip_that_nothing_is_tested_on_is_refused() -> None:
    with pytest.raises(OtactlError, match="esp8266 takes no updates: boards with esp32, esp32s2") as refused:
        plan.check("esp8266", full(), "")
    assert refused.value.exit_code == 1


def test_a_table_of_ones_own_is_read_from_csv(tmp_path: Path) -> None:
    own = tmp_path / "own.csv"
    own.write_text(
        "nvs,data,nvs,0x9000,0x4000\notadata,data,ota,0xd000,0x2000\na,app,ota_0,,0x100000\nb,app,ota_1,,1M\n"
    )
    assert rows(Made().planned(layout=str(own)))[2:] == [
        ("a", 0x10000, MIB), ("b", 0x110000, MIB), ("vfs", 0x210000, 0x1F0000),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("board", "file", "layout", "says", "code"),
    [
        (Made(2), full(size=1_672_976), "", "do not fit into 2 MiB of flash", 1),
        (Made(4), full(size=1_950_000), "", "do not fit into 4 MiB of flash", 1),
        (Made(4), full("esp32s3"), "", "stock.bin is for esp32s3, the board is an esp32", 1),
        (Made(4), full(), "factory-ota", "layout factory-ota: ", 1),
        (Made(4), full(size=1_600_000), "ota-stock", "ota_0 has 1572864 bytes, the firmware 1600000", 1),
        (Made(4), full(), "factory", "no file, and none of ota, ota-stock", 2),
        (Made(4), full(), "three", "layout three: ", 1),
    ],
)
def test_what_does_not_fit_is_refused(board: Made, file: FullFlash, layout: str, says: str, code: int) -> None:
    with pytest.raises(OtactlError) as refused:
        board.planned(file, layout)
    assert says in str(refused.value) and refused.value.exit_code == code


@pytest.mark.parametrize(
    ("csv", "says"),
    [
        ("nvs,data,nvs,0x9000,0x5000\nfactory,app,factory,0x10000,1M\n", "needs two OTA slots"),
        ("nvs,data,nvs,0x9000,0x5000\na,app,ota_0,0x10000,1M\nb,app,ota_1,,1M\n", "needs two OTA slots, otadata"),
        ("nvs,data,nvs,0x9000\n", "line 1"),
    ],
)
def test_a_csv_that_is_no_table_for_updates_is_refused(tmp_path: Path, csv: str, says: str) -> None:
    (tmp_path / "own.csv").write_text(csv)
    with pytest.raises(OtactlError, match=says) as refused:
        Made().planned(layout=str(tmp_path / "own.csv"))
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("made", "asks", "told"),
    [
        (Made, [], []),
        (lambda: Made().stock(), [], []),  # never started: no filesystem yet
        (lambda: Made().stock().put(0x200000, LITTLEFS), ["vfs: a littlefs of 2048 KiB"], []),
        (lambda: Made().stock().put(0x201000, LITTLEFS), ["vfs: a littlefs"], []),  # the first of the pair is torn
        (lambda: Made().stock().put(0x2001FE, b"\x55\xaa"), ["vfs: a FAT filesystem"], []),
        (lambda: Made().stock().put(0x200000, b"?"), ["vfs: data of an unknown kind"], []),
        (
            lambda: Made().stock(ARDUINO, file=full(seed=5)).put(0x390000, b"?"),
            ["spiffs: data of an unknown kind"],
            ["app0: an image"],
        ),
        (lambda: Made().put(0x8000, b"?"), ["whatever lies in its flash"], []),
        (lambda: Made().put(0x1000, b"?"), ["whatever lies in its flash"], []),
        (lambda: Made().stock().put(0x8010, b"?"), ["whatever lies in its flash"], []),  # a damaged table
        (lambda: Made().put(0x2F0000, b"?"), ["whatever lies in its flash"], []),  # only its first sectors were erased
        (lambda: Made().put(0x9000, b"?"), ["whatever lies in its flash"], []),
        (lambda: Made().put(0x10000, full().firmware.app), [], []),  # an earlier run came so far
        (
            lambda: Made().stock(ARDUINO, file=full(seed=5)).put(0x393000, b"?"),  # behind blank sectors
            ["spiffs: data of an unknown kind"],
            ["app0: an image"],
        ),
        (lambda: Made().stock(OWN).put(0x3F0000, b"?"), ["mine: data of an unknown kind"], []),
        (lambda: Made().stock(OWN).put(0x3FF000, b"?"), ["key: data of an unknown kind"], []),  # one sector
        (lambda: Made().stock(OWN).put(0x3E0000, b"?"), ["fctry: data of an unknown kind"], []),
        (
            lambda: Made().stock(ARDUINO).put(0x10000, build_app("esp32", project="blink", version="7")),
            ["app0: blink 7, built Jan  1 2026, not MicroPython"],
            [],
        ),
    ],
)  # fmt: skip
def test_what_may_be_a_persons_is_asked_about(made: Callable[[], Made], asks: list[str], told: list[str]) -> None:
    found = made().planned(full(version="1.25.0"))
    for kind, wanted in ((True, asks), (False, told)):
        losses = [loss.what for loss in found.lost if loss.asks is kind]
        assert len(losses) == len(wanted)
        assert all(loss.startswith(words) for loss, words in zip(losses, wanted, strict=True)), losses


def test_files_that_were_read_are_named_and_nobodys_are_not_asked_about() -> None:
    found = Made().stock().put(0x200000, LITTLEFS).planned()
    assert [loss.what for loss in found.listed("1 file of yours: /app.py").asks] == ["1 file of yours: /app.py"]
    assert found.listed("").lost == ()


def test_only_the_filesystem_that_micropython_mounts_is_known_by_its_files() -> None:
    both = Table.from_csv("""
        nvs,     data, nvs,     0x9000,   0x6000
        factory, app,  factory, 0x10000,  0x1F0000
        ffat,    data, fat,     0x200000, 0x100000
        vfs,     data, fat,     0x300000, 0x100000
    """)
    found = Made().stock(both).put(0x200000, LITTLEFS).put(0x300000, LITTLEFS).planned().listed("")
    assert [loss.what.partition(":")[0] for loss in found.asks] == ["ffat"]


@pytest.mark.parametrize(
    ("names", "size", "asks"),
    [
        (("lamp",), 0x6000, []),  # the page in use lies where the new table has its nvs: it stays
        (("phy",), 0x6000, []),
        ((), 0x6000, []),
    ],
)
def test_values_of_programs_stay_where_the_new_nvs_has_their_pages(
    tmp_path: Path, names: tuple[str, ...], size: int, asks: list[str]
) -> None:
    board = Made().stock().nvs(tmp_path / "nvs", 0x9000, size, *names)
    before = bytes(board.bytes[0x9000:0xE000])
    made = board.planned()
    assert [loss.what for loss in made.asks] == asks
    assert board.do(made.steps).bytes[0x9000:0xE000] == before


def test_values_of_programs_that_fill_all_pages_of_the_new_nvs_are_asked_about(tmp_path: Path) -> None:
    """NVS does not start without a blank page, and MicroPython then erases all of it."""
    board = Made().stock().nvs(tmp_path / "nvs", 0x9000, 0x6000, "lamp")
    for page in range(1, 5):
        board.put(0x9000 + page * 0x1000, b"used")
    assert_asks(board.planned(), ["nvs: what programs keep there (lamp)"])
    board.put(0xB000, b"\xff" * 4)
    assert_asks(board.planned(), [])


@pytest.mark.parametrize(
    ("names", "asks"), [(("lamp", "phy"), ["nvs: what programs keep there (lamp)"]), (("phy",), [])]
)
def test_values_of_programs_that_move_are_asked_about(tmp_path: Path, names: tuple[str, ...], asks: list[str]) -> None:
    elsewhere = Table.from_csv("factory,app,factory,0x10000,1M\nnvs,data,nvs,0x110000,0x6000\n")
    board = Made().stock(elsewhere).nvs(tmp_path / "nvs", 0x110000, 0x6000, *names)
    made = board.planned()
    assert [loss.what for loss in made.asks] == asks
    assert board.do(made.steps).bytes[0x9000:0xE000] == b"\xff" * 0x5000


AGAIN = ["the app, into ota_0", "otadata"]


@pytest.mark.parametrize(
    ("change", "steps", "asks"),
    [
        (lambda board: board, [], []),
        (lambda board: board.put(0x1000, full(seed=3).firmware.app), ["bootloader"], []),
        (lambda board: board.put(0x10100, b"????"), AGAIN, []),
        (lambda board: board.put(0x10000, build_app("esp32s3")), AGAIN, []),
        (lambda board: board.put(0x10000, build_app("esp32", project="esphome")), AGAIN, ["ota_0: esphome"]),
        (lambda board: board.put(0x10000, b"mine"), AGAIN, ["ota_0: no app image"]),
        (lambda board: board.put(0x10000, OLD), AGAIN, []),
        (lambda board: board.put(0x370000, LITTLEFS), [], []),
        (lambda board: board.put(0x370000, b"?"), ["room for files"], ["vfs: data"]),  # MicroPython would not start
    ],
)
def test_a_board_that_takes_updates_keeps_its_table(
    change: Callable[[Made], Made], steps: list[str], asks: list[str]
) -> None:
    made = change(Made().stock("ota")).planned()
    assert what(made) == steps and made.layout is None
    assert_asks(made, asks)


def test_an_update_that_runs_is_not_flashed_over() -> None:
    newer = build_app("esp32", seed=8)
    board = Made().stock("ota").put(0x1C0000, newer).put(0xF000, Entry.make(2, State.VALID).to_bytes())
    assert board.boots == "ota_1" and board.planned().ready
    board.put(0x1C0100, b"????")
    assert what(board.planned()) == ["the app, into ota_0", "otadata"]


@pytest.mark.parametrize(
    ("table", "file", "why"),
    [
        ("factory", full(), "0 OTA slots"),
        ("ota-stock", full(size=1_600_000), "its ota_0 has 1572864 bytes, the firmware 1600000"),
        (ARDUINO, full(), "leaves no room for files"),
        ("ota", full(version="1.25.0"), "no vfs, which MicroPython 1.25.0 does not make by itself"),
        (Table.from_csv("a,app,ota_0,0x10000,1M\nb,app,ota_1,,1M\n"), full(), "no otadata"),
        (Table.from_csv("otadata,data,ota,0xe000,0x2000\na,app,ota_0,0x10000,1M\nb,app,ota_1,,1M\n"), full(), "no nvs"),
    ],
)
def test_a_table_that_takes_no_updates_is_replaced_and_it_says_why(
    table: str | Table, file: FullFlash, why: str
) -> None:
    made = Made().stock(table).planned(file)
    assert made.layout and why in made.why[0]
    assert "the partition table" in what(made)


BOARDS = {
    "blank": Made,
    "stock": lambda: Made().stock(file=full(seed=4)).put(0x200000, LITTLEFS),
    "arduino": lambda: Made().stock(ARDUINO, file=full(seed=4)).put(0x390000, b"?"),
}


@pytest.mark.parametrize("board", BOARDS)
def test_a_run_that_broke_off_between_two_steps_is_taken_up(board: str) -> None:
    """Whatever of the steps is done, another plan leads to the same flash, and until then the board is not ready."""
    whole = BOARDS[board]()
    steps = whole.planned().steps
    whole.do(steps)
    for done in range(len(steps)):
        cut = BOARDS[board]().do(steps[:done])
        again = cut.planned()
        assert not again.ready, f"after {done} of {len(steps)}"
        assert board != "blank" or not again.asks, f"after {done} of {len(steps)}"
        assert cut.do(again.steps).bytes == whole.bytes, f"after {done} of {len(steps)}"


@pytest.mark.parametrize("board", BOARDS)
def test_a_table_that_was_torn_is_written_again(board: str) -> None:
    whole, cut = BOARDS[board](), BOARDS[board]()
    steps = whole.planned().steps
    whole.do(steps)
    last = next(number for number, step in enumerate(steps) if step.offset == 0x8000)
    cut.do(steps[:last]).put(0x8000, b"\xff" * 0x1000).put(0x8000, steps[last].data[:40])
    assert cut.do(cut.planned().steps).bytes == whole.bytes


def test_a_backup_is_the_whole_flash() -> None:
    board = Made().stock().put(0x3FFFF0, b"last of it, all!")
    said: list[tuple[str, int, int]] = []
    assert run.backup(FileSource(bytes(board.bytes), "flash", "esp32"), lambda *told: said.append(told)) == board.bytes
    assert said[-1] == ("backup", 4 * MIB, 4 * MIB)


def test_a_locked_chip_is_refused() -> None:
    with pytest.raises(OtactlError, match="its flash is encrypted"):
        plan.check("esp32", full(), "its flash is encrypted")


def test_real_files_bring_a_bootloader(real_firmware: Path) -> None:
    for name, chip in (
        ("ESP32_GENERIC-20250911-v1.26.1", "esp32"),
        ("ESP32_GENERIC_S3-20250911-v1.26.1", "esp32s3"),
        ("ESP32_GENERIC_C3-20241129-v1.24.1", "esp32c3"),
    ):
        file = fullflash.load(real_firmware / f"{name}.bin")
        assert file.chip == chip and fullflash.flash_size(file.bootloader, chip) == 4 * MIB
        board = Made(8, chip)
        assert board.do(board.planned(file).steps).planned(file).ready


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda data: data[0xF000:], "an app image alone, and a board needs the bootloader too"),
        (lambda data: b"\xff" * 0x1000 + data[0x1000:], "no bootloader where a esp32 has one"),
        (lambda data: data[:0x200] + b"????" + data[0x204:], "its bootloader is damaged"),
    ],
)
def test_a_file_without_a_whole_bootloader_is_refused(
    real_firmware: Path, tmp_path: Path, change: Callable[[bytes], bytes], says: str
) -> None:
    data = (real_firmware / "ESP32_GENERIC-20250911-v1.26.1.bin").read_bytes()
    (tmp_path / "file.bin").write_bytes(change(data))
    with pytest.raises(OtactlError, match=says):
        fullflash.load(tmp_path / "file.bin")


def test_a_firmware_too_old_for_the_agent_is_refused(real_firmware: Path) -> None:
    with pytest.raises(OtactlError, match=r"1\.20\.0, too old for the agent"):
        fullflash.load(real_firmware / "ESP32_GENERIC_C3-20230426-v1.20.0.bin")


def test_a_plan_is_for_the_size_of_the_flash_that_is_there() -> None:
    """A bootloader whose header says more than the chip has does not start: it is mended."""
    board = Made(4).stock(
        "ota", file=replace(full(), bootloader=fullflash.with_flash_size(full().bootloader, "esp32", 4 * MIB))
    )
    board.put(0x1000, full().bootloader_for(8 * MIB))
    assert what(board.planned()) == ["bootloader"]
