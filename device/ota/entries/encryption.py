"""The entry `encryption` of the configuration, for a board that has a device key."""

_TABLE = {"key": ((str,), 1, 128, "/etc/ota/device.json"), "required": ((bool,), 0, 1, True)}


def check(raw, fill) -> dict:
    """`raw` with its defaults, by config.py's `fill`. Raises OtaError config-invalid."""
    return fill(raw, _TABLE, "encryption.")
