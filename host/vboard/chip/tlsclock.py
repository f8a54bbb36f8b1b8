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

SLOT = "VBOARD_CLOCK_SLOT"  # environment: the address of a double, the seconds that the board's clock is ahead
_RELA, _DYNSYM = 4, 11  # section types
_BOUND = (6, 7, 1025, 1026)  # GLOB_DAT and JUMP_SLOT, of x86-64 and of AArch64
_KNOWN = b"mp_sched_schedule"  # a function of MicroPython: where it lies tells where the extension was loaded


def install(path: str, library: ctypes.CDLL) -> object:
    """`path`: the file of `library`. Keep what this gives: it is the function."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as image:
        defined, slots = _find(image, _KNOWN, b"time")
    known = ctypes.cast(getattr(library, _KNOWN.decode()), ctypes.c_void_p).value
    assert known is not None
    base = known - defined
    ahead = ctypes.c_double(0.0)
    os.environ[SLOT] = str(ctypes.addressof(ahead))

    def now(_: int | None) -> int:
        return int(time.time() + ahead.value)

    function = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(now)
    address = ctypes.cast(function, ctypes.c_void_p).value
    assert address is not None
    libc = ctypes.CDLL(None)
    for slot in slots:
        page = (base + slot) // mmap.PAGESIZE * mmap.PAGESIZE
        libc.mprotect(ctypes.c_void_p(page), mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_WRITE)
        ctypes.c_uint64.from_address(base + slot).value = address
    return function


def _find(image: mmap.mmap, known: bytes, outside: bytes) -> tuple[int, list[int]]:
    """Of an ELF file: where `known` is defined, and where the addresses of the function `outside` stand."""
    start, entry, count = struct.unpack_from("<Q", image, 0x28)[0], *struct.unpack_from("<HH", image, 0x3A)
    sections = [struct.unpack_from("<IIQQQQIIQQ", image, start + entry * n) for n in range(count)]
    dynsym = next(s for s in sections if s[1] == _DYNSYM)
    # Name and value of each symbol. Of thousands two are wanted, in each boot: no other name is read.
    symbols = [(s[0], s[4]) for s in struct.iter_unpack("<IBBHQQ", _of(image, dynsym))]
    places = {known: set[int](), outside: set[int]()}
    names = _of(image, sections[dynsym[6]])
    for text, found in places.items():
        at = names.find(text + b"\0")
        while at >= 0:  # also at the end of a longer name: a linker lets them share it
            found.add(at)
            at = names.find(text + b"\0", at + 1)
    defined = next(value for name, value in symbols if name in places[known] and value)
    slots = [
        slot
        for section in sections
        if section[1] == _RELA
        for slot, info, _ in struct.iter_unpack("<QQq", _of(image, section))
        if info & 0xFFFFFFFF in _BOUND and symbols[info >> 32][0] in places[outside]
    ]
    return defined, slots


def _of(image: mmap.mmap, section: tuple[int, ...]) -> bytes:
    return image[section[4] : section[4] + section[5]]
