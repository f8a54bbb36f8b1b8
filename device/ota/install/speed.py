"""The chip's clock while an update comes, for a board that has the entry `freq_mhz`. Source: MicroPython ports/esp32/modmachine.c,
which takes 20, 40, 80, 160 and, but for the C3 and the C6, 240 MHz, and raises ValueError for others."""

import machine

from ..console import say


def up(mhz: int) -> int:
    """Have the chip run at `mhz`, unless it does not go so fast, or is faster already. Returns the Hz of before, for
    machine.freq()."""
    before = machine.freq()
    try:
        machine.freq(max(mhz * 1000000, before))
    except ValueError:
        pass
    say("freq", machine.freq() // 1000000)
    return before
