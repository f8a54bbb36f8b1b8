"""The flash of an ESP8266 with MicroPython: where things lie in it, its firmware image, and what the ROM makes of that.

There is no partition table and no second slot: one image from the first byte on, a file system behind it, and what the
SDK keeps at the end. Source: MicroPython ports/esp8266/boards/esp8266_{1MiB,2MiB}.ld, modules/flashbdev.py,
makeimg.py; esptool bin_image.py (ESP8266ROMFirmwareImage).
"""

import hashlib
import random
import struct
from dataclasses import dataclass

from vboard.flash.nor import SECTOR, Flash
from vboard.flash.partition import FACTORY, FAT, TYPE_APP, TYPE_DATA, Row
from vboard.flash.table import Table

MIB = 1 << 20
SIZES = (MIB, 2 * MIB, 4 * MIB)  # of the flash, that a board here can have
IROM = 0x9000  # code that runs from flash begins here
_SDK = 0x5000  # bytes at the end of the flash that the SDK keeps its settings in
_SMALL_FIRMWARE, _FIRMWARE = IROM + (572 << 10), MIB
_MAGIC = 0xE9
_CHECKSUM = 0xEF  # what the XOR over all segments begins with
_HEAD = struct.Struct("<BBBBI")
_SEGMENT = struct.Struct("<II")
_SIZE_BITS = {MIB: 0x20, 2 * MIB: 0x30, 4 * MIB: 0x40}  # of the header, as esptool writes them
_IRAM, _DRAM = 0x40100000, 0x3FFE8000
_MADE_BYTES = 48 << 10  # of a made-up firmware's code


def user_start(size: int) -> int:
    """esp.flash_user_start(): where what the firmware leaves of a flash of `size` bytes begins."""
    return _SMALL_FIRMWARE if size < 2 * MIB else _FIRMWARE


def table(size: int) -> Table:
    """What lies where, as rows of a table that is nowhere in the flash: `firmware`, `vfs` and `sdk`."""
    start = user_start(size)
    first = start + (SECTOR if start < MIB else 0)  # flashbdev.py leaves a sector for native code
    end = size - _SDK
    return Table(
        (
            Row(TYPE_APP, FACTORY, 0, start, "firmware"),
            Row(TYPE_DATA, FAT, first, end - first, "vfs"),
            Row(TYPE_DATA, 0, end, _SDK, "sdk"),
        )
    )


def build(size: int, micropython: str) -> bytes:
    """A made-up firmware for a flash of `size` bytes, that says it is MicroPython of that version."""
    noise = random.Random(f"esp8266/{micropython}").randbytes(_MADE_BYTES)
    says = f"MicroPython v{micropython} on 2025-01-01\0".encode()
    segments = ((_IRAM, noise[:1024]), (_DRAM, says.ljust(-(-len(says) // 4) * 4, b"\0")))
    head = _HEAD.pack(_MAGIC, len(segments), 0, _SIZE_BITS[size], _IRAM)
    body = b"".join(_SEGMENT.pack(at, len(data)) + data for at, data in segments)
    checksum = _xor(b"".join(data for _, data in segments))
    loaded = (head + body).ljust(-(-(len(head + body) + 1) // 16) * 16 - 1, b"\0") + bytes([checksum])
    end = struct.pack("<I", IROM + len(noise))
    whole = loaded.ljust(IROM - len(end), b"\xff") + end + noise
    return whole + hashlib.md5(whole[4:]).digest()  # without what esptool changes in the header


def _xor(data: bytes) -> int:
    result = _CHECKSUM
    for byte in data:
        result ^= byte
    return result


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the ROM did: whether it starts the image, and its lines."""

    starts: bool
    log: list[str]


def load(flash: Flash) -> Loaded:
    """The ROM loads an image's segments into RAM and checks their sum. It never looks at the code in flash behind them.

    Its words are those of boot logs that people posted (esp8266/Arduino#8240, #8890; micropython#1914).
    """
    magic, count, _, _, _ = _HEAD.unpack(flash.read(0, _HEAD.size))
    if magic != _MAGIC:
        return Loaded(False, [])
    at, checksum = _HEAD.size, _CHECKSUM
    log: list[str] = []
    for _ in range(count):
        address, length = _SEGMENT.unpack(flash.read(at, _SEGMENT.size))
        if at + _SEGMENT.size + length >= IROM:
            return Loaded(False, [*log, "ets_main.c "])
        data = flash.read(at + _SEGMENT.size, length)
        checksum ^= _xor(data) ^ _CHECKSUM
        at += _SEGMENT.size + length
        log += [f"load 0x{address:08x}, len {length}, room 16 ", f"tail {length % 16}", f"chksum 0x{checksum:02x}"]
    stored = flash.read(at | 15, 1)[0]
    log.append(f"csum 0x{stored:02x}")
    if stored != checksum:
        return Loaded(False, [*log, "csum err", "ets_main.c "])
    return Loaded(True, log)
