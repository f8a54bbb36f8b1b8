"""What the chip does to a program on the virtual board: resets, watchdog, aborts, clock, pins, Wi-Fi, heap."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import rig as rigs
from bare import begin, next_boot
from otactl.errors import BoardError
from rig import ask, repl
from vboard.board import Board
from vboard.chip.kept import DEEPSLEEP, HARD, PWRON, SOFT, WDT
from vboard.chips import CHIPS
from vboard.flash.images import build_app
from vboard.flash.table import Table

TABLE = "nvs,data,nvs,0x9000,0x5000\notadata,data,ota,,0x2000\na,app,ota_0,,1M\nb,app,ota_1,,1M\n"


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    with Board(tmp_path / "board") as made:
        made.power_on()
        made.wait_repl()
        yield made


RESETS = {
    "machine.reset": ("import machine\nmachine.reset()", HARD),
    "deep sleep": ("import machine\nmachine.deepsleep(50)", DEEPSLEEP),
    "watchdog not fed": ("import machine\nmachine.WDT(timeout=300)\nwhile True: pass", WDT),
    "watchdog after a soft reset": (
        "import machine\nmachine.WDT(timeout=500)\nmachine.soft_reset()",
        WDT,
    ),
    "write to the running slot": (
        "from esp32 import Partition\nPartition(1).writeblocks(0, bytes(4096))",
        HARD,
    ),
    "erase in the running slot": ("from esp32 import Partition\nPartition(1).ioctl(6, 3)", HARD),
}


@pytest.mark.parametrize(("code", "cause"), RESETS.values(), ids=RESETS)
def test_chip_resets(board: Board, code: str, cause: int) -> None:
    assert next_boot(board, code) == cause
    board.wait_repl()
    assert ask(board, "import machine\nprint(machine.reset_cause())").strip() == str(SOFT)  # the REPL's own


def test_power_on_is_told_from_a_reset(board: Board) -> None:
    assert [boot.cause for boot in board.boots] == [PWRON]


def test_deep_sleep_wakes_the_slot_that_slept_whatever_set_boot_said(board: Board) -> None:
    board.power_off()
    row = board.table.find("ota_1")
    assert row
    board.program(row.offset, build_app("esp32", seed=5))
    board.power_on()
    board.wait_repl()
    begin(
        board,
        "import machine\nfrom esp32 import Partition\nPartition('ota_1').set_boot()\nmachine.deepsleep(50)",
    )
    assert board.wait_boots(3).slot == "ota_0"
    board.reset()
    assert board.wait_boots(4).slot == "ota_1"


def test_clock_survives_a_reset_and_not_a_power_loss(board: Board) -> None:
    year = "import time\nprint(time.gmtime()[0])"
    assert ask(board, year).strip() == "2000"
    ask(
        board,
        "import machine\nmachine.RTC().datetime((2031, 5, 6, 1, 2, 3, 4, 0))\nmachine.RTC().memory(b'kept')",
    )
    board.reset(HARD)
    board.wait_repl()
    assert ask(board, year).strip() == "2031"
    assert ask(board, "import machine\nprint(machine.RTC().memory())").strip() == "b'kept'"
    board.power_on()
    board.wait_repl()
    assert ask(board, year).strip() == "2000"
    assert ask(board, "import machine\nprint(machine.RTC().memory())").strip() == "b''"


def test_reset_button_reads_as_power_on(board: Board) -> None:
    ask(board, "import machine\nmachine.RTC().datetime((2031, 5, 6, 1, 2, 3, 4, 0))\nmachine.RTC().memory(b'kept')")
    board.reset()
    assert board.wait_boots(2).cause == PWRON
    board.wait_repl()
    assert ask(board, "import machine, time\nprint(time.gmtime()[0], machine.RTC().memory())").strip() == "2000 b''"


BANNERS = {
    "esp32": ("rst:0x1 (POWERON_RESET),boot:0x13", "rst:0xc (SW_CPU_RESET)", "rst:0x5 (DEEPSLEEP_RESET)"),
    "esp32s2": ("rst:0x1 (POWERON),boot:0x8", "rst:0xc (RTC_SW_CPU_RST)", "rst:0x5 (DSLEEP)"),
    "esp32s3": ("rst:0x1 (POWERON),boot:0x8", "rst:0xc (RTC_SW_CPU_RST)", "rst:0x5 (DSLEEP)"),
    "esp32c3": ("rst:0x1 (POWERON),boot:0xc", "rst:0xc (RTC_SW_CPU_RST)", "rst:0x5 (DSLEEP)"),
    "esp32c6": ("rst:0x1 (POWERON),boot:0xc", "rst:0xc (SW_CPU)", "rst:0x5 (DSLEEP)"),
}


@pytest.mark.parametrize(("chip", "words"), BANNERS.items(), ids=BANNERS)
def test_rom_says_how_it_was_reset(tmp_path: Path, chip: str, words: tuple[str, str, str]) -> None:
    with Board(tmp_path, chip=chip) as board:
        board.power_on()
        board.wait_repl()
        begin(board, "import machine\nmachine.reset()")
        board.wait_boots(2)
        board.wait_repl()
        begin(board, "import machine\nmachine.deepsleep(50)")
        board.wait_boots(3)
        for word in words:
            assert word in board.text


def test_what_the_chip_shows_when_interrupts_stay_off(board: Board) -> None:
    assert next_boot(board, "import machine\nmachine.disable_irq()\nwhile True: pass") == WDT
    resets = [line[:27] for line in board.text.splitlines() if line.startswith("rst:")]
    assert resets[1:] == ["rst:0x8 (TG1WDT_SYS_RESET),", "rst:0x7 (TG0WDT_SYS_RESET),"]  # facts 10.12


def test_clock_that_the_host_sets(board: Board) -> None:
    board.set_clock(datetime(2040, 1, 1, tzinfo=UTC))
    assert ask(board, "import machine\nprint(machine.RTC().datetime()[0])").strip() == "2040"


def test_pins_have_the_level_that_the_host_holds(board: Board) -> None:
    read = "from machine import Pin\nprint(Pin(4, Pin.IN, Pin.PULL_UP).value())"
    assert ask(board, read).strip() == "1"
    board.set_pin(4, 0)
    assert ask(board, read).strip() == "0"


def test_wire_leads_what_one_pin_drives_to_another(board: Board) -> None:
    board.wire(4, 5)
    drive = "from machine import Pin\nPin(4, Pin.OUT, value=%d)\nprint(Pin(5, Pin.IN, Pin.PULL_UP).value())"
    assert [ask(board, drive % level).strip() for level in (0, 1)] == ["0", "1"]


WIFI: dict[str, tuple[Callable[[Board], object], str]] = {
    "joins": (lambda board: None, "True 1010"),
    "wrong password": (
        lambda board: board.network.access_points.update(virtual="other"),
        "False 202",
    ),
    "no such network": (lambda board: board.network.access_points.clear(), "False 201"),
}


@pytest.mark.parametrize(("situation", "answer"), WIFI.values(), ids=WIFI)
def test_wifi(board: Board, situation: Callable[[Board], object], answer: str) -> None:
    situation(board)
    out = ask(
        board,
        "import network, time\nw = network.WLAN(network.STA_IF)\nw.active(True)\nw.connect('virtual', 'password')\n"
        "time.sleep(0.3)\nprint(w.isconnected(), w.status())",
    )
    assert out.strip() == answer


def test_program_has_its_heap(tmp_path: Path) -> None:
    for heap_kib in (96, 160):
        with Board(tmp_path / str(heap_kib), heap_kib=heap_kib) as board:
            board.power_on()
            board.wait_repl()
            full = "n = 0\nheld = None\ntry:\n    while True:\n        held = (held, 1)\n        n += 1\nexcept MemoryError:\n    held = None\nprint(n)"
            tuples = int(ask(board, full)) * 32  # bytes each
            assert abs(tuples - heap_kib * 1024) < 8 * 1024


def test_free_memory_counts_what_the_heap_may_grow_by_and_no_collected_garbage(tmp_path: Path) -> None:
    """MicroPython py/gc.c gc_info(): as on a C3, v1.24.1, where 64,000 were Python's, 29,920 of them free, and 114,688 in one piece."""
    tells = "import esp32, gc\ndef free():\n    return gc.mem_free(), max(r[2] for r in esp32.idf_heap_info(esp32.HEAP_DATA))\ngc.collect()\n"
    with Board(tmp_path, chip="esp32c3") as board:
        board.power_on()
        board.wait_repl()
        fresh, piece = map(int, ask(board, tells + "print(*free())").split())
        assert piece < fresh < piece + 65_580
        out = ask(
            board,
            tells
            + "gc.disable()\na = free()[0]\nbytearray(20000)\nb = free()[0]\ngc.collect()\nprint(a - b, a - free()[0])",
        )
        dropped, left = map(int, out.split())
        assert (dropped > 14_000, abs(left) < 2000) == (True, True)


def test_main_is_skipped_after_an_error_in_boot_and_after_a_raw_soft_reset(board: Board) -> None:
    with rigs.repl(board) as link:
        link.put("/main.py", b"print('main runs')\n")
    seen = len(board.text)
    with rigs.repl(board):
        pass
    assert "main runs" not in board.text[seen:]
    board.reset()
    board.wait_text("main runs", 10, since=seen)
    with rigs.repl(board) as link:
        link.put("/boot.py", b"raise ValueError('in boot')\n")
    seen = len(board.text)
    board.reset()
    board.wait_text("ValueError: in boot", 10, since=seen)
    board.wait_repl()
    assert "main runs" not in board.text[seen:]


def test_damaged_filesystem_is_told_and_not_formatted(board: Board) -> None:
    row = board.table.find("vfs")
    assert row
    board.power_off()
    for at in (0, 4096):
        board.flash.program(row.offset + at, bytes(4096), actor="host")
    board.power_on()
    board.wait_text("The filesystem appears to be corrupted", 10)


@pytest.mark.parametrize("chip", CHIPS)
def test_each_chip_boots_its_own_images_only(tmp_path: Path, chip: str) -> None:
    with Board(tmp_path / chip, chip=chip) as board:
        board.power_on()
        board.wait_repl()
        assert ask(board, "import sys\nprint(sys.implementation._build)").strip() == board.chip.build
    other = "esp32s3" if chip == "esp32" else "esp32"
    with Board(tmp_path / "other", chip=chip, app=build_app(other)) as board:
        board.power_on()
        board.wait_text("No bootable app partitions", 10)
        assert board.wait_boots(2).slot is None


def test_board_from_a_csv_table(tmp_path: Path) -> None:
    with Board(tmp_path, layout=Table.from_csv(TABLE)) as board:
        board.power_on()
        board.wait_repl()
        out = ask(
            board,
            "from esp32 import Partition\nprint(Partition(1).info()[4], Partition(0).info()[4])",
        )
        assert out.split() == ["a", "a"]


def test_factory_board_has_no_boot_partition(tmp_path: Path) -> None:
    with Board(tmp_path, layout="factory") as board:
        board.power_on()
        board.wait_repl()
        with pytest.raises(BoardError, match="OSError"):
            ask(board, "from esp32 import Partition\nPartition(0)")


def test_two_boards_run_at_once(tmp_path: Path) -> None:
    with Board(tmp_path / "a") as first, Board(tmp_path / "b") as second:
        for board in (first, second):
            board.power_on()
        for board in (first, second):
            board.wait_repl()
        ids = {ask(board, "import machine\nprint(machine.unique_id())") for board in (first, second)}
        assert len(ids) == 2


def test_every_flash_operation_is_named(board: Board) -> None:
    before = len(board.flash.trace)
    ask(board, "from esp32 import Partition\nPartition('ota_1').writeblocks(2, bytes(4096))")
    row = board.table.find("ota_1")
    assert row
    named = [(op.actor, op.kind, op.address - row.offset, op.size) for op in board.flash.trace[before:]]
    assert named == [("app", "erase", 8192, 4096), ("app", "program", 8192, 4096)]


def test_hung_board_does_not_hang_the_host(board: Board) -> None:
    begin(board, "import micropython\nmicropython.kbd_intr(-1)\nwhile True: pass")
    words = [sys.executable, "-m", "mpremote", "connect", str(board.port), "exec", "1"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert "could not enter raw repl" in done.stderr


def test_recursion_ends_where_a_task_of_16_kib_does(board: Board) -> None:
    code = "def deeper(n):\n    global depth\n    depth = n\n    deeper(n + 1)\n"
    depth = ask(board, code + "try:\n    deeper(1)\nexcept RuntimeError:\n    print(depth)")
    assert 40 <= int(depth) <= 55  # about 46 on an ESP32, micropython#4840
    nested = "x = []\nfor _ in range(600):\n    x = [x]\n"
    with pytest.raises(BoardError, match="maximum recursion depth exceeded"):
        ask(board, nested + "import json\njson.dumps(x)")  # loads is no recursion, on a chip neither


def test_imports_go_as_deep_as_on_a_chip(board: Board) -> None:
    with rigs.repl(board) as link:
        for n in range(8):
            link.put(f"/m{n}.py", f"import m{n + 1}\n".encode())
        link.put("/m8.py", b"print('deep')\n")
    assert "deep" in ask(board, "import m0")


@pytest.mark.parametrize(("layout", "mib"), [("ota", 4), ("factory", 4), ("factory-ota", 8), ("three", 8)])
def test_flash_is_as_large_as_the_layout_needs(tmp_path: Path, layout: str, mib: int) -> None:
    with Board(tmp_path, layout=layout) as board:
        assert board.flash.size == mib << 20
        assert board.table.find("vfs")
        board.power_on()
        board.wait_repl()
        slots = ask(board, "from esp32 import Partition\nprint([p.info()[4] for p in Partition.find(0)])")
        assert ("ota_2" in slots) == (layout == "three")


MODES = """
from cryptolib import aes
for mode in range(1, 8):
    try:
        aes(bytes(16), mode, bytes(16))
        print(mode)
    except ValueError:
        pass
"""


def test_aes_has_ecb_and_cbc_and_no_counter_mode(board: Board) -> None:
    """Facts 6.10: 6 would be CTR, which stock firmware leaves out."""
    assert ask(board, MODES).split() == ["1", "2"]


COLLECTED = """
import gc, os
from esp32 import Partition
vfs, buf = Partition.find(Partition.TYPE_DATA, label="vfs")[0], bytearray(128)
held = bytearray(40000)
gc.collect()
held = None
before = gc.mem_alloc()
gc.threshold(1)
{}
gc.threshold(-1)
print(before - gc.mem_alloc() < 20000)
"""


@pytest.mark.parametrize("call", ["vfs.readblocks(1, buf, 0)", "vfs.ioctl(6, 20)", "vfs.writeblocks(20, buf, 0)"])
def test_no_garbage_is_collected_in_the_middle_of_a_block_of_the_file_system(board: Board, call: str) -> None:
    """In C the chip does that; a file that is collected would be closed in the middle of littlefs's remove(), which then
    goes round in circles."""
    assert ask(board, COLLECTED.format(call)).strip() == "True"


READING = """
from esp32 import Partition
app, buf, begun, ended = Partition("ota_1"), bytearray(65536), 0, 0
print("reads")
try:
    while True:
        begun += 1
        app.readblocks(0, buf)
        ended += 1
except KeyboardInterrupt:
    print("stopped", begun == ended)
"""


def test_ctrl_c_comes_after_a_block_of_flash_and_not_in_the_middle_of_it(tmp_path: Path) -> None:
    """What littlefs has begun, an exception from its block device would leave half done."""
    with Board(tmp_path / "board", real_time=True) as board:  # most of the loop is spent in the read
        board.power_on()
        board.wait_repl()
        for _ in range(3):
            with repl(board) as link:
                link.start(READING)
                assert link.line(5) == "reads"
                link.send(b"\x03")
                assert link.line(5) == "stopped True"
