"""The network that boards join: what is in the air, on the cable and behind it, and how well it serves."""

import socket
from dataclasses import dataclass, field
from typing import Literal

LAN_PREFIX = "10.0.0."
GATEWAY = "10.0.0.1"  # router and DNS server, as DHCP tells the board
TIME_SERVER = "10.0.0.123"  # pool.ntp.org
STATION_ADDRESS, ETHERNET_ADDRESS = "10.0.0.2", "10.0.0.3"
# lwIP asks a silent DNS server four times, 1, 1, 2 and 3 seconds apart (dns_check_entry(), DNS_MAX_RETRIES 4,
# DNS_TMR_INTERVAL 1 s). ESP-IDF keeps three servers (DNS_MAX_SERVERS) and asks one after the other: 21 s at most.
DNS_PATIENCE_S = 7.0


@dataclass
class Network:
    """Several boards can share one. All may be changed while they run.

    `access_points`: SSID -> password ("" is open). `join_s`: how long joining takes, and each try that fails.
    `leave_s`: how long disconnect() takes effect after it has returned. `switch_s`: how long a station stays on its
    network after a connect() to another. `wrong_password`: the reason that a wrong password gives: 202, or 15 as most
    routers. `rssi`: how well the network is heard, in dBm; None: well, now better and now worse. `ethernet`: a cable is
    plugged in.

    `hosts`: names the board can resolve -> address as the board sees it, or several; other names resolve only if
    they mean this machine, or the NTP pool. `routes`: (address, port) as the board sees it -> where that really is, for
    TCP and UDP; others are what they are. `connect_s`: how long a server takes to accept. `bytes_per_s`: the speed of
    the link, None as fast as it goes.

    `dns`: how the DNS server answers: properly, not at all, that there is no such name, or with a packet that is
    none. `dns_s`: how long it takes. `dns_patience_s`: when the board gives up: lwIP's 7 s for each server it knows.
    `ntp`: whether time servers answer (UDP port 123 of any address without a route), and `ntp_reply` with what: a whole
    packet, one of 20 bytes, or 48 bytes of anything. `ntp_off_s`: how far ahead they are of this machine.
    `handshake_s`: what a TLS handshake takes the board's processor, without a callback in between (facts 10.11).
    """

    access_points: dict[str, str] = field(default_factory=lambda: {"virtual": "password"})
    hosts: dict[str, str | list[str]] = field(default_factory=dict)
    routes: dict[tuple[str, int], tuple[str, int]] = field(default_factory=dict)
    ntp: bool = True
    join_s: float = 0.05
    connect_s: float = 0.0
    bytes_per_s: int | None = None
    leave_s: float = 0.02
    switch_s: float = 3.5
    wrong_password: int = 202
    rssi: int | None = None
    ethernet: bool = False
    dns: Literal["answers", "silent", "nxdomain", "garbage"] = "answers"
    dns_s: float = 0.0
    dns_patience_s: float = DNS_PATIENCE_S
    ntp_reply: Literal["whole", "short", "garbage"] = "whole"
    ntp_off_s: float = 0.0
    handshake_s: float = 0.0

    def addresses(self, name: str) -> list[str]:
        """All that the DNS server knows of a name."""
        if name in self.hosts:
            found = self.hosts[name]
            return [found] if isinstance(found, str) else list(found)
        if name in ("localhost", socket.gethostname()):
            return ["127.0.0.1"]
        return [TIME_SERVER] if name == "pool.ntp.org" or name.endswith(".pool.ntp.org") else []

    def look_up(self, name: str) -> tuple[float, str | None]:
        """What getaddrinfo() of a name comes to: seconds until it returns, and the address that lwIP gives."""
        if self.dns in ("silent", "garbage") or self.dns_s >= self.dns_patience_s:
            return self.dns_patience_s, None  # lwIP drops a packet that is no answer, and goes on waiting
        found = self.addresses(name) if self.dns == "answers" else []
        return self.dns_s, found[0] if found else None


def is_address(name: str) -> bool:
    return name.replace(".", "").isdigit()
