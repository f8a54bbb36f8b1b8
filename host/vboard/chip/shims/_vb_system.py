"""`time`, `errno`, `os`, `micropython` and `sys` with the esp32 port's answers in place of the unix port's."""

import errno as _errno
import micropython as _micropython
import os as _os
import struct
import sys as _sys
import time as _time
import uctypes
from collections import namedtuple

from _vb_link import call, reads_take

_EPOCH_2000 = const(946684800)
_SLICE_MS = const(5)
_TICKS = const((1 << 30) - 1)  # MICROPY_PY_TIME_TICKS_PERIOD, less one
_HALF = const(1 << 29)

_board = call("board")
_OLD = _board["implementation"][1][1] < [1, 27]  # gmtime() of what lies behind 2068 came with it (extmod/modtime.c)
reads_take(_board["read_kib_us"])


class time:
    """The clock is the board's RTC: 2000-01-01 after power-on, seconds since then. Sleeps let timers run.
    Ticks are the host's, which asyncio's C code counts in; what lies between two has no more than 30 bits, as on a chip."""

    ticks_ms = _time.ticks_ms
    ticks_us = _time.ticks_us
    ticks_cpu = _time.ticks_cpu
    sleep_us = _time.sleep_us
    __ahead = call("rtc")  # how far the board's clock is ahead of the host's, in seconds

    @staticmethod
    def ticks_diff(end, start):
        return (end - start + _HALF & _TICKS) - _HALF

    @staticmethod
    def ticks_add(ticks, delta):
        if not -_HALF < delta < _HALF:
            raise OverflowError("ticks interval overflow")
        return _time.ticks_add(ticks, delta)

    @staticmethod
    def reload():
        time.__ahead = call("rtc")
        address = _os.getenv("VBOARD_CLOCK_SLOT")  # mbedTLS asks there (vboard/chip/tlsclock.py)
        if address:
            struct.pack_into("<d", uctypes.bytearray_at(int(address), 8), 0, time.__ahead + _EPOCH_2000)

    @staticmethod
    def stand_still():
        """The chip's clock was reset and stands (micropython#19162): nothing that waits for it ends."""
        time.ticks_ms = time.ticks_us = lambda: 0
        time.sleep_ms = time.sleep_us = lambda _: time.__for_ever()

    @staticmethod
    def __for_ever():
        while True:
            _time.sleep_ms(_SLICE_MS)

    @staticmethod
    def time():
        return int(_time.time() + time.__ahead)

    @staticmethod
    def time_ns():
        return time.time() * 1000000000

    @staticmethod
    def gmtime(seconds=None):
        if seconds and _OLD and not -(1 << 31) <= seconds < 1 << 31:
            raise OverflowError("overflow converting long int to machine word")
        return _time.gmtime((time.time() if seconds is None else seconds) + _EPOCH_2000)[:8]

    localtime = gmtime

    @staticmethod
    def mktime(when):
        return _time.mktime(when[:8] + (0,)) - _EPOCH_2000

    @staticmethod
    def sleep_ms(ms):
        end = _time.ticks_add(_time.ticks_ms(), ms)
        while True:
            left = _time.ticks_diff(end, _time.ticks_ms())
            if left <= 0:
                return
            _time.sleep_ms(left if left < _SLICE_MS else _SLICE_MS)

    @staticmethod
    def sleep(seconds):
        time.sleep_ms(int(seconds * 1000))


class errno:
    """newlib's numbers (facts 6.3), by the names that the esp32 port has."""

    EPERM = 1
    ENOENT = 2
    EIO = 5
    EBADF = 9
    EAGAIN = 11
    ENOMEM = 12
    EACCES = 13
    EEXIST = 17
    ENODEV = 19
    EISDIR = 21
    EINVAL = 22
    EOPNOTSUPP = 95
    ECONNRESET = 104
    ENOBUFS = 105
    ECONNREFUSED = 111
    EADDRINUSE = 112
    ECONNABORTED = 113
    ETIMEDOUT = 116
    EHOSTUNREACH = 118
    EINPROGRESS = 119
    EALREADY = 120
    ENOTCONN = 128


_NEWLIB = {116: 110, 118: 113, 119: 115, 120: 114, 128: 107}  # what the supervisor tells, and lwIP's for it
if _board["port"] == "esp8266":  # MicroPython's own numbers (MICROPY_USE_INTERNAL_ERRNO), which are Linux's
    for _name, _number in (
        ("ECONNABORTED", 103),
        ("ETIMEDOUT", 110),
        ("EHOSTUNREACH", 113),
        ("EINPROGRESS", 115),
        ("EALREADY", 114),
        ("ENOTCONN", 107),
    ):
        setattr(errno, _name, _number)


def told_errno(number):
    """The port's number for an error that the supervisor names by newlib's."""
    return _NEWLIB.get(number, number) if _board["port"] == "esp8266" else number


errno.errorcode = {getattr(errno, name): name for name in dir(errno) if name[0] == "E" and name != "errorcode"}
_from_host = {
    getattr(_errno, name): getattr(errno, name) for name in dir(_errno) if name[0] == "E" and hasattr(errno, name)
}
_from_host[32] = _from_host[107] = errno.ENOTCONN  # EPIPE: lwIP says ENOTCONN


def esp_errno(e):
    """The OSError that the esp32 port raises where the unix port raised `e`."""
    if not e.args or not isinstance(e.args[0], int):
        return e
    return OSError(_from_host.get(e.args[0], e.args[0]), *e.args[1:])


class _Copy:
    """A module's stand-in: the names of the real one, some replaced."""

    def __init__(self, module, names):
        for name in names:
            if hasattr(module, name):
                setattr(self, name, getattr(module, name))


os = _Copy(
    _os,
    "VfsFat VfsLfs2 chdir getcwd ilistdir listdir mkdir mount remove rename rmdir stat statvfs"
    " umount unlink urandom sep".split(),
)


def _statvfs(path):
    # littlefs shows MicroPython the two blocks of a directory twice (lfs2_fs_traverse), so that more may be in use than there
    # are. The difference has 32 bits on a chip.
    found = _os.statvfs(path)
    return tuple(n - (1 << 32) if n >= 1 << 31 else n for n in found)


os.statvfs = _statvfs
os.uname = lambda: namedtuple("", ("sysname", "nodename", "release", "version", "machine"))(
    _board["port"],
    _board["port"],
    "2.2.2-dev(a58da79)" if _board["port"] == "esp8266" else _board["release"],
    _board["version"],
    _board["machine"],
)
os.sync = lambda: None
os.dupterm = lambda *args: None
os.dupterm_notify = lambda *args: None

micropython = _Copy(_micropython, [n for n in dir(_micropython) if n[:2] != "__"])


def _kbd_intr(char):
    # In-band, so that it holds for exactly the bytes that come after it.
    _sys.stdout.write("\x10VB:kbd%d\x10" % (char != -1))
    _micropython.kbd_intr(char)


micropython.kbd_intr = _kbd_intr

sys = _Copy(
    _sys,
    "byteorder exit modules path print_exception stderr stdin stdout version_info ps1 ps2 exc_info".split(),
)
sys.argv = []
sys.maxsize = 0x7FFFFFFF
sys.platform = _board["port"]
sys.version = "3.4.0; MicroPython " + _board["version"]
sys.implementation = namedtuple("", [name for name, _ in _board["implementation"]])(
    *[tuple(value) if isinstance(value, list) else value for _, value in _board["implementation"]]
)
