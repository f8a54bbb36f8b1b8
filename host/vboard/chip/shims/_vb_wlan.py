"""`network`: Wi-Fi station and Ethernet, which the supervisor plays (vboard/link/wlan.py, lan.py)."""

from _vb_link import Missing, call, program_holds


def _ipconfig(known, args, kw):
    if not kw:
        if len(args) != 1:
            raise TypeError("must query one param")
        if args[0] == "dhcp4":
            return True
        if args[0] == "addr4":
            return known[:2]
        if args[0] == "gw4":
            return known[2]
        raise ValueError("unexpected key")
    if args:
        raise TypeError("can't specify pos and kw args")
    for name in kw:  # taken, and without effect: the virtual board's addresses are given
        if name not in ("dhcp4", "addr4", "gw4"):
            raise ValueError("unexpected key")


class WLAN:
    __started = False
    IF_STA = 0
    IF_AP = 1
    PM_NONE = 0
    PM_PERFORMANCE = 1
    PM_POWERSAVE = 2

    def __init__(self, interface=0):
        if not WLAN.__started:
            call("start_wifi", program_holds())
            WLAN.__started = True
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
        return _ipconfig(self.ifconfig(), args, kw)


class _Lan:
    def active(self, on=None):
        return call("lan", "active", None if on is None else bool(on))

    def isconnected(self):
        return call("lan", "isconnected")

    def status(self):
        return call("lan", "state")

    def config(self, *args, **kw):
        if args and kw:
            raise TypeError("either pos or kw args are allowed")
        if kw:
            if "mac" in kw:
                call("lan", "set_address", list(kw["mac"]))
            return
        if len(args) != 1:
            raise TypeError("can query only one param")
        if args[0] == "mac":
            return bytes(call("lan", "address"))
        if args[0] == "ifname":
            return "en1"
        raise ValueError("unknown config param")

    def ifconfig(self, *args):
        return None if args else tuple(call("lan", "ifconfig"))

    def ipconfig(self, *args, **kw):
        return _ipconfig(self.ifconfig(), args, kw)


_lan = _Lan()
_LAN_SETTINGS = ("mdc", "mdio", "reset", "power", "phy_addr", "phy_type", "spi", "cs", "int", "ref_clk_mode", "ref_clk")


def LAN(id=None, **kw):
    """There is one interface: once it is made, arguments are not looked at."""
    if call("lan", "exists"):
        return _lan
    for name in kw:
        if name not in _LAN_SETTINGS:
            raise TypeError("extra keyword arguments given")
    for name in ("phy_addr", "phy_type"):
        if name not in kw:
            raise TypeError("'%s' argument required" % name)
    pins = {name: None if kw[name] is None else 1 for name in kw if name[:3] != "phy"}
    call("lan", "make", dict(pins, id=id, phy_addr=kw["phy_addr"], phy_type=kw["phy_type"]))
    return _lan


for _i, _name in enumerate("OPEN WEP WPA WPA2 WPA_WPA2 WPA2_ENT WPA3 WPA2_WPA3 WAPI OWE".split()):
    setattr(WLAN, "SEC_" + _name, _i)
for _i, _name in enumerate("WPA3_ENT_192 WPA3_EXT_PSK WPA3_EXT_PSK_MIXED_MODE DPP WPA3_ENT WPA2_WPA3_ENT".split()):
    setattr(WLAN, "SEC_" + _name, 10 + _i)
WLAN.SEC_WPA_ENT, WLAN.PROTOCOL_DEFAULT, WLAN.PROTOCOL_LR = 16, 7, 8


class network:
    WLAN = WLAN
    STA_IF = 0
    AP_IF = 1
    LAN = LAN
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
        if name is not None and len(name.encode()) > 32:
            raise ValueError()
        return call("hostname", name)

    @staticmethod
    def country(code=None):
        return "XX" if code is None else None

    @staticmethod
    def phy_mode(mode=None):
        pass  # does nothing on the chip either

    @staticmethod
    def ipconfig(*args, **kw):
        if kw and args:
            raise TypeError("can't specify pos and kw args")
        if (kw and list(kw) != ["dns"]) or (args and args[0] != "dns"):
            raise ValueError("unexpected key")
        if not kw and len(args) != 1:
            raise TypeError("must query one param")
        server = call("dns_server", kw.get("dns"))
        return None if kw else server


for _i, _name in enumerate(
    "OPEN WEP WPA_PSK WPA2_PSK WPA_WPA2_PSK WPA2_ENTERPRISE WPA3_PSK WPA2_WPA3_PSK WAPI_PSK OWE"
    " WPA3_ENT_192 WPA3_EXT_PSK WPA3_EXT_PSK_MIXED_MODE MAX".split()
):
    setattr(network, "AUTH_" + _name, _i)
for _i, _name in enumerate("INITIALIZED STARTED STOPPED CONNECTED DISCONNECTED GOT_IP".split()):
    setattr(network, "ETH_" + _name, _i)
for _i, _name in enumerate("LAN8710 LAN8720 IP101 RTL8201 DP83848 KSZ8041 KSZ8081 LAN8670 GENERIC".split()):
    setattr(network, "PHY_" + _name, _i)
for _i, _name in enumerate("KSZ8851SNL DM9051 W5500".split()):
    setattr(network, "PHY_" + _name, 100 + _i)
network.MODE_11B, network.MODE_11G, network.MODE_11N, network.MODE_LR = 1, 2, 4, 8
