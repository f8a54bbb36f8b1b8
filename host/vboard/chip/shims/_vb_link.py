"""The wire from the MicroPython process to the supervisor (vboard/chip/wire.py), on inherited file descriptor 3, and the
flash file to read from, on 4.

Request: op u8, flag u8, row u16, x i32, y i32, length of data u32, wanted u32, then the data. Answer: status i32,
length u32, then bytes. The flash, watchdog and blob calls allocate nothing, as their C counterparts on the chip do
not: the headers are made once, data moves straight between the caller's buffer and the socket. Everything rare is
one JSON call.

On the chip such a call is C: neither Ctrl-C nor a timer's callback comes in between. Here the VM may do either at a
jump or in a blocking read. So a request goes out in a straight line; callbacks wait while `busy()`; and what is left
of an exchange that Ctrl-C broke off is thrown away before the next. A file system calls for its blocks in the middle of
littlefs, which an exception must not leave, and which a file that is collected must not be closed in: see `in_c`.
"""

import gc
import json
import micropython
import os
import select
import struct
import time
import uctypes

_wire = open(3, "r+b")
_flash = open(4, "rb")
_poll = select.poll()
_poll.register(_wire, select.POLLIN)
_head = bytearray(20)
_answer = bytearray(8)
_raises = {"OSError": OSError, "ValueError": ValueError, "TypeError": TypeError, "RuntimeError": RuntimeError}
_busy = False
_read_kib_us = 0
_stale = False
_in_c = False
_vm = None  # the word of the VM's state for a Ctrl-C that has come (vboard/chip/launch.py), where it can be reached
_keyboard_interrupt = 0
if os.getenv("VBOARD_CTRL_C"):
    _place, _keyboard_interrupt = map(int, os.getenv("VBOARD_CTRL_C").split())
    _vm = uctypes.struct(_place, {"pending": uctypes.UINT64})

READ = const(1)
WRITE = const(2)
IOCTL = const(3)
FEED = const(4)
GET_BLOB = const(5)
SET_BLOB = const(6)
SET_I32 = const(7)
CALL = const(9)
FIRED = const(10)

FROM_NOWHERE = const(2)  # of WRITE: the buffer is at address 0


def busy():
    """Whether an exchange, or what is C on a chip, is under way in the code that a callback has interrupted."""
    return _busy or _in_c


def _fill(buf, n):
    got = _wire.readinto(buf, n)
    while got < n:  # a long answer can arrive in parts
        got += _wire.readinto(memoryview(buf)[got:], n - got)


def _discard():
    while _poll.poll(20):
        _wire.read(65536)


def request(op, flag, row, x, y, key, data, into):
    """One exchange. Gives the answer's status (a result, 0 or more); raises OSError as the chip would.

    `key` and `data` go out one after the other; `row` is the partition, or the length of a key.
    """
    global _busy, _stale
    if _stale:
        _discard()
    _busy = _stale = True
    try:
        wanted = 0 if into is None else len(into)
        struct.pack_into("<BBHiiII", _head, 0, op, flag, row, x, y, len(key) + len(data), wanted)
        _wire.write(_head)
        _wire.write(key)
        _wire.write(data)
        _wire.readinto(_answer)
        length = _answer[4] | _answer[5] << 8 | _answer[6] << 16
        if _answer[3] & 0x80:  # a negative status: the answer is JSON [exception, args]
            _raise(length)
        if length:
            _fill(into, length)
        status = _answer[0] | _answer[1] << 8 | _answer[2] << 16
        _stale = False
    finally:
        _busy = False
    return status


def _raise(length):
    global _stale
    if _in_c:
        micropython.heap_unlock()
    buf = bytearray(length)
    _fill(buf, length)
    _stale = False
    kind, args = json.loads(buf)
    error = _raises[kind](*args)
    if _in_c:
        micropython.heap_lock()
    raise error


def in_c(work, one, two, three, four):
    """What `work` gives; the heap, which the caller has locked, is unlocked in the end. The VM hears a Ctrl-C that comes
    meanwhile once it goes on."""
    global _in_c
    came, done, _in_c = False, False, True
    try:
        while True:
            try:
                while not done:
                    got = work(one, two, three, four)
                    done = True
                return got  # in a straight line from here to the caller's caller: at a jump the VM hears Ctrl-C
            except KeyboardInterrupt:
                came = True
    finally:
        _in_c = False
        micropython.heap_unlock()
        _hear[came]()


def _nothing():
    pass


def _interrupt():
    raise KeyboardInterrupt


def _say_that_it_came():
    _vm.pending = _keyboard_interrupt


_hear = (_nothing, _say_that_it_came if _vm else _interrupt)


def reads_take(kib_us):
    """How long a KiB takes to read, in microseconds; 0 for as fast as it goes."""
    global _read_kib_us
    _read_kib_us = kib_us


def read_flash(address, buf):
    """Fill `buf` from the flash, straight from its file: a read changes nothing that the supervisor must know of."""
    global _busy
    _busy = True
    try:
        _flash.seek(address)
        _flash.readinto(buf)
        if _read_kib_us:
            time.sleep_us(len(buf) * _read_kib_us >> 10)
    finally:
        _busy = False


def call(name, *args):
    """A rare call: `name` with JSON-able arguments, gives its JSON-able result, raises as `request` does."""
    global _busy, _stale
    body = json.dumps([name, args]).encode()
    if _stale:
        _discard()
    _busy = _stale = True
    try:
        struct.pack_into("<BBHiiII", _head, 0, CALL, 0, 0, 0, 0, len(body), 0)
        _wire.write(_head)
        _wire.write(body)
        _wire.readinto(_answer)
        length = _answer[4] | _answer[5] << 8 | _answer[6] << 16
        if _answer[3] & 0x80:
            _raise(length)
        buf = bytearray(length)
        _fill(buf, length)
        _stale = False
    finally:
        _busy = False
    return json.loads(buf)


def burn(ms):
    """C that computes or waits for so long: neither a callback nor Ctrl-C comes in between."""
    global _busy
    was, _busy = _busy, True
    end, interrupted = time.ticks_add(time.ticks_ms(), ms), False
    while time.ticks_diff(end, time.ticks_ms()) > 0:
        try:
            time.sleep_ms(5)
        except KeyboardInterrupt:
            interrupted = True
    _busy = was
    if interrupted:
        raise KeyboardInterrupt


def park():
    """Wait for the supervisor to end this process: the chip resets."""
    while True:
        _wire.read(1)


_shims_hold = 0


def shims_hold(size):
    """What is on the heap when boot.py begins: it is in ROM on a chip."""
    global _shims_hold
    _shims_hold = size


def program_holds():
    """Bytes of the heap that the program holds."""
    gc.collect()
    return holds_with_garbage()


def holds_with_garbage():
    """The same, and what nobody has collected yet."""
    return gc.mem_alloc() - _shims_hold


class Missing:
    """Stands for a peripheral that the virtual board does not have: it is there by name, and refuses to be made."""

    def __init__(self, *args, **kw):
        raise NotImplementedError("the virtual board has no such peripheral")


def missing(*args, **kw):
    raise NotImplementedError("the virtual board cannot do this")
