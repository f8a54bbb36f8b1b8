"""The virtual board's UDP: a datagram comes with the address it is for, and goes back with the one it is from.

The network's own servers answer for the router's port 53 and for any port 123; all else goes where routes say. Nobody else is on the board's own network.
"""

import socket
import threading
import time
from collections.abc import Callable

from vboard.link import services
from vboard.link.links import Links
from vboard.link.network import GATEWAY, LAN_PREFIX

_MOST = 2048
_ANSWER_S = 5.0  # how long a real server is listened to after each datagram


class Datagrams:
    """Listens on a UDP port of this machine's loopback for one board."""

    def __init__(self, links: Callable[[], Links]) -> None:
        self._links = links
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._closing = False
        threading.Thread(target=self._receive, name="vboard-datagrams", daemon=True).start()

    def close(self) -> None:
        self._closing = True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", ("127.0.0.1", self.port))

    def _receive(self) -> None:
        with self._socket:
            while not self._closing:
                try:
                    packet, board = self._socket.recvfrom(_MOST)
                except ConnectionError:
                    continue  # a board that is gone: its port answered an earlier datagram with an error
                if len(packet) >= 6:
                    threading.Thread(target=self._serve, args=(packet, board), daemon=True).start()

    def _serve(self, packet: bytes, board: tuple[str, int]) -> None:
        over = self._links().up()
        if over is None:
            return
        network, epoch = self._links().network, over.epoch
        head, data = packet[:6], packet[6:]
        where = (socket.inet_ntoa(head[:4]), int.from_bytes(head[4:]))
        if where in network.routes:
            answer = _ask(network.routes[where], data)
        elif where == (GATEWAY, services.DNS_PORT):
            time.sleep(network.dns_s)
            answer = services.dns(network, data)
        elif where[1] == services.NTP_PORT:
            answer = services.ntp(network, data)
        else:
            answer = None if where[0].startswith(LAN_PREFIX) else _ask(where, data)
        if answer is not None and over.epoch == epoch and not self._closing:
            self._socket.sendto(head + answer, board)


def _ask(where: tuple[str, int], data: bytes) -> bytes | None:
    """One datagram to a real server, and what comes back."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.settimeout(_ANSWER_S)
        try:
            server.sendto(data, where)
            return server.recv(_MOST)
        except OSError:
            return None
