"""Lets the packaged MicroPython's mbedTLS judge the dates of certificates by the board's clock, and not by the host's.

mbedTLS asks the C library's time(), and nothing else in the unix port does. So the entry of time() in the extension's
table of outside functions is pointed at one that adds what the board is ahead. Runs in the MicroPython process
(launch.py), before MicroPython starts. Format: ELF64, System V ABI.
"""

import ctypes
import mmap
import os
import struct
import time
from typing import Any

SLOT = "VBOARD_CLOCK_SLOT"  # environment: the address of a double, the seconds that the board's clock is ahead
_RELA, _DYNSYM = 4, 11  # section types
_BOUND = (6, 7, 1025, 1026)  # GLOB_DAT and JUMP_SLOT, of x86-64 and of AArch64
_KNOWN = "mp_sched_schedule"  # a function of MicroPython: where it lies tells where the extension was loaded


def install(path: str, library: ctypes.CDLL) -> Any:
    """`path`: the file of `library`. Keep what this gives: it is the function."""
    with open(path, "rb") as file:
        symbols, slots = _tables(file.read())
    known = ctypes.cast(getattr(library, _KNOWN), ctypes.c_void_p).value
    assert known is not None
    base = known - symbols[_KNOWN]
    ahead = ctypes.c_double(0.0)
    os.environ[SLOT] = str(ctypes.addressof(ahead))

    def now(_: int | None) -> int:
        return int(time.time() + ahead.value)

    function = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(now)
    address = ctypes.cast(function, ctypes.c_void_p).value
    assert address is not None
    libc = ctypes.CDLL(None)
    for slot in slots["time"]:
        page = (base + slot) // mmap.PAGESIZE * mmap.PAGESIZE
        libc.mprotect(ctypes.c_void_p(page), mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_WRITE)
        ctypes.c_uint64.from_address(base + slot).value = address
    return function


def _tables(image: bytes) -> tuple[dict[str, int], dict[str, list[int]]]:
    """Of an ELF file: name -> where it is defined, and name -> where the addresses of outside functions stand."""
    start, entry, count = struct.unpack_from("<Q", image, 0x28)[0], *struct.unpack_from("<HH", image, 0x3A)
    sections = [struct.unpack_from("<IIQQQQIIQQ", image, start + entry * n) for n in range(count)]
    dynsym = next(s for s in sections if s[1] == _DYNSYM)
    names_at = sections[dynsym[6]][4]

    def symbol(number: int) -> tuple[str, int]:
        name, _, _, _, value, _ = struct.unpack_from("<IBBHQQ", image, dynsym[4] + 24 * number)
        end = image.index(b"\0", names_at + name)
        return image[names_at + name : end].decode(), value

    symbols = dict(symbol(number) for number in range(dynsym[5] // 24))
    slots: dict[str, list[int]] = {}
    for section in sections:
        for at in range(section[4], section[4] + section[5], 24) if section[1] == _RELA else ():
            slot, info, _ = struct.unpack_from("<QQq", image, at)
            if info & 0xFFFFFFFF in _BOUND:
                slots.setdefault(symbol(info >> 32)[0], []).append(slot)
    return symbols, slots
