"""What machine.Timer(n) is on each chip and version (vboard/chip/timers.py), against what real boards and reports say."""

import time

import pytest
from vboard.chip.panic import Panic
from vboard.chip.timers import Timers
from vboard.chips import CHIPS

IDS = (-1, 0, 1, 2, 3)
FIRES, PANICS, SILENT, REFUSED = "fires", "panics", "silent", "refused"


def does(chip: str, version: tuple[int, int], number: int) -> str:
    timers = Timers(CHIPS[chip], version)
    try:
        handle = timers.handle(number)
    except ValueError:
        return REFUSED
    try:
        timers.start(handle, 0.001, repeats=False)
    except Panic:
        return PANICS
    return FIRES if timers.tick(time.monotonic() + 1) else SILENT


SEEN = {
    "ESP32 1.24.0, real": ("esp32", (1, 24), [FIRES] * 5),
    "C3 1.24.1, real": ("esp32c3", (1, 24), [FIRES] * 5),
    "C3 1.27.0, real": ("esp32c3", (1, 27), [REFUSED, FIRES, FIRES, REFUSED, REFUSED]),
    "C3 1.22, micropython#9674": ("esp32c3", (1, 22), [PANICS, FIRES, PANICS, FIRES, PANICS]),
    "C3 1.23": ("esp32c3", (1, 23), [PANICS, FIRES, PANICS, FIRES, PANICS]),
    "C6 1.24, micropython#16438": ("esp32c6", (1, 24), [SILENT, FIRES, SILENT, FIRES, SILENT]),
    "C6 1.25": ("esp32c6", (1, 25), [REFUSED, FIRES, FIRES, REFUSED, REFUSED]),
    "S3 1.23": ("esp32s3", (1, 23), [FIRES] * 5),
    "S2 1.26": ("esp32s2", (1, 26), [REFUSED, FIRES, FIRES, FIRES, FIRES]),
    "ESP32 1.28": ("esp32", (1, 28), [REFUSED, FIRES, FIRES, FIRES, FIRES]),
    "ESP32 1.29": ("esp32", (1, 29), [FIRES] * 5),
    "C3 1.29": ("esp32c3", (1, 29), [FIRES, FIRES, FIRES, REFUSED, REFUSED]),
}


@pytest.mark.parametrize(("chip", "version", "expected"), SEEN.values(), ids=SEEN)
def test_timer_numbers(chip: str, version: tuple[int, int], expected: list[str]) -> None:
    assert [does(chip, version, number) for number in IDS] == expected


SHARED = {
    ("esp32", (1, 24)): [{-1, 3}],
    ("esp32c3", (1, 24)): [{-1, 1, 3}, {0, 2}],
    ("esp32c3", (1, 23)): [],
    ("esp32c3", (1, 29)): [],
}


@pytest.mark.parametrize(("which", "groups"), SHARED.items())
def test_numbers_that_mean_one_timer(which: tuple[str, tuple[int, int]], groups: list[set[int]]) -> None:
    by_handle: dict[int, set[int]] = {}
    timers = Timers(CHIPS[which[0]], which[1])
    for number in IDS:
        try:
            by_handle.setdefault(timers.handle(number), set()).add(number)
        except ValueError:
            pass
    shared = [numbers for handle, numbers in by_handle.items() if len(numbers) > 1 and handle < 100]
    assert sorted(shared, key=min) == groups


def test_virtual_timers_are_each_their_own() -> None:
    timers = Timers(CHIPS["esp32c3"], (1, 29))
    assert timers.handle(-1) != timers.handle(-1)
    assert timers.handle(-7) < 0


def test_words_of_the_refusal() -> None:
    with pytest.raises(ValueError, match=r"^invalid Timer number$"):
        Timers(CHIPS["esp32c3"], (1, 27)).handle(2)
    with pytest.raises(ValueError, match=r"^Timer\(4\) doesn't exist, there are only 4 hardware timers$"):
        Timers(CHIPS["esp32"], (1, 29)).handle(4)


def test_numbers_above_three_wrapped_around_before_they_were_checked() -> None:
    assert Timers(CHIPS["esp32"], (1, 24)).handle(4) == 0
    with pytest.raises(ValueError, match="invalid"):
        Timers(CHIPS["esp32"], (1, 25)).handle(4)


def test_a_late_timer_fires_once() -> None:
    timers = Timers(CHIPS["esp32"], (1, 26))
    timers.start(0, 0.01, repeats=True)
    assert timers.tick(time.monotonic() + 1)
    assert timers.next_fired() == (0, False)
    assert timers.next_fired() == (None, False)
