"""A file over plain HTTP, in as little memory as that takes: one connection, a body of known length. Source: RFC 9112."""

import socket

import network

from .. import steps
from ..errors import OtaError, require


def _join(config: dict):
    wlan, wifi = network.WLAN(network.STA_IF), config["wifi"]
    if not wifi or wlan.isconnected():
        return
    wifi = wifi if isinstance(wifi, dict) else wifi[0]
    wlan.active(True)
    wlan.connect(wifi["ssid"], wifi.get("password"))
    left = config["join_timeout_s"] * 10
    while not wlan.isconnected():
        left -= 1
        require(left > 0, "wifi-failed", wlan.status())
        yield steps.wait("network", 100)


def fetch(config: dict, url: str, said: bytes = b""):
    """Steps that return the Response. `said`: more lines of the request. Raises OtaError: wifi-failed, bad-url, dns, connect,
    http-status, bad-response, stalled."""
    yield from _join(config)
    scheme, _, rest = url.split("/", 2)
    host, path = rest.split("/", 1)
    name, port = (host + ":80").split(":")[:2]
    require(scheme == "http:" and port.isdigit(), "bad-url", url)
    try:
        address = socket.getaddrinfo(name, int(port))[0][-1]
    except OSError:
        raise OtaError("dns", name)
    sock = socket.socket()
    try:
        sock.settimeout(config["read_timeout_s"])
        sock.connect(address)
        sock.write(b"GET /%s HTTP/1.0\r\nHost: %s\r\n%s\r\n" % (path.encode(), host.encode(), said))
        return Response(sock)
    except OSError as e:
        sock.close()
        raise OtaError("connect", e.args[0])
    except BaseException:
        sock.close()
        raise


class Response:
    """As net/response.Response, for an update."""

    def __init__(self, sock) -> None:
        self._sock, self._left = sock, -1
        status = sock.readline().split(b" ")
        require(len(status) > 1 and status[0][:5] == b"HTTP/", "bad-response", "not HTTP")
        require(status[1] == b"200", "http-status", str(status[1], "utf-8"))
        while True:
            parts = _line(sock).split(b":", 1)
            if parts[0].lower() == b"content-length":
                self._left = int(parts[1])
            if not parts[0].strip():
                break
        require(self._left >= 0, "bad-response", "content-length")

    @property
    def ended(self) -> bool:
        return self._left <= 0

    def fill(self, buf, have: int, want: int) -> int:
        """Into buf[have:want], as much as has come; how much there is now."""
        try:
            n = self._sock.readinto(buf[have : min(want, have + self._left)])
        except OSError:
            raise OtaError("stalled", "body")
        require(n, "dropped", "body")
        self._left -= n
        return have + n

    def read(self, most: int):
        """Steps that return the body, of `most` bytes at most."""
        require(self._left <= most, "envelope-too-big", self._left)
        raw = bytearray(self._left)
        have, view = 0, memoryview(raw)
        while have < len(raw):
            have = self.fill(view, have, len(raw))
            yield steps.wait("server", 0)
        self.close()
        return raw

    def close(self) -> None:
        self._sock.close()


def _line(sock) -> bytes:
    line = sock.readline()
    require(line and len(line) < 512, "bad-response", "headers")
    return line
