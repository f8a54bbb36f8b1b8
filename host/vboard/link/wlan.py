"""The board's Wi-Fi station and the network it joins. Status numbers: facts 6.14."""

import random
import socket
import time
from dataclasses import dataclass, field
from typing import Any

IDLE, CONNECTING, GOT_IP = 1000, 1001, 1010
BEACON_TIMEOUT, NO_AP_FOUND, WRONG_PASSWORD = 200, 201, 202


@dataclass
class Network:
    """What is in the air and behind it; several boards can share one.

    `access_points`: SSID -> password ("" is open). `hosts`: names the board can resolve -> address on this machine;
    other names resolve only if they mean this machine. `routes`: (address, port) as the board sees it -> where that
    really is; others are what they are. `ntp`: whether a time server answers. `join_s`: how long
    joining takes. `bytes_per_s`: the speed of the link, None as fast as it goes.
    """

    access_points: dict[str, str] = field(default_factory=lambda: {"virtual": "password"})
    hosts: dict[str, str] = field(default_factory=dict)
    routes: dict[tuple[str, int], tuple[str, int]] = field(default_factory=dict)
    ntp: bool = True
    join_s: float = 0.05
    bytes_per_s: int | None = None

    def resolve(self, name: str) -> str | None:
        """The address of a host name; None where the network's DNS knows nothing of it."""
        if name in self.hosts:
            return self.hosts[name]
        if name in ("localhost", socket.gethostname()) or name.replace(".", "").isdigit():
            return "127.0.0.1" if name[0].isalpha() else name
        return None


class Station:
    """`network.WLAN(STA_IF)`. Its state is worked out from what was asked and what is in the air, when asked."""

    def __init__(self, network: Network, mac: bytes, *, broken: bool = False) -> None:
        """`broken`: this firmware's radio never finds a network (a fault that a test image carries)."""
        self.network = network
        self.mac = mac
        self.active = False
        self.epoch = 0  # counts broken links: a connection of an older epoch is dead
        self._broken = broken
        self._asked: tuple[str, str] | None = None
        self._asked_at = 0.0
        self._settings: dict[str, Any] = {"pm": 1, "reconnects": -1, "txpower": 20, "channel": 1}

    def drop(self, for_s: float) -> None:
        """Lose the link now and find it again after `for_s` seconds."""
        self.epoch += 1
        self._asked_at = time.monotonic() + for_s

    def status(self) -> int:
        if not self.active or self._asked is None:
            return IDLE
        if time.monotonic() < self._asked_at + self.network.join_s:
            return CONNECTING
        ssid, password = self._asked
        if self._broken or ssid not in self.network.access_points:
            return NO_AP_FOUND
        if self.network.access_points[ssid] != password:
            return WRONG_PASSWORD
        return GOT_IP

    @property
    def connected(self) -> bool:
        return self.status() == GOT_IP

    def call(self, interface: int, verb: str, *args: Any) -> Any:
        """One method call of the WLAN object. Only the station has a link; the access point is there by name."""
        if interface == 1:
            return {"active": False, "isconnected": False, "ifconfig": ["0.0.0.0"] * 4}.get(verb)
        return getattr(self, "_" + verb)(*args)

    def _active(self) -> bool:
        return self.active

    def _activate(self, on: bool) -> bool:
        if not on:
            self._asked = None
            self.epoch += 1
        self.active = on
        return on

    def _connect(self, ssid: str | None, key: str | None) -> None:
        if not self.active:
            raise OSError("Wifi Invalid Mode")
        if ssid is not None:
            self._asked = (ssid, key or "")
        self._asked_at = time.monotonic()

    def _disconnect(self) -> None:
        self._asked = None
        self.epoch += 1

    def _isconnected(self) -> bool:
        return self.connected

    def _status(self, what: str | None = None) -> int:
        return -40 - random.randrange(20) if what == "rssi" else self.status()

    def _scan(self) -> list[str]:
        return [] if self._broken else list(self.network.access_points)

    def _config(self, name: str) -> Any:
        if name == "mac":
            return list(self.mac)
        if name in ("ssid", "essid"):
            return self._asked[0] if self._asked else ""
        return self._settings.get(name, 0)

    def _configure(self, name: str, value: Any) -> None:
        self._settings[name] = value

    def _ifconfig(self) -> list[str]:
        if not self.connected:
            return ["0.0.0.0"] * 4
        return ["10.0.0.2", "255.255.255.0", "10.0.0.1", "10.0.0.1"]
