"""The chip's memory: TLS panics where there is not enough, NVS handles add up. Without the agent, over the rig's server."""

from pathlib import Path

import pytest
import rig as rigs
from otactl.errors import BoardError
from rig import HOST, PORT, Rig, ask
from vboard.board import Board
from vboard.chip.kept import HARD

OPENS = f"""
import esp32, network, socket, time, tls
w = network.WLAN(network.STA_IF)
w.active(True)
w.connect('virtual', 'password')
while not w.isconnected():
    time.sleep_ms(20)
def free():
    return sum(region[1] for region in esp32.idf_heap_info(esp32.HEAP_DATA))
def connect():
    s = socket.socket()
    s.connect(socket.getaddrinfo('{HOST}', {PORT})[0][-1])
    context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    context.verify_mode = tls.CERT_NONE
    return context.wrap_socket(s, server_hostname='{HOST}')
"""


def bench(rig: Rig, **settings: int) -> Board:
    board = rig.board(deployed=False, **settings)
    board.power_on()
    board.wait_repl()
    return board


def test_connection_takes_memory_and_gives_it_back(rig: Rig) -> None:
    board = bench(rig)
    said = rigs.ask(board, OPENS + "a = free()\ns = connect()\nb = free()\ns.close()\nprint(a - b, a - free())")
    assert [int(n) for n in said.split()] == [33024, 0]


def test_no_memory_for_tls_is_a_panic(rig: Rig) -> None:
    board = bench(rig, heap_kib=256)
    assert "opened" in rigs.ask(board, OPENS + "buf = bytearray(32768)\nconnect().close()\nprint('opened')")
    with rigs.repl(board) as link:
        link.start(OPENS + "buf = bytearray(110000)\nconnect()")
    assert board.wait_boots(2).cause == HARD
    assert "Guru Meditation Error: Core  1 panic'ed (LoadProhibited)" in board.text


def test_board_with_less_memory(rig: Rig) -> None:
    board = bench(rig, idf_heap_kib=60)
    with rigs.repl(board) as link:
        link.start(OPENS + "connect()")
    assert board.wait_boots(2).cause == HARD


def test_nvs_handles_are_never_closed(rig: Rig) -> None:
    board = bench(rig)
    opens = "from esp32 import NVS\nfor i in range({}):\n    NVS('n' + str(i % 3)).set_i32('k', i)\n"
    free = "import esp32\nprint(sum(r[1] for r in esp32.idf_heap_info(esp32.HEAP_DATA)))"
    before = int(ask(board, free))
    ask(board, opens.format(300))
    assert board.soc
    assert board.soc.nvs_handles == 300
    assert before - int(ask(board, free)) == 300 * 53
    assert ask(board, "from esp32 import NVS\nprint(NVS('n0').get_i32('k'))").strip() == "297"
    assert board.soc.nvs_handles == 301  # soft resets lay between: they give nothing back
    ask(board, "import machine")
    board.reset(HARD)
    board.wait_repl()
    assert board.soc.nvs_handles == 0


def test_no_room_for_an_nvs_handle(tmp_path: Path) -> None:
    with Board(tmp_path, idf_heap_kib=26) as board:
        board.power_on()
        board.wait_repl()
        with pytest.raises(BoardError, match=r"OSError: \[Errno 12\] ENOMEM"):
            ask(board, "from esp32 import NVS\nfor _ in range(600):\n    NVS('n')")
