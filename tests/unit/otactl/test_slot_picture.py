"""The picture of a board's slots, held against the virtual board's bootloader and set_boot(), which know nothing of it."""

import random
from itertools import product
from pathlib import Path

import pytest
from otactl.board import slots_change, slots_picture
from otactl.board.slots_image import fault, look
from otactl.board.slots_layout import Part, parse_table
from otactl.board.slots_picture import Picture, draw_from, next_boot
from otactl.errors import BoardError, UsageError
from otactl.release.firmware import Firmware
from rich.console import Console
from vboard.chip.bootloader import boot
from vboard.chip.idf import App
from vboard.chips import CHIPS
from vboard.flash import images
from vboard.flash.nor import SECTOR, Flash
from vboard.flash.otadata import Entry, State
from vboard.flash.table import LAYOUTS, TABLE_OFFSET

CHIP = "esp32c3"
GOOD, OTHER = images.build_app(CHIP, size=4096, seed=1), images.build_app("esp32", size=4096, seed=1)
DAMAGED = GOOD[:2000] + b"\0" + GOOD[2001:]
BLANK = b"\xff" * 32
STATES = (State.NEW, State.PENDING_VERIFY, State.VALID, State.INVALID, State.ABORTED, State.UNDEFINED)


class Bench:
    """A flash, and a door to it such as a board is."""

    running = ""
    chip = CHIP

    def __init__(self, path: Path, layout: str) -> None:
        self.flash = Flash(path, 8 << 20)
        self.flash_size = self.flash.size
        self.rows = LAYOUTS[layout]
        self.releases: dict[str, str] = {}
        self.flash.force(TABLE_OFFSET, self.rows.to_bytes())

    def hold(self, label: str, image: bytes) -> None:
        row = self.rows.find(label)
        assert row
        self.flash.force(row.offset, image.ljust(8192, b"\xff"))

    def otadata(self, first: bytes, second: bytes = BLANK) -> None:
        row = self.rows.otadata
        assert row
        self.flash.force(row.offset, first.ljust(SECTOR, b"\xff") + second.ljust(SECTOR, b"\xff"))

    def parts(self) -> tuple[Part, ...]:
        return parse_table(self.flash.read(TABLE_OFFSET, 0xC00), "the bench")

    def read(self, offset: int, size: int) -> bytes:
        return self.flash.read(offset, size)

    def write(self, offset: int, data: bytes) -> None:
        size = -(-len(data) // SECTOR) * SECTOR
        self.flash.erase(offset, size, actor="host")
        self.flash.program(offset, data, actor="host")

    def erase(self, offset: int, size: int) -> None:
        self.flash.erase(offset, size, actor="host")

    def set_boot(self, part: Part) -> bool:
        return False


def bench(tmp_path: Path, layout: str = "ota", **holds: bytes) -> Bench:
    made = Bench(tmp_path / "flash.bin", layout)
    for label, image in holds.items():
        made.hold(label, image)
    return made


def entries() -> list[bytes]:
    made = [Entry.make(seq, state).to_bytes() for seq, state in product((1, 2, 3, 5), STATES)]
    spoiled = Entry.make(2, State.VALID).to_bytes()[:-1] + b"\x00"
    return [BLANK, spoiled, *made]


@pytest.mark.parametrize("layout", ["ota", "factory-ota", "three"])
def test_what_boots_next_is_what_the_bootloader_takes(tmp_path: Path, layout: str) -> None:
    made = bench(tmp_path, layout)
    apps = [row.label for row in made.rows.rows if row.is_app]
    dice = random.Random(layout)
    for first, second in dice.sample(list(product(entries(), entries())), 250):
        for label in apps:
            made.hold(label, dice.choice([GOOD, GOOD, OTHER, b""]))
        made.otadata(first, second)
        choice = next_boot(draw_from(made))
        row = boot(made.flash, CHIPS[CHIP]).row
        assert (choice.part and choice.part.name) == (row and row.label), (first, second, choice.why)


@pytest.mark.parametrize("layout", ["ota", "factory-ota", "three"])
def test_a_switch_writes_what_set_boot_writes(tmp_path: Path, layout: str) -> None:
    made = bench(tmp_path, layout)
    row = made.rows.otadata
    assert row
    slots = [each.label for each in made.rows.rows if each.is_app]
    for label in slots:
        made.hold(label, GOOD)
    dice = random.Random(layout)
    for first, second in dice.sample(list(product(entries(), entries())), 60):
        wanted = dice.choice(slots)
        made.otadata(first, second)
        picture = draw_from(made)
        before = made.read(row.offset, row.size)
        slots_change.switch(made, picture, picture.slot(wanted), force=False)
        ours = made.read(row.offset, row.size)
        if ours == before:
            assert next_boot(picture).part == picture.slot(wanted)
            continue
        made.otadata(first, second)
        target = made.rows.find(wanted)
        assert target
        App(made.flash, CHIPS[CHIP], made.rows, target).set_boot(target)
        assert ours == made.read(row.offset, row.size), (first, second, wanted)


VALID_1 = Entry.make(1, State.VALID).to_bytes()


@pytest.mark.parametrize(
    ("name", "holds", "change", "says"),
    [
        ("erase the only good slot", {"ota_0": GOOD}, ("erase", "ota_0"), "no other slot holds anything that starts"),
        ("the other is damaged", {"ota_0": GOOD, "ota_1": DAMAGED}, ("erase", "0"), "no other slot"),
        ("the other is another chip's", {"ota_0": GOOD, "ota_1": OTHER}, ("erase", "0"), "no other slot"),
        ("write over the only good slot", {"ota_0": GOOD}, ("write", "0"), "no other slot"),
        ("switch to a blank slot", {"ota_0": GOOD}, ("switch", "1"), "ota_1 holds nothing"),
        ("switch to a damaged image", {"ota_0": GOOD, "ota_1": DAMAGED}, ("switch", "1"), "a damaged image"),
        ("switch to another chip's", {"ota_0": GOOD, "ota_1": OTHER}, ("switch", "1"), "an image for esp32,"),
        ("reset with nothing anywhere", {}, ("reset",), "no slot holds anything that starts"),
    ],
)
def test_what_leaves_nothing_to_boot_is_refused_unless_forced(
    tmp_path: Path, name: str, holds: dict[str, bytes], change: tuple[str, ...], says: str
) -> None:
    made = bench(tmp_path, **holds)
    made.otadata(VALID_1)
    before = made.read(0, made.flash_size)
    with pytest.raises(BoardError, match=says) as refused:
        run(made, *change, force=False)
    assert "--force" in str(refused.value) and "\n" not in str(refused.value)
    assert made.read(0, made.flash_size) == before, name
    run(made, *change, force=True)
    assert made.flash.trace


def run(made: Bench, verb: str, slot: str = "", *, force: bool) -> None:
    picture = draw_from(made)
    if verb == "reset":
        slots_change.reset(made, picture, force=force)
        return
    part = picture.slot(slot)
    if verb == "write":
        slots_change.write(made, picture, part, Firmware(GOOD, CHIP, "", "", ""), force=force)
    else:
        {"erase": slots_change.erase, "switch": slots_change.switch}[verb](made, picture, part, force=force)


def test_what_runs_is_never_written_to(tmp_path: Path) -> None:
    made = bench(tmp_path, ota_0=GOOD, ota_1=GOOD)
    made.running = "ota_0"
    for verb in ("erase", "write"):
        with pytest.raises(BoardError, match="use --esptool"):
            run(made, verb, "0", force=True)


def test_firmware_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    made = bench(tmp_path, ota_0=GOOD)
    picture = draw_from(made)
    for firmware, says in [
        (Firmware(OTHER, "esp32", "", "", ""), "for esp32, the board"),
        (Firmware(GOOD.ljust(4 << 20), CHIP, "", "", ""), "do not fit"),
    ]:
        with pytest.raises(BoardError, match=says):
            slots_change.write(made, picture, picture.slot("1"), firmware, force=True)
    assert not made.flash.trace


@pytest.mark.parametrize("word", ["2", "ota_7", "nvs", ""])
def test_a_slot_that_is_not_there_is_wrong_usage(tmp_path: Path, word: str) -> None:
    with pytest.raises(UsageError, match="it has ota_0, ota_1"):
        draw_from(bench(tmp_path)).slot(word)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\xff" * 0xC00, "no partition table"),
        (LAYOUTS["ota"].to_bytes()[:32].ljust(0xC00, b"\xff"), "no MD5"),
        (b"\xaa\x50\x00" + LAYOUTS["ota"].to_bytes()[3:], "damaged"),
    ],
)
def test_a_table_that_is_not_whole_is_named(data: bytes, says: str) -> None:
    with pytest.raises(BoardError, match=says):
        parse_table(data, "the board")


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (GOOD, ""),
        (b"", "nothing"),
        (b"text", "no app image"),
        (OTHER, "an image for esp32"),
        (DAMAGED, "a damaged image"),
        (GOOD[:1000], "cut short"),
        (GOOD[:28] + b"\xff\xff\xff\x7f" + GOOD[32:], "cut short"),
    ],
)
def test_why_an_image_does_not_start(image: bytes, says: str) -> None:
    slot = image.ljust(0x10000, b"\xff")
    assert fault(lambda offset, size: slot[offset : offset + size], len(slot), CHIP) == says


@pytest.mark.parametrize(
    ("size", "holds", "says"),
    [(4 << 20, GOOD, "not a backup of such a board"), (8 << 20, OTHER, "starts on an esp32c3"), (8 << 20, GOOD, "")],
)
def test_a_backup_is_held_against_the_board(tmp_path: Path, size: int, holds: bytes, says: str) -> None:
    made = bench(tmp_path, ota_0=holds)
    data = made.read(0, size)
    if not says:
        assert slots_change.check_backup(data, "b", made, force=False) == draw_from(made)
        return
    with pytest.raises((BoardError, UsageError), match=says):
        slots_change.check_backup(data, "b", made, force=False)


def test_the_picture_fits_80_columns_and_moves_no_cursor(tmp_path: Path) -> None:
    """Labels and descriptors are bytes of the flash: they may hold anything."""
    app = bytearray(images.build_app(CHIP, size=4096, seed=1))
    app[48:80] = b"v1.26.1-preview.1234.gabcdef".ljust(32, b"\0")
    app[80:112] = b"micro\x1b[2Jpython".ljust(32, b"\0")
    made = bench(tmp_path, "factory-ota", factory=bytes(app), ota_0=bytes(app), ota_1=OTHER)
    made.otadata(Entry.make(5, State.PENDING_VERIFY).to_bytes(), Entry.make(4, State.ABORTED).to_bytes())
    picture = draw_from(made)
    console = Console(width=80, highlight=False, markup=False)
    with console.capture() as shown:
        console.print(slots_picture.heading(picture))
        console.print(slots_picture.table(picture))
        console.print(slots_picture.verdict(picture))
    text = shown.get()
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    assert "v1.26.1-preview.1234.gabcdef" in text.replace("\n", "") or "seq 5 pending" in text
    assert "boots next: factory" in text


def test_what_is_no_image_has_no_version() -> None:
    assert look(b"\xff" * 288).said == "blank"
    assert look(bytes(288)).said == "no app image"


def test_the_agents_releases_stand_beside_the_slots(tmp_path: Path) -> None:
    made = bench(tmp_path, ota_0=GOOD)
    made.releases = {"ota_0": "1.4.0"}
    picture: Picture = draw_from(made)
    told = {part["name"]: part.get("release") for part in slots_picture.as_json(picture)["partitions"]}
    assert told["ota_0"] == "1.4.0"
    assert told["ota_1"] is None


def test_an_erased_slot_holds_no_release(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "flash", "ota")
    bench.hold("ota_0", GOOD)
    bench.releases = {"ota_0": "1.0.0", "ota_1": "1.1.0"}
    told = {part["name"]: part.get("release") for part in slots_picture.as_json(draw_from(bench))["partitions"]}
    assert (told["ota_0"], told["ota_1"]) == ("1.0.0", None)


def test_a_slot_that_was_written_holds_no_release_of_before(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "flash", "ota")
    for slot in ("ota_0", "ota_1"):
        bench.hold(slot, GOOD)
    bench.releases = {"ota_0": "1.0.0", "ota_1": "1.1.0"}
    picture = draw_from(bench)
    slots_change.write(bench, picture, picture.slot("1"), Firmware(GOOD, CHIP, "", "", ""), force=False)
    told = {part["name"]: part.get("release") for part in slots_picture.as_json(draw_from(bench))["partitions"]}
    assert (told["ota_0"], told["ota_1"]) == ("1.0.0", None)
