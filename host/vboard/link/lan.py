"""The board's Ethernet interface. Source: ports/esp32/network_lan.c."""

import time
from typing import Any

from vboard.link.network import ETHERNET_ADDRESS, GATEWAY, Network
from vboard.link.wlan import Station

INITIALIZED, STARTED, STOPPED, CONNECTED, DISCONNECTED, GOT_IP = range(6)  # what status() says
_RMII = range(9)  # the PHYs at the ESP32's own MAC
_SPI = (100, 101, 102)  # KSZ8851SNL, DM9051, W5500: chips with a MAC of their own


class Ethernet:
    """`network.LAN`. `rmii`: this chip has an Ethernet MAC (only the ESP32 does)."""

    address = ETHERNET_ADDRESS

    def __init__(self, network: Network, mac: bytes, station: Station, *, rmii: bool) -> None:
        self.network = network
        self.epoch = 0
        self._mac = mac[:5] + bytes([mac[5] + 3 & 0xFF])  # ESP_MAC_ETH: the base address and three
        self._station = station
        self._rmii = rmii
        self._made = self._on = self._plugged = False
        self._status = INITIALIZED
        self._since = 0.0
        self._got_ip_of_wifi = 0

    @property
    def connected(self) -> bool:
        """Whether it has an address. The program may be told otherwise: see `_catch_up`."""
        self._catch_up()
        return self._on and self._plugged and time.monotonic() >= self._since + self.network.join_s

    def call(self, verb: str, *args: Any) -> Any:
        """One call of the LAN object."""
        self._catch_up()
        return getattr(self, "_" + verb)(*args)

    def _catch_up(self) -> None:
        plugged = self._on and self.network.ethernet
        if plugged and not self._plugged:
            self._since, self._status = time.monotonic(), CONNECTED
        elif self._plugged and not plugged:
            self.epoch += 1
            if self._on:
                self._status = DISCONNECTED
        self._plugged = plugged
        if self._status == CONNECTED and time.monotonic() >= self._since + self.network.join_s:
            self._status = GOT_IP
        # One handler takes the events of Ethernet and of IP, which are numbered alike: number 0 is both that Ethernet has
        # started and that the station has an address.
        if self._made and self._station.connected and self._station.got_ip != self._got_ip_of_wifi:
            self._status = STARTED
        self._got_ip_of_wifi = self._station.got_ip

    def _exists(self) -> bool:
        return self._made

    def _make(self, settings: dict[str, Any]) -> None:
        if settings.get("id") not in (None, 0):
            raise ValueError("invalid LAN interface identifier")
        if not 0 <= settings["phy_addr"] <= 31:
            raise ValueError("invalid phy address")
        kind = settings["phy_type"]
        if kind not in _RMII and kind not in _SPI:
            raise ValueError("invalid phy type")
        if kind in _RMII:
            if not self._rmii:
                raise OSError("esp_eth_driver_install failed with invalid argument")
            if settings.get("mdc") is None or settings.get("mdio") is None:
                raise ValueError("mdc and mdio must be specified")
        self._made = True

    def _active(self, on: bool | None) -> bool:
        if on is not None and on != self._on:
            self._on = on
            self._status = STARTED if on else STOPPED
            self._catch_up()
        return self._on

    def _isconnected(self) -> bool:
        return self._on and self._status == GOT_IP

    def _state(self) -> int:
        return self._status

    def _address(self) -> list[int]:
        return list(self._mac)

    def _set_address(self, mac: list[int]) -> None:
        if len(mac) != 6:
            raise ValueError("invalid buffer length")
        if mac[0] & 1:
            raise OSError("failed setting MAC address")
        self._mac = bytes(mac)

    def _ifconfig(self) -> list[str]:
        return [self.address, "255.255.255.0", GATEWAY, GATEWAY] if self.connected else ["0.0.0.0"] * 4
