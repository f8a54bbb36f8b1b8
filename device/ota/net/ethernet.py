"""Ethernet: the chip's own MAC with a PHY beside it (ESP32 only), or a chip on SPI such as the W5500."""

import time

import machine
import network

from .. import steps
from ..errors import OtaError, require

_POLL_MS = 100
_lan = None  # one for the life of the program: the driver is installed once


def join(settings: dict, hostname: "str | None", timeout_ms: int):
    """Steps until the interface has an address. Raises OtaError ethernet-config, ethernet-failed."""
    global _lan
    try:
        if hostname:
            network.hostname(hostname)
    except ValueError:  # as in wifi.py
        pass
    if _lan is None:
        _lan = _make(settings)
    try:
        if not _lan.active():
            _lan.active(True)
        began = time.ticks_ms()
        while not _lan.isconnected() or _lan.ifconfig()[0] == "0.0.0.0":
            waited = time.ticks_diff(time.ticks_ms(), began)
            require(waited < timeout_ms, "ethernet-failed", _lan.status())
            yield steps.wait("network", _POLL_MS)
    except OSError as e:
        raise OtaError("ethernet-failed", e.args[0])


def _make(settings: dict):
    try:
        return network.LAN(**_options(settings))
    except (AttributeError, ValueError, TypeError, OSError) as e:
        raise OtaError("ethernet-config", str(e)[:40])


def _options(settings: dict) -> dict:
    pins = {key: machine.Pin(settings[key]) for key in ("mdc", "mdio", "ref_clk", "cs", "int", "power", "reset")
            if settings[key] is not None}  # fmt: skip
    options: dict = dict(pins, phy_addr=settings["phy_addr"])
    options["phy_type"] = getattr(network, "PHY_" + settings["phy"])
    if settings["ref_clk_mode"]:
        options["ref_clk_mode"] = machine.Pin.IN if settings["ref_clk_mode"] == "in" else machine.Pin.OUT
    if settings["spi"] is not None:
        bus = {key: machine.Pin(settings[key]) for key in ("sck", "mosi", "miso")}
        options["spi"] = machine.SPI(settings["spi"], **bus)
    return options
