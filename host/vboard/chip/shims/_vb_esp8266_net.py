"""`network` and `tls` as the esp8266 port has them.

Source: MicroPython ports/esp8266/network_wlan.c, extmod/modtls_axtls.c.
"""

import io
import tls as _tls

import _vb_wlan
from _vb_link import call
from _vb_system import time

_vb_wlan.WLAN.__started = True  # the SDK's driver is part of it, and takes none of Python's memory


class WLAN:
    """Of the stock board's two interfaces the station has a link here. The SDK keeps a network in flash and joins it
    again by itself after a reset; here each boot begins without one."""

    IF_STA = 0
    IF_AP = 1
    SEC_OPEN = 0
    SEC_WEP = 1
    SEC_WPA = 2
    SEC_WPA2 = 3
    SEC_WPA_WPA2 = 4
    PM_NONE = 0
    PM_PERFORMANCE = 2
    PM_POWERSAVE = 1
    __STATUS = {1000: 0, 1001: 1, 202: 2, 15: 2, 201: 3, 1010: 5}  # of what is left: 4, CONNECT_FAIL

    def __init__(self, interface=0):
        if interface not in (0, 1):
            raise ValueError()
        self.__if = interface

    def active(self, on=None):
        if on is None:
            return call("wlan", self.__if, "active")
        call("wlan", self.__if, "activate", bool(on))

    def __station(self):
        if self.__if:
            raise OSError("STA required")

    def connect(self, ssid=None, key=None, *, bssid=None):
        """Unlike the esp32 port it may be called while the station is joining."""
        self.__station()
        try:
            call("wlan", 0, "connect", ssid, key)
        except OSError as e:
            if e.args[0] != "Wifi Internal Error":
                raise OSError("Cannot connect to AP")

    def disconnect(self):
        self.__station()
        call("wlan", 0, "disconnect")

    def isconnected(self):
        return call("wlan", self.__if, "isconnected")

    def status(self, what=None):
        if self.__if or what is not None:
            return -1 if what is None else call("wlan", self.__if, "status", what)
        return WLAN.__STATUS.get(call("wlan", 0, "status", None), 4)

    def scan(self):
        self.__station()
        return _vb_wlan.WLAN(0).scan()

    def config(self, *args, **kw):
        for name in args + tuple(kw):
            if (
                name
                not in (
                    "mac ssid essid hidden security authmode key password channel hostname dhcp_hostname protocol txpower pm"
                ).split()
            ):
                raise ValueError("unknown config param")
        return _vb_wlan.WLAN(self.__if).config(*args, **kw)

    def ifconfig(self, *args):
        return _vb_wlan.WLAN(self.__if).ifconfig(*args)

    def ipconfig(self, *args, **kw):
        return _vb_wlan.WLAN(self.__if).ipconfig(*args, **kw)


class network:
    WLAN = WLAN
    STA_IF = 0
    AP_IF = 1
    STAT_IDLE = 0
    STAT_CONNECTING = 1
    STAT_WRONG_PASSWORD = 2
    STAT_NO_AP_FOUND = 3
    STAT_CONNECT_FAIL = 4
    STAT_GOT_IP = 5
    MODE_11B = 1
    MODE_11G = 2
    MODE_11N = 3


for _name in "hostname country phy_mode ipconfig".split():
    setattr(network, _name, getattr(_vb_wlan.network, _name))
for _i, _name in enumerate("OPEN WEP WPA_PSK WPA2_PSK WPA_WPA2_PSK".split()):
    setattr(network, "AUTH_" + _name, _i)


class _Wire(io.IOBase):
    """A socket as the real TLS uses it: errors come back as negative numbers."""

    def __init__(self, sock):
        self.__sock = sock

    def ioctl(self, request, flags):
        return self.__sock.ioctl(request, flags)

    def setblocking(self, on):
        self.__sock.setblocking(on)

    def readinto(self, buf):
        try:
            return self.__sock.__some(buf)
        except OSError as e:
            return -e.errno

    def write(self, data):
        try:
            return self.__sock.write(data)
        except OSError as e:
            return -e.errno


class SSLContext:
    """axTLS: it encrypts and looks at no certificate. What is stored in `verify_mode` is lost, and no CA can be loaded."""

    def __init__(self, protocol):
        self.__real = _tls.SSLContext(protocol)
        self.__real.verify_mode = 0

    @property
    def verify_mode(self):
        return 0

    @verify_mode.setter
    def verify_mode(self, mode):
        pass

    def load_cert_chain(self, cert, key):
        self.__real.load_cert_chain(cert, key)

    def wrap_socket(self, sock, *, server_side=False, do_handshake_on_connect=True, server_hostname=None):
        self.__real.set_ciphers(_RSA_ONLY)
        time.reload()
        return self.__real.wrap_socket(
            _Wire(sock),
            server_side=server_side,
            do_handshake_on_connect=do_handshake_on_connect,
            server_hostname=server_hostname,
        )


# TLS 1.2 with RSA key exchange and CBC is all that axTLS has (lib/axtls/ssl/tls1.c); many a server refuses it.
_RSA_ONLY = [name for name in _tls.SSLContext(0).get_ciphers() if name[:24] == "TLS-RSA-WITH-AES-128-CBC"]


class tls:
    SSLContext = SSLContext
    CERT_NONE = 0
    PROTOCOL_TLS_CLIENT = 0
    PROTOCOL_TLS_SERVER = 1
