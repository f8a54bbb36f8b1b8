"""A board whose console is a UART of 115200 baud: what comes while nobody reads is lost, and a push lives with it."""

import cable
import rig as rigs
from cable import newest, pushed
from otactl.board.link import Link
from rig import Rig, boots, slot_bytes
from vboard.flash.otadata import State
from vboard.link.uart import RING

SLEEPS = """
import sys, select, time
print("ota: asleep")
time.sleep(1)
poll = select.poll()
poll.register(sys.stdin, select.POLLIN)
taken = b""
while poll.poll(200):
    taken += sys.stdin.buffer.read(1)
print("ota: took", len(taken), taken == bytes(65 + n % 26 for n in range(len(taken))))
"""


def told(link: Link, name: str) -> list[str]:
    while line := link.line(10):
        if line.startswith("ota: " + name):
            return line.split()[2:]
    raise AssertionError(name)


def test_bytes_beyond_the_ring_are_lost_while_the_program_does_not_read(rig: Rig) -> None:
    board = cable.cabled(rig, baud=115200)
    with rigs.repl(board) as link:
        link.start(SLEEPS)
        told(link, "asleep")
        link.send(bytes(65 + n % 26 for n in range(600)))
        assert told(link, "took") == [str(RING), "True"]


def test_ctrl_c_is_heard_when_the_ring_is_full(rig: Rig) -> None:
    board = cable.cabled(rig, baud=115200)
    with rigs.repl(board) as link:
        link.start("print('ota: runs')\nwhile True: pass")
        told(link, "runs")
        link.send(b"x" * 600 + b"\x03")
        board.wait_text("KeyboardInterrupt", 10)


def test_push_through_a_uart_to_a_board_that_is_busy_with_its_flash(rig: Rig) -> None:
    board = cable.cabled(rig, baud=115200, real_time=True)
    data = cable.wordy(24 << 10)
    rig.publish("1.1.0", data)
    assert pushed(board, newest(rig)).outcome.name == "confirmed"
    assert slot_bytes(board, "ota_1", len(data)) == data
    assert boots(board) == ("ota_1", State.VALID)
