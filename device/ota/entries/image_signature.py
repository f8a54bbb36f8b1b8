"""The entry `image_signature` of the configuration, for a board that has it."""

from ..errors import require

_TABLE = {
    "keys": ((list,), 1, 8, None), "required": ((bool,), 0, 1, True),
    "verify": (("board", "publish"), 0, 0, "board"),
}  # fmt: skip


def check(raw, fill) -> dict:
    """`raw` with its defaults, by config.py's `fill`; its keys in lower case. Raises OtaError config-invalid."""
    filled = fill(raw, _TABLE, "image_signature.")
    for i, digest in enumerate(filled["keys"]):
        good = isinstance(digest, str) and len(digest) == 64 and not digest.strip("0123456789abcdefABCDEF")
        require(good, "config-invalid", f"image_signature.keys[{i}]")
    return dict(filled, keys=[digest.lower() for digest in filled["keys"]])
