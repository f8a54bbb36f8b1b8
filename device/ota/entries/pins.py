"""The entry `pins` of the configuration, for a board that has it."""

from . import digests


def check(raw, fill) -> list:
    """`raw`, SHA-256 as hex digits, in lower case. Raises OtaError config-invalid."""
    return digests(raw, "pins")
