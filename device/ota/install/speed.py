"""The chip's clock while an update comes, for a board that has the entry `freq_mhz`. Source: MicroPython ports/esp32/modmachine.c,
which takes 20, 40, 80, 160 and, but for the C3 and the C6, 240 MHz, and raises ValueError for others."""

import machine

from ..console import say


def up(mhz: int) -> int:
    """Have the chip run at `mhz`, unless it does not go so fast, or is as fast already. Returns the Hz of before, for
    machine.freq(); 0 where it is as it was: a P4 begins with 360 MHz, which freq() does not take."""
    before, changed = machine.freq(), False
    try:
        if mhz * 1000000 > before:
            machine.freq(mhz * 1000000)
            changed = True
    except ValueError:
        pass
    say("freq", machine.freq() // 1000000)
    return before if changed else 0
