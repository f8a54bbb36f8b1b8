"""The entry `client` of the configuration, for a board that has it: where its own certificate and key lie."""

_PATH = ((str,), 1, 128)
_TABLE = {"cert": _PATH + ("/etc/ota/client.der",), "key": _PATH + ("/etc/ota/client.key",)}


def check(raw, fill) -> dict:
    """`raw` with its defaults, by config.py's `fill`. Raises OtaError config-invalid."""
    return fill(raw, _TABLE, "client.")
