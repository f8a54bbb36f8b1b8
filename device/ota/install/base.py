"""Which file that a release names is shorter than its image: the delta from the image that runs, or the image compressed. Let
go once that is known."""

from ..errors import fits, require
from ..net import url

_COMPRESSED = {
    "url": ((str,), 1, 512), "size": ((int,), 1, 0x1000000), "chain": ((str,), 32, 32),
    "room": ((int,), 1, 4128),  # bytes of its largest record
}  # fmt: skip
# of the image that it is made from: SHA-256, bytes
_DELTA = dict(_COMPRESSED, base=((str,), 64, 64), base_size=((int,), 1, 0x1000000))


def source(config: dict, target: dict, known: "str | None", runs, slot):
    """Steps that return what makes a source of the target's image by the delta whose base runs, in `slot`, else by the
    compressed image; None where the configuration, or the release, has neither. `known`, `runs`: as nearest() has them.
    Raises OtaError bad-release."""
    found, address = None, config["url"]
    if config["deltas"]:
        found = yield from nearest(target.get("deltas") or [], known, runs, address)
    if not found and config["compressed"] and "compressed" in target:
        whole = target["compressed"]
        _check(whole, _COMPRESSED)
        found = dict(whole, base_size=0, url=url.join(address, whole["url"]))
    if found:
        from .delta import by_delta

        return by_delta(found, slot)
    return None


def nearest(deltas, known: "str | None", runs, address: str):
    """Steps that return the entry, with its whole address, whose base runs; None where there is none. `known`: the hash of
    the image that runs, where the record has it, which is not looked at again: what damage has done to it since shows in
    the image that is made of it. `runs(size, sha256)`: steps that return whether it is that very image; `address`: the
    channel's. Raises OtaError bad-release."""
    require(isinstance(deltas, list), "bad-release", "deltas")
    for one in deltas:
        _check(one, _DELTA)
        if known == one["base"] or (not known and (yield from runs(one["base_size"], one["base"]))):
            return dict(one, url=url.join(address, one["url"]))
    return None


def _check(one, table: dict) -> None:
    for name, (kinds, least, most) in table.items():
        require(isinstance(one, dict) and fits(one.get(name), kinds, least, most), "bad-release", "deltas")
