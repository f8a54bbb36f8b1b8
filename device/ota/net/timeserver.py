"""Who tells the time: a time server, else the release server itself. Neither is authenticated (clock.py)."""

import time

import ntptime

from .. import steps
from ..errors import OtaError
from . import clock, dates, http, names

_NTP_PORT = 123
_NEWS_S = 60  # a clock that was wrong by less refused no certificate


def ask(config: dict, url: str, time_server: bool):
    """Ask a time server, and the release server where that tells nothing new: steps that return whether the clock was set
    otherwise than it was. Raises nothing."""
    before = time.time()
    for _ in range(3 if time_server and config["ntp_host"] else 0):
        was = ntptime.host, ntptime.timeout
        try:
            where = yield from names.resolve(config["ntp_host"], _NTP_PORT)
            ntptime.host, ntptime.timeout = where[0][0], 1
            if clock.believe(ntptime.time()):
                break
        except Exception:  # no answer, a short one, one that is no time
            pass
        finally:
            ntptime.host, ntptime.timeout = was  # the program may use it too
        yield steps.wait("clock", 200)
    if abs(time.time() - before) > _NEWS_S:
        return True
    try:
        response = yield from http.get(url, peek=True, **http.settings(config))
        response.close()
        clock.believe(dates.parse(response.date))
    except OtaError:
        pass
    return abs(time.time() - before) > _NEWS_S
