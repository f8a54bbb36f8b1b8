"""The entry `encryption` of the configuration, for a board that has a device key."""


def check(raw, fill) -> dict:
    """`raw` with its defaults, by config.py's `fill`. Raises OtaError config-invalid."""
    table = {"key": ((str,), 1, 128, "/etc/ota/device.json"), "required": ((bool,), 0, 1, True)}
    return fill(raw, table, "encryption.")
