"""The entry `image_signature` of the configuration, for a board that has it."""

from . import digests

_TABLE = {
    "keys": ((list,), 1, 8, None), "required": ((bool,), 0, 1, True),
    "verify": (("board", "publish"), 0, 0, "board"),
}  # fmt: skip


def check(raw, fill) -> dict:
    """`raw` with its defaults, by config.py's `fill`; its keys in lower case. Raises OtaError config-invalid."""
    filled = fill(raw, _TABLE, "image_signature.")
    return dict(filled, keys=digests(filled["keys"], "image_signature.keys"))
