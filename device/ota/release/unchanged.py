"""A channel that stands as it stood at the last look, which ended in `up-to-date`: the server says so by its ETag, no envelope
comes, and no signature is checked. Source: RFC 9110, 13.1.2.

What that hangs on lies in memory alone: a reset costs one whole look, and flash wears no more. A day's first look is whole too,
so that the record's `heard` is as true as ever, and a server whose tags are no good hides a release for a day at the most. Whoever
answers 304 to all that comes can withhold (P8), as he can by an old envelope; what fresh.py would say he cannot hide."""

from micropython import const

from ..errors import clean
from ..net import dates
from . import fresh

_DAY_S = const(86400)
_last = None  # [ETag, what the answer hangs on, the moments from and until which it holds]


def take(hangs_on: list) -> "list | None":
    """What the last look has noted, its ETag first, where it holds. It is noted no more then, until keep(): whatever else
    the server answers, the next look is whole."""
    last = _last
    keep(None)
    return last if last and last[1] == hangs_on and last[2] <= fresh.now() < last[3] else None


def keep(last: "list | None") -> None:
    """The server says that nothing has changed."""
    global _last
    _last = last


def note(etag: "str | None", hangs_on: list, expires: "str | None") -> None:
    """A look ends in up-to-date, at a release that expires then."""
    if etag and etag[:1] == '"' and clean(etag) == etag:  # else it is a date, which a second release shares
        now = fresh.now()
        until = now - now % _DAY_S + _DAY_S
        keep([etag, hangs_on, now, min(until, dates.parse(expires) or until)])
