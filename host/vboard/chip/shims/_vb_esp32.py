"""`esp32` as the port's C module offers it: Partition and NVS. Their rules live in vboard/chip/idf.py and vboard/flash/nvs.py."""

import gc

import micropython
from _vb_link import (
    FROM_NOWHERE,
    GET_BLOB,
    IOCTL,
    READ,
    SET_BLOB,
    SET_I32,
    WRITE,
    Missing,
    call,
    holds_with_garbage,
    in_c,
    missing,
    program_holds,
    read_flash,
    request,
)
from uctypes import addressof


def _writable(buf):
    if isinstance(buf, bytes) or isinstance(buf, str):  # a tuple of types would be an allocation
        raise TypeError("object with buffer protocol required")
    return buf


class Partition:
    BOOT = 0
    RUNNING = 1
    TYPE_APP = 0
    TYPE_DATA = 1

    def __init__(self, id, block_size=4096):
        row = call("partition", id)
        self.__row = row[0]
        self.__info = tuple(row[1])
        self.__bs = block_size & 0xFFFF  # the C struct keeps it in 16 bits

    @staticmethod
    def find(type=0, subtype=0xFF, label=None, block_size=4096):
        return [Partition("#%d" % n, block_size) for n in call("partition_find", type, subtype, label)]

    def __repr__(self):
        return "<Partition type=%d, subtype=%d, address=%d, size=%d, label=%s, encrypted=%d>" % self.__info

    def info(self):
        return self.__info

    # So small that the VM keeps their frames on its stack: larger ones are on the heap, and garbage is collected for them.
    def readblocks(self, n, buf, offset=0):
        micropython.heap_lock()
        return in_c(Partition.__read, self, n, buf, offset)

    def writeblocks(self, n, buf, offset=None):
        micropython.heap_lock()
        return in_c(Partition.__write, self, n, buf, offset)

    def ioctl(self, cmd, arg=0):
        micropython.heap_lock()
        return in_c(Partition.__ioctl, self, cmd, arg, 0)

    def __read(self, n, buf, offset):
        at = n * self.__bs + offset
        if 0 <= at and at + len(buf) <= self.__info[3]:
            read_flash(self.__info[2] + at, _writable(buf))
        else:
            request(READ, 0, self.__row, at, self.__bs, b"", b"", _writable(buf))

    def __write(self, n, buf, offset):
        at, erases = n * self.__bs + (offset or 0), offset is None
        if len(buf) and not addressof(buf):  # what IDF refuses, once the erase is done
            request(WRITE, erases | FROM_NOWHERE, self.__row, at, self.__bs, b"", b"", buf)
        else:
            request(WRITE, erases, self.__row, at, self.__bs, b"", buf, None)

    def __ioctl(self, cmd, arg, _):
        if cmd in (1, 2, 3):
            return 0
        if cmd == 4:
            return self.__info[3] // self.__bs
        if cmd == 5:
            return self.__bs
        if cmd == 6:
            if self.__bs != 4096:
                return -22
            return request(IOCTL, cmd, self.__row, arg * self.__bs, self.__bs, b"", b"", None)
        return None

    def set_boot(self):
        call("set_boot", self.__row)

    def get_next_update(self):
        return Partition("#%d" % call("next_update", self.__row))

    @classmethod
    def mark_app_valid_cancel_rollback(cls):
        call("mark_valid")


class NVS:
    def __init__(self, namespace):
        self.__ns = call("nvs_open", namespace)

    def set_i32(self, key, value):
        if not -0x80000000 <= value < 0x80000000:
            raise OverflowError("overflow converting long int to machine word")
        request(SET_I32, self.__ns, len(key), value, 0, key, b"", None)

    def get_i32(self, key):
        return call("nvs_get_i32", self.__ns, key)

    def set_blob(self, key, value):
        request(SET_BLOB, self.__ns, len(key), 0, 0, key, value, None)

    def get_blob(self, key, buf):
        return request(GET_BLOB, self.__ns, len(key), 0, 0, key, b"", _writable(buf))

    def erase_key(self, key):
        call("nvs_erase_key", self.__ns, key)

    def commit(self):
        pass  # each value is written when it is set, as in IDF


class esp32:
    Partition = Partition
    NVS = NVS
    HEAP_DATA = 4
    HEAP_EXEC = 1
    WAKEUP_ALL_LOW = False
    WAKEUP_ANY_HIGH = True
    PCNT = Missing
    RMT = Missing
    ULP = Missing
    gpio_deep_sleep_hold = missing
    mcu_temperature = missing
    wake_on_gpio = missing
    raw_temperature = missing
    wake_on_ext0 = missing
    wake_on_ext1 = missing
    wake_on_touch = missing
    wake_on_ulp = missing

    @staticmethod
    def idf_heap_info(capabilities):
        return [tuple(region) for region in call("idf_heap_info", capabilities, program_holds())]


class collector:
    """`gc`, whose mem_free() is a chip's."""

    collect = gc.collect
    enable = gc.enable
    disable = gc.disable
    isenabled = gc.isenabled
    mem_alloc = gc.mem_alloc
    threshold = gc.threshold

    @staticmethod
    def mem_free():
        return call("mem_free", holds_with_garbage())


class esp:
    @staticmethod
    def flash_read(address, buf):
        request(READ, 1, 0, address, 0, b"", b"", _writable(buf))

    @staticmethod
    def flash_size():
        return call("flash_size")

    flash_write = missing
    flash_erase = missing
    osdebug = missing
