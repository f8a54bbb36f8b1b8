"""The supervisor's end of the wire to the MicroPython process (shims/_vb_link.py has the other and the format)."""

import json
import socket
import struct
from typing import Any

from vboard.chip.idf import IdfError
from vboard.chip.soc import Soc
from vboard.flash.nvs import NvsError

_HEAD = struct.Struct("<BBHiiII")
_ANSWER = struct.Struct("<iI")
_READ, _WRITE, _ERASE, _FEED, _GET_BLOB, _SET_BLOB, _SET_I32, _CALL, _FIRED = 1, 2, 3, 4, 5, 6, 7, 9, 10
_FROM_NOWHERE = 2  # of a write


def _arguments(error: IdfError | NvsError) -> list[Any]:
    """The arguments of the OSError that the program sees: a name only where the port gives one (facts 6.3)."""
    return [error.code, error.name] if error.name else [error.code]


class Gone(Exception):
    """The process closed its end: it ended."""


class Link:
    """Serves one request at a time on `wire`. What the chip would raise goes back as an exception for the program."""

    def __init__(self, wire: socket.socket, soc: Soc) -> None:
        self._wire = wire
        self._soc = soc

    def serve(self) -> None:
        """Read one request and answer it.

        No answer goes out after a call that ends the boot (`Soc.wants`): the chip does not come back from it.
        Raises Gone when the process ended; vboard.chip.panic.Panic when the request
        makes the chip panic, vboard.chip.watchdogs.Bitten when the watchdog came before its end.
        """
        op, flag, row, x, y, length, wanted = _HEAD.unpack(self._take(_HEAD.size))
        data = self._take(length)
        status, answer = 0, b""
        try:
            if op == _CALL:
                name, args = json.loads(data)
                answer = json.dumps(self._soc.call(name, args)).encode()
            else:
                status, answer = self._quick(op, flag, row, x, y, data, wanted)
        except (IdfError, NvsError) as error:
            status, answer = -1, json.dumps(["OSError", _arguments(error)]).encode()
        except (ValueError, TypeError, OSError, RuntimeError) as error:
            status, answer = -1, json.dumps([type(error).__name__, error.args]).encode()
        if self._soc.wants is None:
            try:
                self._wire.sendall(_ANSWER.pack(status, len(answer)) + answer)
            except (BrokenPipeError, ConnectionResetError):  # the process ended while it waited
                raise Gone from None

    def _quick(self, op: int, flag: int, row: int, x: int, y: int, data: bytes, wanted: int) -> tuple[int, bytes]:
        soc = self._soc
        if op == _READ:
            if flag:
                return 0, soc.flash.read(x, wanted)
            return 0, soc.storage.read(soc.rows(row), x, wanted)
        if op == _WRITE:
            if flag & _FROM_NOWHERE:
                soc.app.write_from_nowhere(soc.rows(row), x, wanted, erases=bool(flag & 1))
            write = soc.storage.write_blocks if flag else soc.storage.program
            write(soc.rows(row), x, data, *([y] if flag else []))
            return 0, b""
        if op == _ERASE:
            soc.storage.erase(soc.rows(row), x, y)
            return 0, b""
        if op == _FEED:
            soc.watchdogs.feed()
            return 0, b""
        if op == _FIRED:
            return _fired(*soc.timers.next_fired()), b""
        namespace, key = flag, data[:row].decode()
        if op == _SET_BLOB:
            soc.store().set_blob(namespace, key, data[row:])
            return 0, b""
        if op == _SET_I32:
            soc.store().set_i32(namespace, key, x)
            return 0, b""
        value = soc.store().get_blob(namespace, key, wanted)
        return len(value), value

    def _take(self, n: int) -> bytes:
        try:
            data = self._wire.recv(n, socket.MSG_WAITALL) if n else b""
        except ConnectionError:
            data = b""
        if len(data) < n:
            raise Gone
        return data

    def close(self) -> None:
        self._wire.close()


def _fired(handle: int | None, more: bool) -> int:
    """A timer that has fired, as shims/_vb_machine.py reads it: 0 for none; else 1 where there are more, added to 4 for handle 0, 8
    for 1, 6 for -1, 10 for -2 and so on."""
    if handle is None:
        return 0
    return (2 * handle + 2 if handle >= 0 else 1 - 2 * handle) * 2 + more
