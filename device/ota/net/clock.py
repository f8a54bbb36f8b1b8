"""The date, without which no certificate can be judged. The board keeps the latest moment that it has seen proven: its
deployment, the start of a certificate that it verified, the date of a release that it accepted. It never goes back
behind that. Time servers and the server's own Date are not authenticated: a wrong date can make an old certificate look
good, or a good one bad, so the release is signed as well (P8), and dates that are refused are asked for once more."""

import time

import machine
from micropython import const

from ..boot import store
from ..errors import OtaError
from . import dates

_BUILT = const(820454400)  # 2026-01-01 in seconds since 2000: this agent was not there before
_DAY_S = const(86400)


def floor() -> int:
    """The latest proven moment, in the board's seconds."""
    return max(store.number("proven"), _BUILT) + dates.EPOCH


def ready(config: dict):
    """Steps until the clock is set. One that was not set since power came on starts at the floor, and asks."""
    if time.time() < floor():
        _set(floor())
        yield from correct(config, config["url"])


def correct(config: dict, url: str, time_server: bool = True):
    """Steps until somebody has told another time, or nobody has: they return whether. Raises nothing."""
    from . import timeserver

    return (yield from timeserver.ask(config, url, time_server))


def believe(now: "int | None") -> bool:
    """Set the clock, unless `now` (the board's seconds) is before what is proven, or behind 2068, where time.gmtime() ends
    before MicroPython 1.27. Whether it is set."""
    if now is None or now < floor() or now - dates.EPOCH >> 31:
        return False
    if abs(time.time() - now) > 2:
        _set(now)
    return True


def prove(moment: "int | None", until: "int | None" = None) -> None:
    """What is past for sure, in the board's seconds, raises the floor: by a day and more, as NVS wears. `until`: of a date
    that somebody may have mistyped, a moment that is not past. Such a one counts only if the clock, which the server
    has set, is there too: a slip must not shut the board out, nor make it take what comes for expired."""
    if moment is None or (until is not None and moment > min(until, time.time() + _DAY_S)):
        return
    if moment > floor() + _DAY_S:
        try:
            store.set_number("proven", moment - dates.EPOCH)
        except OtaError:
            pass


def _set(now: int) -> None:
    year, month, day, hour, minute, second, weekday = time.gmtime(now)[:7]
    machine.RTC().datetime((year, month, day, weekday, hour, minute, second, 0))
