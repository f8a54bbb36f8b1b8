"""Which of a release's deltas makes its image of the one that runs. Let go once that is known."""

from ..config import fits
from ..console import say
from ..errors import require
from ..net import url

_DELTA = {
    "base": ((str,), 64, 64), "base_size": ((int,), 1, 0x1000000),  # of the image that it is made from: SHA-256, bytes
    "url": ((str,), 1, 512), "size": ((int,), 1, 0x1000000), "chain": ((str,), 32, 32),
    "room": ((int,), 1, 4128),  # bytes of its largest record
}  # fmt: skip


def source(deltas, known: "str | None", runs, address: str, slot):
    """Steps that return what makes a source of the image by the delta whose base runs, in `slot`; None where there is none.
    The others as nearest() has them. Raises OtaError bad-release."""
    found = yield from nearest(deltas, known, runs, address)
    if found:
        from .delta import by_delta

        return by_delta(found, slot)
    return None


def nearest(deltas, known: "str | None", runs, address: str):
    """Steps that return the entry, with its whole address, whose base runs; None where there is none. `known`: the hash of
    the image that runs, where the record has it; `runs(size, sha256)`: steps that return whether it is that very image;
    `address`: the channel's. Raises OtaError bad-release."""
    require(isinstance(deltas, list), "bad-release", "deltas")
    for one in deltas:
        for name, (kinds, least, most) in _DELTA.items():
            require(isinstance(one, dict) and fits(one.get(name), kinds, least, most), "bad-release", "deltas")
        if known in (None, "", one["base"]):
            if (yield from runs(one["base_size"], one["base"])):
                return dict(one, url=url.join(address, one["url"]))
            if known:  # what was installed is not what is there now
                say("delta", "wrong-base", known[:16])
    return None
