"""`network`, `socket`, `tls`, `select` and `ntptime`: the board's own network, which the supervisor plays.

Sockets are real: they go to the supervisor's gateway (vboard/gateway.py), which stands for the Wi-Fi link, names and
routes. TLS is the real mbedTLS of the unix port; only the dates of the server's certificate are held against the
board's clock by the supervisor, because mbedTLS here would take the host's.
"""

import select as _select
import socket as _socket
import tls as _tls

from _vb_link import Missing, call, missing
from _vb_system import errno, esp_errno, time


class WLAN:
    IF_STA = 0
    IF_AP = 1
    PM_NONE = 0
    PM_PERFORMANCE = 1
    PM_POWERSAVE = 2

    def __init__(self, interface=0):
        if interface not in (0, 1):
            raise ValueError("invalid WLAN interface identifier")
        self.__if = interface

    def active(self, on=None):
        if on is None:
            return call("wlan", self.__if, "active")
        return call("wlan", self.__if, "activate", bool(on))

    def connect(self, ssid=None, key=None, *, bssid=None):
        call("wlan", self.__if, "connect", ssid, key)

    def disconnect(self):
        call("wlan", self.__if, "disconnect")

    def isconnected(self):
        return call("wlan", self.__if, "isconnected")

    def status(self, what=None):
        return call("wlan", self.__if, "status", what)

    def scan(self):
        return [
            (ssid.encode(), b"\x02\x00\x00\x00\x00\x01", 1, -40, 3, False) for ssid in call("wlan", self.__if, "scan")
        ]

    def config(self, *args, **kw):
        if args:
            value = call("wlan", self.__if, "config", args[0])
            return bytes(value) if args[0] == "mac" else value
        for name, value in kw.items():
            call("wlan", self.__if, "configure", name, value)

    def ifconfig(self, *args):
        return tuple(call("wlan", self.__if, "ifconfig"))

    def ipconfig(self, *args, **kw):
        address, mask, gateway, dns = self.ifconfig()
        return {"addr4": (address, mask), "gw4": gateway, "dns": dns}.get(args[0]) if args else None


for _i, _name in enumerate("OPEN WEP WPA WPA2 WPA_WPA2 WPA2_ENT WPA3 WPA2_WPA3 WAPI OWE".split()):
    setattr(WLAN, "SEC_" + _name, _i)
for _i, _name in enumerate("WPA3_ENT_192 WPA3_EXT_PSK WPA3_EXT_PSK_MIXED_MODE DPP WPA3_ENT WPA2_WPA3_ENT".split()):
    setattr(WLAN, "SEC_" + _name, 10 + _i)


class network:
    WLAN = WLAN
    STA_IF = 0
    AP_IF = 1
    LAN = Missing
    PPP = Missing
    STAT_IDLE = 1000
    STAT_CONNECTING = 1001
    STAT_GOT_IP = 1010
    STAT_BEACON_TIMEOUT = 200
    STAT_NO_AP_FOUND = 201
    STAT_WRONG_PASSWORD = 202
    STAT_ASSOC_FAIL = 203
    STAT_CONNECT_FAIL = 203
    STAT_HANDSHAKE_TIMEOUT = 204
    STAT_NO_AP_FOUND_W_COMPATIBLE_SECURITY = 210
    STAT_NO_AP_FOUND_IN_AUTHMODE_THRESHOLD = 211
    STAT_NO_AP_FOUND_IN_RSSI_THRESHOLD = 212

    @staticmethod
    def hostname(name=None):
        return call("hostname", name)

    @staticmethod
    def country(code=None):
        return "XX" if code is None else None

    phy_mode = missing
    ipconfig = missing


for _i, _name in enumerate(
    "OPEN WEP WPA_PSK WPA2_PSK WPA_WPA2_PSK WPA2_ENTERPRISE WPA3_PSK WPA2_WPA3_PSK WAPI_PSK OWE"
    " WPA3_ENT_192 WPA3_EXT_PSK WPA3_EXT_PSK_MIXED_MODE MAX".split()
):
    setattr(network, "AUTH_" + _name, _i)
for _i, _name in enumerate("INITIALIZED STARTED STOPPED CONNECTED DISCONNECTED GOT_IP".split()):
    setattr(network, "ETH_" + _name, _i)
for _i, _name in enumerate(
    "LAN8710 LAN8720 IP101 RTL8201 DP83848 KSZ8041 KSZ8081 GENERIC LAN8670 KSZ8851SNL DM9051 W5500".split()
):
    setattr(network, "PHY_" + _name, _i)
network.MODE_11B, network.MODE_11G, network.MODE_11N, network.MODE_LR = 1, 2, 4, 8


class _Stream:
    """Calls into a real stream; its errors come out with the esp32 port's numbers."""

    def __init__(self, stream):
        self.__stream = stream

    def __do(self, method, *args):
        try:
            return getattr(self.__stream, method)(*args)
        except OSError as e:
            raise esp_errno(e)

    def readinto(self, buf, n=-1):
        try:
            return self.__stream.readinto(buf) if n < 0 else self.__stream.readinto(buf, n)
        except OSError as e:
            raise esp_errno(e)

    def read(self, *args):
        return self.__do("read", *args)

    def readline(self, *args):
        return self.__do("readline", *args)

    def write(self, *args):
        return self.__do("write", *args)

    def setblocking(self, on):
        self.__do("setblocking", on)

    def close(self):
        self.__do("close")


class Socket(_Stream):
    def __init__(self, family=2, type=1, proto=0):
        if type != 1:
            raise OSError(errno.EOPNOTSUPP)  # no UDP on the virtual board
        self.__timeout = None
        super().__init__(_socket.socket(2, 1))

    def settimeout(self, seconds):
        self.__timeout = seconds
        self.__stream.settimeout(seconds)

    def connect(self, address):
        """Through the gateway: it opens the real connection, or answers with the error that lwIP would give."""
        ticket = call("connect", address[0], address[1], self.__timeout)
        self.__do("connect", _socket.getaddrinfo("127.0.0.1", ticket[0])[0][-1])
        self.__ticket = ticket[1]
        self.__do("write", bytes(ticket[1], "ascii"))
        answer = self.__do("read", 1)
        if not answer or answer[0]:
            raise OSError(answer[0] if answer else errno.ECONNRESET)

    def bind(self, address):
        self.__do("bind", _socket.getaddrinfo(address[0] or "0.0.0.0", address[1])[0][-1])

    def listen(self, backlog=2):
        self.__do("listen", backlog)

    def accept(self):
        connection, _ = self.__do("accept")
        made = Socket.__new__(Socket)
        _Stream.__init__(made, connection)
        return made, ("127.0.0.1", 0)

    def send(self, data):
        return self.__do("send", data)

    def sendall(self, data):
        return self.__do("sendall", data)

    def recv(self, n):
        return self.__do("recv", n)

    def setsockopt(self, *args):
        pass

    def fileno(self):
        return self.__stream.fileno()

    def makefile(self, *args):
        return self

    recvfrom = missing
    sendto = missing


class socket:
    socket = Socket
    AF_INET = 2
    SOCK_STREAM = 1
    SOCK_DGRAM = 2
    SOL_SOCKET = 0xFFF
    SO_REUSEADDR = 4
    IPPROTO_TCP = 6

    @staticmethod
    def getaddrinfo(host, port, *args):
        return [(2, 1, 0, "", (call("resolve", host), port))]


class _Secure(_Stream):
    def getpeercert(self, binary):
        missing()

    def cipher(self):
        return self.__stream.cipher()


class SSLContext:
    def __init__(self, protocol):
        self.__real = _tls.SSLContext(protocol)
        self.verify_mode = self.__real.verify_mode

    def load_verify_locations(self, cadata):
        self.__real.load_verify_locations(cadata)

    def load_cert_chain(self, cert, key):
        self.__real.load_cert_chain(cert, key)

    def set_ciphers(self, names):
        self.__real.set_ciphers(names)

    def get_ciphers(self):
        return self.__real.get_ciphers()

    def wrap_socket(self, sock, *, server_side=False, do_handshake_on_connect=True, server_hostname=None):
        self.__real.verify_mode = self.verify_mode
        try:
            stream = self.__real.wrap_socket(
                sock.__stream,
                server_side=server_side,
                do_handshake_on_connect=do_handshake_on_connect,
                server_hostname=server_hostname,
            )
        except OSError as e:
            raise esp_errno(e)
        if not server_side and self.verify_mode == _tls.CERT_REQUIRED:
            call("certificate_dates", sock.__ticket)
        return _Secure(stream)


class tls:
    SSLContext = SSLContext
    CERT_NONE = 0
    CERT_OPTIONAL = 1
    CERT_REQUIRED = 2
    PROTOCOL_TLS_CLIENT = 0
    PROTOCOL_TLS_SERVER = 1
    PROTOCOL_DTLS_CLIENT = 2
    PROTOCOL_DTLS_SERVER = 3
    MBEDTLS_VERSION = _tls.MBEDTLS_VERSION


class _Poll:
    """poll() on the real streams behind the board's, which returns to the VM often enough for timer callbacks."""

    def __init__(self):
        self.__poll = _select.poll()
        self.__objects = {}  # id of the real stream -> what the program registered

    def register(self, stream, events=5):
        real = getattr(stream, "__stream", stream)
        self.__objects[id(real)] = stream
        self.__poll.register(real, events)

    def modify(self, stream, events):
        self.__poll.modify(getattr(stream, "__stream", stream), events)

    def unregister(self, stream):
        real = getattr(stream, "__stream", stream)
        self.__objects.pop(id(real), None)
        self.__poll.unregister(real)

    def poll(self, timeout=-1):
        start = time.ticks_ms()
        while True:
            ready = self.__poll.poll(5 if timeout < 0 or timeout > 5 else timeout)
            if ready or 0 <= timeout <= time.ticks_diff(time.ticks_ms(), start):
                return [(self.__objects[id(entry[0])], entry[1]) for entry in ready]

    def ipoll(self, timeout=-1, flags=0):
        return iter(self.poll(timeout))


class select:
    POLLIN = _select.POLLIN
    POLLOUT = _select.POLLOUT
    POLLERR = _select.POLLERR
    POLLHUP = _select.POLLHUP
    poll = _Poll


class ntptime:
    host = "pool.ntp.org"
    timeout = 1

    @staticmethod
    def time():
        return call("ntp", ntptime.host)

    @staticmethod
    def settime():
        call("rtc_set", ntptime.time())
        time.reload()
