"""Which of a release's deltas makes its image of the one that runs."""

import gc

from ..console import say
from ..errors import require
from ..net import url
from ..release.policy import check
from .source import HttpSource

_DELTA = {
    "base": ((str,), 64, 64), "base_size": ((int,), 1, 0x1000000),  # of the image that it is made from: SHA-256, bytes
    "url": ((str,), 1, 512), "size": ((int,), 1, 0x1000000), "chain": ((str,), 32, 32),
}  # fmt: skip


def nearest(deltas, known: "str | None", runs, address: str, slot):
    """Steps that return what makes a source of the image, as HttpSource is one, by the delta whose base is in the running
    `slot`; None where there is none. `known`: the hash of that image, where the record has it; `runs(size, sha256)`: steps
    that return whether it is that very image; `address`: the channel's. Raises OtaError bad-release."""
    require(isinstance(deltas, list), "bad-release", "deltas")
    for one in deltas:
        check(one, _DELTA)
        if known in (None, "", one["base"]):
            if (yield from runs(one["base_size"], one["base"])):
                gc.collect()
                return lambda *where: _delta(one, url.join(address, one["url"]), slot, *where)
            if known:  # what was installed is not what is there now
                say("delta", "wrong-base", known[:16])
    return None


def _delta(found: dict, address: str, slot, config: dict, image: str, size: int):
    whole = HttpSource(config, image, size)
    try:
        from .delta import Delta

        return Delta(HttpSource(config, address, found["size"]), whole, found, slot)
    except MemoryError:  # it takes 11 KB more than the whole image does
        say("delta", "no-memory")
        return whole
