"""`esp`, `machine`, `network`, `tls` and `flashbdev` as the esp8266 port has them, and what its VM is built without.

Source: MicroPython ports/esp8266 (modesp.c, modmachine.c, machine_*.c, network_wlan.c, mpconfigport.h,
modules/flashbdev.py), extmod/modtls_axtls.c.
"""

import builtins
import io
import sys
import tls as _tls

import _vb_machine
import _vb_wlan
from _vb_link import IOCTL, WRITE, Missing, call, missing, read_flash, request
from _vb_system import time

_EIO = const(5)
_SECTOR = const(4096)
_ROW = const(0)  # not looked at: addresses are of the whole flash
_MEMORY = const(492)  # bytes of RTC memory that a program has
_ABSENT = (  # of the unix port's modules
    "esp32 _thread bluetooth ubluetooth cmath ffi termios socketpool openamp openssl marshal"
).split()
# mpconfigport.h turns these off; names of str that are off with them stay here, the VM is one
_NO_BUILTIN = ("complex", "compile", "delattr", "execfile", "setattr")


_size = call("flash_size")


class esp:
    SLEEP_NONE = 0
    SLEEP_LIGHT = 1
    SLEEP_MODEM = 2

    @staticmethod
    def flash_read(address, buf):
        made = bytearray(buf) if isinstance(buf, int) else buf
        if address < 0 or address + len(made) > _size:
            raise OSError(_EIO)
        read_flash(address, made)
        return bytes(made) if isinstance(buf, int) else None

    @staticmethod
    def flash_write(address, buf):
        if len(buf) & 3:
            raise ValueError("len must be multiple of 4")
        request(WRITE, 0, _ROW, address, 0, b"", buf, None)

    @staticmethod
    def flash_erase(sector):
        request(IOCTL, 6, _ROW, sector * _SECTOR, _SECTOR, b"", b"", None)

    @staticmethod
    def flash_size():
        return call("flash_size")

    @staticmethod
    def flash_user_start():
        return call("user_start")

    @staticmethod
    def osdebug(level):
        pass

    @staticmethod
    def sleep_type(kind=None):
        return 2 if kind is None else None


for _name in (
    "apa102_write check_fw deepsleep esf_free_bufs flash_id free freemem malloc meminfo set_native_code_location"
).split():
    setattr(esp, _name, missing)


class FlashBdev:
    """Blocks of the flash behind the firmware, written in Python on the chip too."""

    SEC_SIZE = 4096

    def __init__(self, start_sec, blocks):
        self.start_sec = start_sec
        self.blocks = blocks

    def readblocks(self, n, buf, off=0):
        esp.flash_read((n + self.start_sec) * _SECTOR + off, buf)

    def writeblocks(self, n, buf, off=None):
        if off is None:
            esp.flash_erase(n + self.start_sec)
            off = 0
        esp.flash_write((n + self.start_sec) * _SECTOR + off, buf)

    def ioctl(self, op, arg):
        if op == 4:
            return self.blocks
        if op == 5:
            return _SECTOR
        if op == 6:
            esp.flash_erase(arg + self.start_sec)
            return 0


class flashbdev:
    FlashBdev = FlashBdev
    size = esp.flash_size()
    start_sec = esp.flash_user_start() // _SECTOR
    if start_sec < 256:
        start_sec += 1  # for native code
    bdev = FlashBdev(start_sec, (size - 20480) // _SECTOR - start_sec)


class Pin(_vb_machine.Pin):
    """Modes have other numbers than on an ESP32, and there is no PULL_DOWN."""

    IN = 0
    OUT = 1
    OPEN_DRAIN = 2
    PULL_UP = 1
    IRQ_RISING = 1
    IRQ_FALLING = 2

    def init(self, mode=-1, pull=-1, *, value=None):
        super().init(1 if mode == 0 else mode, 2 if pull == 1 else -1, value=value)


class WDT:
    """The SDK's watchdog: its time is fixed, 1.6 to 3.2 s, and nothing but a reset ends it."""

    def __init__(self, id=0, timeout=5000):
        if id != 0 or timeout != 5000:
            raise ValueError()
        call("wdt", timeout)

    def feed(self):
        _vb_machine.WDT.feed(self)


class RTC(_vb_machine.RTC):
    ALARM0 = 0
    alarm = alarm_left = irq = missing

    def init(self, when):
        missing()

    def memory(self, data=None):
        if data is not None and len(data) > _MEMORY:
            raise ValueError("buffer too long")
        return super().memory(data)


class Timer(_vb_machine.Timer):
    """Of the SDK: any number, each object a timer of its own. Its constructor takes nothing else."""

    def __new__(cls, id):
        return super().__new__(cls, id)

    def __init__(self, id):
        pass


class machine:
    Pin = Pin
    WDT = WDT
    RTC = RTC
    Timer = Timer
    PWRON_RESET = 0
    WDT_RESET = 1
    SOFT_RESET = 4
    DEEPSLEEP_RESET = 5
    HARD_RESET = 6
    DEEPSLEEP = 4

    @staticmethod
    def unique_id():
        mac = call("unique_id")
        return bytes((mac[5], mac[4], mac[3], 0))

    @staticmethod
    def freq(hz=None):
        if hz is None:
            return 80000000
        if hz // 1000000 not in (80, 160):
            raise ValueError("frequency can only be either 80Mhz or 160MHz")


for _name in "reset soft_reset reset_cause deepsleep lightsleep sleep idle disable_irq enable_irq".split():
    setattr(machine, _name, getattr(_vb_machine.machine, _name))
for _name in "ADC I2C PWM SPI Signal SoftI2C SoftSPI UART".split():
    setattr(machine, _name, Missing)
for _name in "bitstream dht_readinto time_pulse_us mem8 mem16 mem32".split():
    setattr(machine, _name, missing)


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


def _pow(x, y, z=None):
    if z is not None:
        raise NotImplementedError("3-arg pow() not supported")
    return x**y


def _not_there(name):
    def gone(*args, **kw):
        raise NameError("name '%s' isn't defined" % name)

    return gone


def limit_vm():
    """Take away what the port's VM is built without (mpconfigport.h), last of all: the shims use some of it."""
    import binascii
    import hashlib
    import random

    for module, names in ((binascii, ("crc32",)), (hashlib, ("md5",)), (random, _RANDOM)):
        kept = type(module.__name__, (), {})
        for name in dir(module):
            if name not in names and name[:2] != "__":
                setattr(kept, name, getattr(module, name))
        sys.modules[module.__name__] = kept
    builtins.pow = _pow
    change = setattr
    for name in _NO_BUILTIN:
        change(builtins, name, _not_there(name))


_RANDOM = ("randrange", "randint", "choice", "random", "uniform")


def is_absent(name):
    return name in _ABSENT
