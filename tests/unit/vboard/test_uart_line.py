"""A UART's line and ring: how long bytes take, and which of them are lost."""

import pytest
from vboard.link.uart import RING, Line, ringed


def test_bytes_come_at_the_speed_of_the_line() -> None:
    came: list[bytes] = []
    line = Line(115200, came.append)
    line.put(bytes(115), 10.0)  # 10 ms of it
    line.on_time(10.0)
    assert came == []
    for ms in range(1, 10):
        line.on_time(10 + ms / 1000)
    assert 100 <= len(b"".join(came)) < 115
    line.on_time(10.0101)
    assert b"".join(came) == bytes(115)
    assert line.due() is None


def test_line_that_was_quiet_has_saved_nothing_up() -> None:
    came: list[bytes] = []
    line = Line(9600, came.append)
    line.put(b"a", 10.0)
    line.on_time(20.0)
    line.put(b"b" * 96, 20.0)  # 100 ms of it
    assert line.due() == pytest.approx(20.002, abs=0.001)
    line.on_time(20.05)
    assert b"".join(came) == b"a" + b"b" * 48


def test_line_that_is_served_late_is_slow_and_does_not_come_all_at_once() -> None:
    came: list[bytes] = []
    line = Line(115200, came.append)
    line.put(bytes(4096), 10.0)
    line.on_time(12.0)
    assert 0 < len(came[0]) <= RING // 4
    assert line.due() == pytest.approx(12.002, abs=0.001)


def test_what_the_ring_has_no_room_for_is_lost() -> None:
    kept: list[bytes] = []
    typed = ringed(kept.append, lambda: sum(map(len, kept)))
    for n in range(10):
        typed(bytes([n]) * 50)
    assert b"".join(kept) == b"".join(bytes([n]) * 50 for n in range(10))[:RING]
