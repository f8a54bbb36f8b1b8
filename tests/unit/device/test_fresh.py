"""device/ota/release/fresh.py: what is news, what was there before, what has expired."""

import zlib
from datetime import UTC, datetime
from typing import Any

import pytest

from .conftest import Run

CHANNEL = "https://releases.test:8443/stable.json"
NAME = zlib.crc32(CHANNEL.encode())
OTHER = zlib.crc32(b"https://releases.test:8443/beta.json")
NOW = "2026-11-24T12:00:00Z"

HEAR = """
    import sys
    class Esp32:
        NVS = Partition = None
    class Machine:
        RTC = None
    sys.modules["esp32"], sys.modules["machine"] = Esp32, Machine
    from ota.net import clock, dates
    from ota.release import fresh
    class Time:
        time = staticmethod(lambda: dates.parse(args["clock"]))
    fresh.time = Time
    clock.floor = lambda: dates.parse(args["floor"])
    class Kept:
        state = {"heard": args["heard"]}
        written = 0
        def note(self, key, value):
            self.written += self.state[key] != value
            self.state[key] = value
    kept = Kept()
    got = attempt(fresh.hear, args["payload"], kept, args["channel"])
    print(json.dumps([got.get("code"), kept.state["heard"], kept.written]))
"""


def since_2000(text: str) -> int:
    return int((datetime.fromisoformat(text) - datetime(2000, 1, 1, tzinfo=UTC)).total_seconds())


def heard(sequence: int, published: str, at: str = NOW, name: int = NAME) -> list[int]:
    return [name, sequence, since_2000(published), since_2000(at) // 86400]


def hear(mpy: Run, before: Any, *, clock: str = NOW, floor: str = "2026-01-01T00:00:00Z", **payload: Any) -> Any:
    """(code or None, the record's entry afterwards, how often it was written)"""
    told = {"sequence": 7, "published": "2026-11-20T00:00:00Z", **payload}
    return tuple(mpy(HEAR, payload=told, heard=before, channel=CHANNEL, clock=clock, floor=floor))


SEVEN = heard(7, "2026-11-20T00:00:00Z")
NEWS: dict[str, tuple[Any, dict[str, Any], Any]] = {
    "the first ever": (None, {}, SEVEN),
    "a higher sequence": (heard(6, "2026-11-20T00:00:00Z"), {}, SEVEN),
    "a higher sequence of an earlier date": (heard(6, "2026-11-23T00:00:00Z"), {}, SEVEN),
    "the same, published anew": (heard(7, "2026-11-19T23:59:59Z"), {}, SEVEN),
    "another channel's, however low": (heard(9, "2026-11-23T00:00:00Z", name=OTHER), {}, SEVEN),
    "one whose date is none": (None, {"published": "yesterday"}, heard(7, "2000-01-01T00:00:00Z")),
    "one that expires later": (None, {"expires": "2026-11-24T12:00:01Z"}, SEVEN),
}  # fmt: skip


@pytest.mark.parametrize(("before", "told", "after"), NEWS.values(), ids=NEWS)
def test_news_is_noted(before: Any, told: dict[str, Any], after: Any, mpy: Run) -> None:
    assert hear(mpy, before, **told) == (None, after, 1)


OLD_HAT = {
    "a lower sequence": (heard(8, "2026-11-20T00:00:00Z"), {}, "replayed"),
    "a lower sequence of a later date": (heard(8, "2026-11-01T00:00:00Z"), {}, "replayed"),
    "the same sequence of an earlier date": (heard(7, "2026-11-20T00:00:01Z"), {}, "replayed"),
    "the same sequence without a date": (SEVEN, {"published": "yesterday"}, "replayed"),
    "one that is replayed and has expired": (heard(8, "2026-11-20T00:00:00Z"), {"expires": "2026-11-21T00:00:00Z"},
                                             "replayed"),
    "one that expires now": (SEVEN, {"expires": NOW}, "expired"),
    "news that have expired": (heard(6, "2026-11-01T00:00:00Z"), {"expires": "2026-11-24T11:59:59Z"}, "expired"),
    "one that expires at no date": (SEVEN, {"expires": "soon"}, "expired"),
    "one that expires on a 31st month": (SEVEN, {"expires": "2027-31-01T00:00:00Z"}, "expired"),
    "one expired by what is proven, the clock being behind": (SEVEN, {"expires": "2026-11-22T00:00:00Z",
        "clock": "2001-01-01T00:00:00Z", "floor": "2026-11-23T00:00:00Z"}, "expired"),
}  # fmt: skip


@pytest.mark.parametrize(("before", "told", "code"), OLD_HAT.values(), ids=OLD_HAT)
def test_what_is_not_fresh_is_refused_and_not_noted(before: Any, told: dict[str, Any], code: str, mpy: Run) -> None:
    assert hear(mpy, before, **told) == (code, before, 0)


@pytest.mark.parametrize(
    ("at", "written"),
    [
        ("2026-11-24T00:00:00Z", 0),
        ("2026-11-23T23:59:59Z", 1),  # the day before
        ("2036-01-01T00:00:00Z", 1),  # by a clock that somebody had set forward
    ],
)
def test_what_is_known_is_written_once_a_day(at: str, written: int, mpy: Run) -> None:
    before = heard(7, "2026-11-20T00:00:00Z", at)
    assert hear(mpy, before) == (None, SEVEN if written else before, written)
