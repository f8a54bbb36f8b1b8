"""The entry `ethernet` of the configuration, as config.py has its tables: for a board that has it."""

_PIN = ((int, None), 0, 64, None)
_TABLE = {
    "phy": ((str,), 1, 16, "LAN8720"), "phy_addr": ((int,), 0, 31, 0), "power": _PIN, "reset": _PIN,
    "mdc": _PIN, "mdio": _PIN, "ref_clk": _PIN, "ref_clk_mode": (("in", "out", None), 0, 0, None),
    # of a chip on SPI, as the W5500
    "spi": ((int, None), 0, 3, None), "sck": _PIN, "mosi": _PIN, "miso": _PIN, "cs": _PIN, "int": _PIN,
}  # fmt: skip


def check(raw, fill) -> dict:
    """`raw` with its defaults, by config.py's `fill`. Raises OtaError config-invalid."""
    return fill(raw, _TABLE, "ethernet.")
