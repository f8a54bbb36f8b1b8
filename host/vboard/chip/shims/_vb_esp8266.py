"""`esp`, `machine` and `flashbdev` as the esp8266 port has them, and what its VM is built without.

Source: MicroPython ports/esp8266 (modesp.c, modmachine.c, machine_*.c, mpconfigport.h, modules/flashbdev.py).
"""

import builtins
import os
import struct
import sys
import uctypes

import _vb_machine
from _vb_link import IOCTL, WRITE, Missing, call, missing, read_flash, request

_EIO = const(5)
_SECTOR = const(4096)
_ROW = const(0)  # not looked at: addresses are of the whole flash
_MEMORY = const(492)  # bytes of RTC memory that a program has
_ABSENT = (  # of the unix port's modules
    "esp32 _thread bluetooth ubluetooth cmath ffi termios socketpool openamp openssl marshal"
).split()
# mpconfigport.h turns these off
_NO_METHOD = ("partition", "rpartition", "center", "splitlines")  # of str, bytes, bytearray
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


def _pow(x, y, z=None):
    if z is not None:
        raise NotImplementedError("3-arg pow() not supported")
    return x**y


def _not_there(name):
    def gone(*args, **kw):
        raise NameError("name '%s' isn't defined" % name)

    return gone


def _hide(kind, names):
    """Take methods out of a built-in type's table. Source: py/obj.h, mp_obj_type_t, mp_map_t; launch.py has let it be written to."""

    def word(address):
        return struct.unpack("<Q", uctypes.bytearray_at(address, 8))[0]

    keys = [id(name) for name in dir(kind) if name in names]
    place = word(id(kind) + 24 + 8 * (uctypes.bytearray_at(id(kind) + 23, 1)[0] - 1))  # the slot of its locals_dict
    for entry in range(word(place + 24), word(place + 24) + 16 * (word(place + 8) >> 3), 16):
        if word(entry) in keys:
            uctypes.bytearray_at(entry, 8)[:] = bytes(8)  # no key


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
    if os.getenv("VBOARD_STACK_LIMIT"):  # the packaged VM
        for kind in (str, bytes, bytearray):
            _hide(kind, _NO_METHOD)
    change = setattr
    for name in _NO_BUILTIN:
        change(builtins, name, _not_there(name))


_RANDOM = ("randrange", "randint", "choice", "random", "uniform")


def is_absent(name):
    return name in _ABSENT
