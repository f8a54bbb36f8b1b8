"""The wire from the MicroPython process to the supervisor (vboard/link.py), on inherited file descriptor 3.

Request: op u8, flag u8, row u16, x i32, y i32, length of data u32, wanted u32, then the data. Answer: status i32,
length u32, then bytes. The flash, watchdog and blob calls allocate nothing, as their C counterparts on the chip do
not: the headers are made once, data moves straight between the caller's buffer and the socket. Everything rare is
one JSON call.
"""

import json
import struct

_wire = open(3, "r+b")
_head = bytearray(20)
_answer = bytearray(8)
_raises = {"OSError": OSError, "ValueError": ValueError, "TypeError": TypeError}

READ = const(1)
WRITE = const(2)
IOCTL = const(3)
FEED = const(4)
GET_BLOB = const(5)
SET_BLOB = const(6)
CALL = const(9)


def _fill(buf, n):
    got = _wire.readinto(buf, n)
    while got < n:  # a long answer can arrive in parts
        got += _wire.readinto(memoryview(buf)[got:], n - got)


def _send(data):
    n = len(data)
    sent = _wire.write(data)
    while sent < n:
        sent += _wire.write(memoryview(data)[sent:])


def request(op, flag, row, x, y, data, into):
    """One exchange. Gives the answer's status (a result, 0 or more); raises OSError as the chip would."""
    struct.pack_into(
        "<BBHiiII", _head, 0, op, flag, row, x, y,
        0 if data is None else len(data), 0 if into is None else len(into),
    )
    _wire.write(_head)
    if data is not None:
        _send(data)
    _wire.readinto(_answer)
    length = _answer[4] | _answer[5] << 8 | _answer[6] << 16
    if _answer[3] & 0x80:  # a negative status: the answer is JSON [exception, args]
        _raise(length)
    if length:
        _fill(into, length)
    return _answer[0] | _answer[1] << 8 | _answer[2] << 16


def _raise(length):
    buf = bytearray(length)
    _fill(buf, length)
    kind, args = json.loads(buf)
    raise _raises[kind](*args)


def call(name, *args):
    """A rare call: `name` with JSON-able arguments, gives its JSON-able result, raises as `request` does."""
    body = json.dumps([name, args])
    struct.pack_into("<BBHiiII", _head, 0, CALL, 0, 0, 0, 0, len(body), 0)
    _wire.write(_head)
    _send(body)
    _wire.readinto(_answer)
    _, length = struct.unpack("<iI", _answer)
    if _answer[3] & 0x80:
        _raise(length)
    buf = bytearray(length)
    _fill(buf, length)
    return json.loads(buf)


def park():
    """Wait for the supervisor to end this process: the chip resets."""
    while True:
        _wire.read(1)


class Missing:
    """Stands for a peripheral that the virtual board does not have: it is there by name, and refuses to be made."""

    def __init__(self, *args, **kw):
        raise NotImplementedError("the virtual board has no such peripheral")


def missing(*args, **kw):
    raise NotImplementedError("the virtual board cannot do this")
