"""What the program's `network`, `socket` and `tls` ask the supervisor, by name (see Soc.call)."""

from typing import Any

from vboard.link.gateway import EHOSTUNREACH, Gateway
from vboard.link.links import Links


class NetworkCalls:
    """From one reset to the next."""

    def __init__(self, links: Links, gateway: Gateway) -> None:
        self._links, self._gateway = links, gateway
        self._hostname = "mpy-esp32"

    def call_wlan(self, interface: int, verb: str, *args: Any) -> Any:
        return self._links.station.call(interface, verb, *args)

    def call_lan(self, verb: str, *args: Any) -> Any:
        return self._links.lan.call(verb, *args)

    def call_dns_server(self, address: str | None) -> str:
        if address is not None:
            self._links.dns_server = address
        return self._links.dns_server

    def call_hostname(self, name: str | None) -> str | None:
        if name is None:
            return self._hostname
        self._hostname = name
        return None

    def call_resolve(self, name: str) -> tuple[int, str | None]:
        """Milliseconds that getaddrinfo() takes, and what it finds."""
        seconds, address = self._links.look_up(name)
        return int(seconds * 1000), address

    def call_connect(self, address: str, port: int, timeout: float | None) -> tuple[int, str]:
        self._need_route()
        return self._gateway.port, self._gateway.ticket(address, port, timeout)

    def call_datagrams(self) -> int:
        self._need_route()
        return self._gateway.datagrams.port

    def _need_route(self) -> None:
        if self._links.up() is None:
            raise OSError(EHOSTUNREACH)

    def call_handshake(self) -> int:
        return int(self._links.network.handshake_s * 1000)
