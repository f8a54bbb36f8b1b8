"""Is a release fresh? The board remembers the newest that it has heard of in its channel, so that a channel file from
before is no news; and no release is good for longer than it says, so that a channel that stands still shows."""

import binascii
import time

from micropython import const

from ..errors import require
from ..net import clock, dates

_DAY_S = const(86400)


def now() -> int:
    """The board's seconds: what is proven, where the program has set the clock behind that."""
    return max(time.time(), clock.floor())


def hear(payload: dict, kept, channel: str) -> None:
    """Hold a release that `channel` names against the record and the clock, which the program may have set back behind
    what is proven. `channel`: its address and whose signatures count there, so that what the keys of before have told is
    forgotten: who has stolen one had the highest sequence there is (The Update Framework's recovery from a fast-forward,
    specification 5.3.11). The record's `heard` is then [CRC-32 of `channel`, sequence, published, when], in seconds and in
    days since 2000: it is written when something newer came, else once a day, as NVS wears. Raises OtaError: replayed,
    expired."""
    moment, epoch, heard = now(), dates.EPOCH, kept.state["heard"]
    newest = [
        binascii.crc32(channel.encode()),
        payload["sequence"],
        (dates.parse(payload["published"]) or epoch) - epoch,
    ]
    known = heard[:3] if heard and heard[0] == newest[0] else []  # another channel is no alarm
    require(newest >= known, "replayed", newest[1])
    expires = payload.get("expires")
    if expires:
        require(moment < (dates.parse(expires) or moment), "expired", expires)  # so is one that cannot be read
    kept.note("heard", newest + [(moment - epoch) // _DAY_S])
