"""machine.Timer: what each number is on each chip and MicroPython version, and the timers that run.

Sources: MicroPython ports/esp32/machine_timer.c of the tags v1.22.0 to v1.29.0-preview; ESP-IDF soc_caps.h (two groups
of two timers on ESP32, S2 and S3, of one on C3 and C6); real firmware (facts 10.1); reports micropython#9674 and #7871
(C3 before 1.24: only 0 and 2 work, the others crash in init()), #16438 (C6 1.24: 1 and 3 never fire).
"""

import time
from dataclasses import dataclass

from vboard.chip.panic import Panic
from vboard.chips import Chip

# One row for the versions from the one named on. Its columns are Timer(-1), Timer(0), … Timer(3):
#   a digit  the hardware timer that this number means; two numbers with one digit share it
#   P        the constructor accepts it, init() panics
#   -        accepted, and never fires
#   X        ValueError in the constructor
#   v        a virtual timer: as many as one likes
_FOUR_TIMERS = {
    (1, 22): "3 0 1 2 3",
    (1, 25): "X 0 1 2 3",
    (1, 29): "v 0 1 2 3",
}
_TABLE = {
    "esp32": _FOUR_TIMERS,
    "esp32s2": _FOUR_TIMERS,
    "esp32s3": _FOUR_TIMERS,
    "esp32c3": {
        (1, 22): "P 0 P 1 P",
        (1, 24): "1 0 1 0 1",
        (1, 25): "X 0 1 X X",
        (1, 29): "v 0 1 X X",
    },
    "esp32c6": {  # there is firmware for it since 1.24
        (1, 22): "- 0 - 1 -",
        (1, 25): "X 0 1 X X",
        (1, 29): "v 0 1 X X",
    },
}
_CHECKED = (1, 25)  # before, a number's lowest two bits counted
_VIRTUAL = (1, 29)
# An ESP32 with these versions counts the init() of timers 0 and 2 in a byte that ESP-IDF shares: when it is full, the
# timer group is reset, and the system's clock with it (micropython#19162).
_COUNTING = ((1, 26), _VIRTUAL)
_INITS = 255
_GRAIN_S = 0.001
_AGAIN_S = 0.005  # until the program is told once more of those that it has not taken
_BROKEN = 100  # handles from here on are of numbers that no hardware timer stands behind


def meaning(chip: Chip, version: tuple[int, ...], number: int) -> str:
    """The table's entry for Timer(number)."""
    row = next(row for since, row in reversed(_TABLE[chip.name].items()) if version >= since or since == (1, 22))
    columns = row.split()
    if version < _CHECKED:
        return columns[(number & 3) + 1]
    if number < 0:
        return columns[0]
    return columns[number + 1] if number < len(columns) - 1 else "X"


@dataclass
class _Running:
    period_s: float
    repeats: bool
    due: float  # time.monotonic()


class Timers:
    """The timers of one boot. A handle stands for one timer: two Timer objects of one handle are one timer."""

    def __init__(self, chip: Chip, version: tuple[int, ...]) -> None:
        self._chip = chip
        self._version = version
        self._running: dict[int, _Running] = {}
        self._fired: set[int] = set()
        self._told = 0.0  # when the program was, last (time.monotonic())
        self._virtual = 0
        self._inits = 0  # a soft reset does not set it back
        self._counts = chip.name == "esp32" and _COUNTING[0] <= version < _COUNTING[1]

    def handle(self, number: int) -> int:
        """The handle for a new Timer(number): 0 and up a hardware timer, below 0 a virtual one of its own, which all are
        on an ESP8266 (the SDK's, whatever their number).

        Raises ValueError with the port's words.
        """
        means = "v" if self._chip.port == "esp8266" else meaning(self._chip, self._version, number)
        if means == "v":
            self._virtual -= 1
            return self._virtual
        if means == "X":
            raise ValueError(self._refusal(number))
        return int(means) if means.isdigit() else _BROKEN + (number & 3)

    def _refusal(self, number: int) -> str:
        if self._version < _VIRTUAL:
            return "invalid Timer number"
        known = sum(column.isdigit() for column in _TABLE[self._chip.name][_VIRTUAL].split())
        return f"Timer({number}) doesn't exist, there are only {known} hardware timers"

    def start(self, handle: int, period_s: float, *, repeats: bool) -> None:
        """init(): takes the timer over from whoever had it. Raises Panic where the hardware is not there (C3)."""
        self.stop(handle)
        if handle >= _BROKEN:
            if meaning(self._chip, self._version, handle - _BROKEN) == "P":
                raise Panic("Store access fault")
            return
        if self._counts and handle in (0, 2):
            self._inits += 1
        self._running[handle] = _Running(period_s, repeats, time.monotonic() + period_s)

    @property
    def clock_stopped(self) -> bool:
        """Whether the system's clock has been reset, and stands."""
        return self._inits >= _INITS

    def stop(self, handle: int) -> None:
        self._running.pop(handle, None)

    def clear(self) -> None:
        """A soft reset: none is left."""
        self._running.clear()
        self._fired.clear()

    def due(self) -> float | None:
        """When the next one fires, or the program is to be told again (time.monotonic())."""
        moments = [timer.due for timer in self._running.values()]
        if self._fired:
            moments.append(self._told + _AGAIN_S)
        return min(moments, default=None)

    def tick(self, now: float) -> bool:
        """Whether the program is to be told: one's time has come, or it has not taken one, as where it was in a C call."""
        news = bool(self._fired) and now >= self._told + _AGAIN_S
        for handle, timer in list(self._running.items()):
            if now + _GRAIN_S >= timer.due:
                self._fired.add(handle)
                news = True
                # one that is late fires once, however many periods have gone by (facts 10.11)
                timer.due = max(now, timer.due + timer.period_s)
                if not timer.repeats:
                    del self._running[handle]
        if news:
            self._told = now
        return news

    def next_fired(self) -> tuple[int | None, bool]:
        """The handle of one that has fired and was not taken here since, None for none; whether there are more."""
        handle = min(self._fired, default=None)
        if handle is not None:
            self._fired.discard(handle)
        return handle, bool(self._fired)
