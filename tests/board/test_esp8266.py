"""The virtual ESP8266: what the esp8266 port of MicroPython has, lacks and answers otherwise than the esp32 port.

Each row is a fact of MicroPython's source (ports/esp8266, extmod/modtls_axtls.c), named where it is played:
host/vboard/chip/shims/_vb_esp8266.py, host/vboard/chip/esp8266.py, host/vboard/flash/image8266.py.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from bare import next_boot
from otactl.errors import BoardError
from rig import ask
from vboard.board import Board
from vboard.chip.kept import HARD, PWRON, WDT

KIB = 1 << 10


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    with Board(tmp_path_factory.mktemp("esp8266"), chip="esp8266") as made:
        made.power_on()
        made.wait_repl()
        yield made


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    with Board(tmp_path, chip="esp8266", watchdog_factor=4) as made:
        made.power_on()
        made.wait_repl()
        yield made


ANSWERS = {
    "import sys\nprint(sys.platform, sys.path)": "esp8266 ['', '.frozen', '/lib', '/']",
    "import sys\nprint(sys.implementation._machine, sys.implementation._build)": (
        "ESP module with ESP8266 ESP8266_GENERIC"
    ),
    "import sys\nprint(sys.implementation._mpy & 0xff, sys.implementation._mpy >> 10)": "6 9",
    "import sys\nprint(hasattr(sys.implementation, '_thread'))": "False",
    "import os\nprint(os.uname()[0], os.statvfs('/')[:3])": "esp8266 (4096, 4096, 763)",
    "import esp\nprint(esp.flash_user_start(), esp.flash_size())": f"{1 << 20} {4 << 20}",
    "import machine\nprint(machine.reset_cause(), machine.PWRON_RESET)": "0 0",
    "import machine\nprint(machine.HARD_RESET, machine.WDT_RESET, machine.SOFT_RESET)": "6 1 4",
    "import machine\nprint(len(machine.unique_id()), machine.Pin.IN, machine.Pin.OUT)": "4 0 1",
    "import network\nprint(network.STAT_GOT_IP, network.WLAN(0).status())": "5 0",
    "import network\nprint(hasattr(network, 'LAN'), network.WLAN(1).status())": "False -1",
    "import tls\nc = tls.SSLContext(0)\nc.verify_mode = 2\nprint(hasattr(tls, 'CERT_REQUIRED'), c.verify_mode)": "False 0",
    "import tls\nprint(hasattr(tls.SSLContext(0), 'load_verify_locations'))": "False",
    "import hashlib\nprint(hasattr(hashlib, 'sha256'), hasattr(hashlib, 'md5'))": "True False",
    "import binascii\nprint(hasattr(binascii, 'a2b_base64'), hasattr(binascii, 'crc32'))": "True False",
    "import errno\nprint(errno.ETIMEDOUT, errno.EINPROGRESS, errno.ENOTCONN)": "110 115 107",
    "import asyncio, deflate, cryptolib, json\nprint('there')": "there",
    "import time\nprint(time.gmtime(0)[0])": "2000",
    "print([n for k in (str, bytes) for n in ('partition', 'rpartition', 'center', 'splitlines') if hasattr(k, n)])": "[]",
    "print('a.b'.rsplit('.', 1), b'a:b'.split(b':'), 'ab'.find('b'))": "['a', 'b'] [b'a', b'b'] 1",
}
# the other port's answer would be a value
REFUSALS = {
    "import esp32": "no module named 'esp32'",
    "import _thread": "no module named '_thread'",
    "import bluetooth": "no module named 'bluetooth'",
    "pow(2, 3, 5)": "NotImplementedError: 3-arg pow() not supported",
    "setattr(print, 'a', 1)": "name 'setattr' isn't defined",
    "execfile('boot.py')": "name 'execfile' isn't defined",
    "import machine\nmachine.WDT(timeout=8000)": "ValueError",
    "import machine\nmachine.Timer(-1, period=1)": "TypeError",
    "import esp\nesp.flash_write(1 << 21, b'abc')": "len must be multiple of 4",
    "import esp\nesp.flash_read(1 << 22, 4)": "OSError: [Errno 5] EIO",
    "import machine\nmachine.RTC().memory(bytes(493))": "buffer too long",
    "import socket\nsocket.getaddrinfo('nowhere.test', 80)": "OSError: -2",
}


@pytest.mark.parametrize(("code", "answer"), ANSWERS.items(), ids=lambda text: text.splitlines()[-1])
def test_answers(shared: Board, code: str, answer: str) -> None:
    assert ask(shared, code).strip() == answer


@pytest.mark.parametrize(("code", "words"), REFUSALS.items(), ids=lambda text: text.splitlines()[-1])
def test_refusals(shared: Board, code: str, words: str) -> None:
    with pytest.raises(BoardError) as refused:
        ask(shared, code)
    assert words in str(refused.value)


def test_heap_is_the_chips_to_the_byte(shared: Board) -> None:
    """38 KiB with the port's own part, whole; the shims' heap is not the program's."""
    free = int(ask(shared, "import gc\ngc.collect()\nprint(gc.mem_free())"))
    assert 34 * KIB < free < 36 * KIB
    assert ask(shared, "import gc\ngc.collect()\nprint(len(bytearray(30 << 10)))").strip() == str(30 * KIB)
    with pytest.raises(BoardError, match="MemoryError"):
        ask(shared, "bytearray(40 << 10)")


def test_stack_holds_half_the_levels_of_an_esp32(shared: Board) -> None:
    depth = ask(shared, "def f(n):\n try:\n  return f(n + 1)\n except RuntimeError:\n  return n\nprint(f(0))")
    assert 20 <= int(depth) <= 28


# how a boot ends -> the virtual board's word for it, machine.reset_cause() of the next
RESETS = {
    "machine.reset() reads as SOFT_RESET": ("import machine\nmachine.reset()", HARD, 4),
    "the watchdog has a cause without a name": ("import machine\nmachine.WDT()\nwhile True: pass", WDT, 3),
    "a soft reset leaves it armed": ("import machine\nmachine.WDT()\nmachine.soft_reset()", WDT, 3),
    "the running firmware is no place to write": ("import esp\nesp.flash_erase(3)", HARD, 2),
}


@pytest.mark.parametrize(("code", "cause", "told"), RESETS.values(), ids=RESETS)
def test_resets(board: Board, code: str, cause: int, told: int) -> None:
    assert next_boot(board, code) == cause
    board.wait_repl()
    assert ask(board, "import machine\nprint(machine.reset_cause())").strip() == str(told)


def test_reset_button_is_told_from_power(board: Board) -> None:
    board.reset()
    assert board.wait_boots(2).cause == PWRON
    board.wait_repl()
    assert ask(board, "import machine\nprint(machine.reset_cause())").strip() == "6"


def test_timers_are_the_sdks_and_feed_the_watchdog(board: Board) -> None:
    code = """
import machine, time
w = machine.WDT()
ticks = []
timers = [machine.Timer(-1), machine.Timer(5), machine.Timer(5)]
for t in timers:
    t.init(period=50, callback=lambda t: (ticks.append(id(t)), w.feed()))
time.sleep(1)
print(len(set(ticks)), len(ticks) > 20)
machine.reset()
"""
    seen = len(board.text)
    next_boot(board, code)
    assert "3 True" in board.text[seen:]


@pytest.mark.parametrize(("mib", "start", "blocks"), [(1, 153, 98), (2, 256, 251), (4, 256, 763)])
def test_files_lie_behind_the_firmware(tmp_path: Path, mib: int, start: int, blocks: int) -> None:
    with Board(tmp_path, chip="esp8266", flash_mib=mib) as board:
        files = board.table.find("vfs")
        assert files
        assert (files.offset >> 12, files.size >> 12) == (start, blocks)
        board.power_on()
        board.wait_repl()
        assert {op.address >> 12 for op in board.flash.trace if op.actor == "vfs"} <= set(range(start, start + blocks))
        assert board.table.find("nvs") is None and not board.table.ota_slots


def test_console_shows_the_roms_words_as_noise(shared: Board) -> None:
    """The ROM speaks at 74880 baud, the program at 115200."""
    first = shared.text.split("Performing")[0]
    assert len(first) > 60 and "ets" not in first and "rst" not in first
    assert first.startswith("rl\x00l")  # what consoles of real boards show of " ets Jan  8 2013"


@pytest.mark.parametrize("damage", ["blank", "checksum"])
def test_image_that_the_rom_does_not_start(tmp_path: Path, damage: str) -> None:
    with Board(tmp_path, chip="esp8266", blank=damage == "blank") as board:
        if damage == "checksum":
            board.flash.force(0x20, b"\x5a")
        board.power_on()
        assert board.wait_boots(3).slot is None


def test_what_an_esp8266_does_not_take_is_refused(tmp_path: Path) -> None:
    for wrong in ({"layout": "factory"}, {"app": b"x"}, {"full_flash": b"x"}, {"flash_mib": 8}):
        with pytest.raises(ValueError, match="esp8266"):
            Board(tmp_path / "board", chip="esp8266", **wrong)  # type: ignore[arg-type]
