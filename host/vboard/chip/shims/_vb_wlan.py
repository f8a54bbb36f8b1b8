"""`network`: the Wi-Fi station, which the supervisor plays (vboard/link/wlan.py)."""

from _vb_link import Missing, call, missing


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
WLAN.SEC_WPA_ENT, WLAN.PROTOCOL_DEFAULT, WLAN.PROTOCOL_LR = 16, 7, 8


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
