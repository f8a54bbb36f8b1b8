"""The board's interfaces to the network, from one reset to the next: a soft reset leaves them as they are."""

from vboard.link.lan import Ethernet
from vboard.link.network import GATEWAY, Network, is_address
from vboard.link.wlan import Station


class Links:
    """Wi-Fi and Ethernet. Traffic goes where there is an address; Wi-Fi comes first, as in ESP-IDF's route priorities."""

    def __init__(self, network: Network, mac: bytes, *, rmii: bool = False, broken: bool = False) -> None:
        """`rmii`: the chip has an Ethernet MAC. `broken`: the radio never finds a network."""
        self.network = network
        self.station = Station(network, mac, broken=broken)
        self.lan = Ethernet(network, mac, self.station, rmii=rmii)
        self.dns_server = GATEWAY

    def up(self) -> Station | Ethernet | None:
        """The interface that traffic takes."""
        return self.station if self.station.connected else self.lan if self.lan.connected else None

    def look_up(self, name: str) -> tuple[float, str | None]:
        """What getaddrinfo() of a name comes to: seconds until it returns, and the address, if any."""
        if is_address(name):
            return 0.0, name
        if self.up() is None:
            return 0.0, None
        if self.dns_server != GATEWAY:  # the program named another, where nobody answers
            return self.network.dns_patience_s, None
        return self.network.look_up(name)
