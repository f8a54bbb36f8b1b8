"""Until when a release is good: boards refuse it afterwards, so that a channel which stands still shows.

How long a release lasts is the time from its `published` to its `expires`; what signs it anew keeps that.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from otactl.errors import UsageError
from otactl.words import counted

NEVER = "never"
_FORM = "%Y-%m-%dT%H:%M:%SZ"  # RFC 3339, as boards read it
_SPAN = re.compile(r"(\d{1,5})([dhw])\Z")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_SOON = timedelta(days=7)
_BOARDS_END = 2100  # boards read no later year


def text(moment: datetime) -> str:
    return moment.strftime(_FORM)


def read(given: object) -> datetime | None:
    """A date of a release: RFC 3339, to the second; None for anything else."""
    try:
        return datetime.strptime(str(given), _FORM).replace(tzinfo=UTC)
    except ValueError:
        return None


def asked(given: str, now: datetime) -> str | None:
    """What `--expires` means: 12h, 30d, 8w, a date (that day's end, UTC), a time of RFC 3339; None for never.

    Raises UsageError for anything else, and for what is past.
    """
    if given == NEVER:
        return None
    moment = _moment(given, now)
    if moment is None:
        raise UsageError(f"--expires {given}: a time such as 30d, 12h or 8w, a date such as 2027-03-31, or never")
    if not now < moment or moment.year >= _BOARDS_END:
        raise UsageError(f"--expires {given}: not past, and before the year {_BOARDS_END}")
    return text(moment)


def _moment(given: str, now: datetime) -> datetime | None:
    span = _SPAN.match(given)
    if span:
        return now + int(span[1]) * _UNITS[span[2]]
    try:
        return datetime.strptime(given, "%Y-%m-%d").replace(tzinfo=UTC) + timedelta(days=1)
    except ValueError:
        return read(given)


def lasting(payload: dict[str, Any], now: datetime) -> str | None:
    """When a release would expire that lasts from `now` on as long as this one does; None: never."""
    span = _span(payload)
    return text(now + span) if span else None


def is_past(payload: dict[str, Any], now: datetime) -> bool:
    """Whether boards refuse a release as expired; one whose date they cannot read too."""
    until = read(payload.get("expires"))
    return "expires" in payload and (until is None or until <= now)


def advice(payload: dict[str, Any], now: datetime) -> str:
    """What is wrong with a channel's release, now or soon; empty: nothing. Soon: the last quarter of its time, a week at most."""
    if is_past(payload, now):
        return f"{payload['version']} has expired ({payload['expires']}): boards refuse it"
    until, span = read(payload.get("expires")), _span(payload)
    if until and span and until - now < min(_SOON, span / 4):
        hours = int((until - now).total_seconds()) // 3600
        return (
            f"{payload['version']} expires in {counted(hours // 24, 'day') if hours >= 48 else counted(hours, 'hour')}"
        )
    return ""


def _span(payload: dict[str, Any]) -> timedelta | None:
    since, until = read(payload.get("published")), read(payload.get("expires"))
    return until - since if since and until and until > since else None
