"""The entry `ddi` of the configuration, for a board that asks a fleet engine which release is meant for it."""

from ..errors import require

_TABLE = {
    "url": ((str,), 8, 256, None), "tenant": ((str,), 1, 64, "DEFAULT"), "id": ((str, None), 1, 128, None),
    "token": ((str, None), 1, 32, None),  # gooseBit stores no more
}  # fmt: skip


def check(raw, fill) -> dict:
    """`raw` with its defaults, by config.py's `fill`. Raises OtaError config-invalid."""
    filled = fill(raw, _TABLE, "ddi.")
    require(filled["url"].split("://")[0] in ("http", "https"), "config-invalid", "ddi.url")
    for name in ("tenant", "id", "token"):  # they go into addresses and headers as they are
        plain = all("-" <= c <= "~" and c not in "/:;<=>?@[\\]^`{|}" for c in filled[name] or "")
        require(plain, "config-invalid", "ddi." + name)
    return filled
