"""What another try may cure, and how long to wait before it."""

import random

from micropython import const

from .. import steps
from ..errors import OtaError

_PASSING = (
    "dns connect stalled dropped tls bad-range wifi-not-found wifi-failed ethernet-failed client-refused"
).split()  # one text takes less of a board
_LONGEST_S = const(60)


def passing(e: OtaError) -> bool:
    """Whether another try, a little later, may cure it."""
    if e.code == "http-status":
        return e.detail in ("408", "429") or e.detail[:1] == "5"
    return e.code in _PASSING and e.detail != "ca"


def patiently(tries: int, attempt, reached):
    """The steps of generator function `attempt` until it ends well, and waits of 1 s to 60 s, jittered by half so that a
    classroom does not come back at once; no less than a server asks for, up to a minute. `reached()`: how far it got, in
    bytes; only a new highest resets the count of tries. Returns what the attempt returns. Raises its last OtaError."""
    failed, best = 0, reached()
    while True:
        try:
            return (yield from attempt())
        except OtaError as e:
            if reached() > best:
                failed, best = 0, reached()
            failed += 1
            if not passing(e) or failed >= tries or e.wait_s > _LONGEST_S:
                raise
            longest = max(min(500 << failed, _LONGEST_S * 1000), 2000 * e.wait_s)
        yield steps.wait("retry", longest // 2 + random.getrandbits(16) % (longest // 2))
