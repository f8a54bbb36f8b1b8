"""The commands of the ROM loader and of esptool's stub, one method each, by their numbers.

Source: esptool's docs, advanced-topics/serial-protocol.rst; esptool/loader.py; esp-flasher-stub. An answer is a value
and data; `Refused` carries the error code. `rom` and `stub` say which of the two knows a command.
"""

import hashlib
import struct
import zlib
from collections.abc import Callable
from enum import Enum

from vboard.chips import Chip
from vboard.flash.nor import SECTOR, Flash
from vboard.loader.reading import Reading
from vboard.loader.registers import Registers
from vboard.loader.roms import ROMS
from vboard.loader.spi import SpiBus
from vboard.loader.writing import TooMuch, Writing

Answer = tuple[int, bytes]
SYNC, READ_FLASH_SLOW = 0x08, 0x0E
NOTHING: Answer = (0, b"")
UNKNOWN = 0x05
_ROM_FAILED, _ROM_CHECKSUM, _ROM_WRITE, _ROM_INFLATE = 0x06, 0x07, 0x08, 0x0B
_STUB_CODES = {_ROM_FAILED: 0xC4, _ROM_CHECKSUM: 0xC1, _ROM_WRITE: 0xC4, _ROM_INFLATE: 0xC7, UNKNOWN: 0xFF}
_ROM_SIZE = 2 << 20  # what the ROM takes the flash for until SPI_SET_PARAMS
_SLOW = 64  # bytes that READ_FLASH_SLOW gives, always


class Refused(Exception):
    """The command failed; `code` as the ROM gives it."""

    def __init__(self, code: int) -> None:
        super().__init__(f"0x{code:02x}")
        self.code = code

    def said_by(self, stub: bool) -> int:
        return _STUB_CODES[self.code] if stub else self.code


class Next(Enum):
    """What the chip does once the answer is out."""

    STUB = "runs what is in its RAM"
    ROM = "starts again, in the ROM loader: the boot mode is latched"
    FLASH = "starts what is in flash"
    WATCHDOG = "is reset by the RTC's watchdog soon, and answers until then"


class Commands:
    """One visit to the loader: what was attached, uploaded and begun."""

    def __init__(self, chip: Chip, flash: Flash, mac: bytes) -> None:
        self._chip, self._flash = chip, flash
        self._rom = ROMS[chip.name]
        self._registers = Registers(chip, mac, SpiBus(self._rom.spi, flash.size, lambda: self._attached))
        self._attached = False
        self._size = _ROM_SIZE
        self._writing: Writing | None = None
        self._ram: list[range] = []
        self.stub = False
        self.next: Next | None = None
        self.reading: Reading | None = None
        self._rom_knows: dict[int, Callable[[bytes, int], Answer]] = {
            0x02: self._flash_begin,
            0x03: self._flash_data,
            0x04: self._flash_end,
            0x05: self._mem_begin,
            0x06: self._mem_end,
            0x07: self._mem_data,
            SYNC: self._sync,
            0x09: self._write_reg,
            0x0A: self._read_reg,
            0x0B: self._set_params,
            0x0D: self._attach,
            READ_FLASH_SLOW: self._read_slow,
            0x0F: lambda data, _: NOTHING,  # CHANGE_BAUDRATE: a terminal has none
            0x10: self._deflate_begin,
            0x11: self._flash_data,
            0x12: self._flash_end,
            0x13: self._md5,
            0x14: self._security_info,
        }
        self._stub_knows = self._rom_knows | {
            0xD0: lambda data, _: self._erase(0, flash.size),
            0xD1: lambda data, _: self._erase(*struct.unpack_from("<II", data)),
            0xD2: self._read_flash,
        }

    def run(self, op: int, data: bytes, checksum: int) -> Answer:
        """Carry out one command. Raises Refused, and PowerLost from the flash."""
        known = self._stub_knows if self.stub else self._rom_knows
        missing = (self.stub and op == READ_FLASH_SLOW) or (op == 0x14 and not self._rom.security_info)
        if op not in known or missing:
            raise Refused(UNKNOWN)
        try:
            return known[op](data, checksum)
        except struct.error:
            raise Refused(UNKNOWN) from None

    # --- registers ------------------------------------------------------------------------------------------------

    def _sync(self, data: bytes, _: int) -> Answer:
        return (0 if self.stub else 0x20120707), b""

    def _read_reg(self, data: bytes, _: int) -> Answer:
        return self._registers.read(*struct.unpack_from("<I", data)), b""

    def _write_reg(self, data: bytes, _: int) -> Answer:
        for address, value, mask, _wait_us in struct.iter_unpack("<IIII", data):
            self._registers.write(address, value, mask)
        if self._registers.watchdog_set:
            self.next = Next.WATCHDOG
        return NOTHING

    def _security_info(self, data: bytes, _: int) -> Answer:
        whole = struct.pack("<IB7xII", 0, 0, self._chip.chip_id, 0)
        return 0, whole[: self._rom.security_info]

    # --- RAM ------------------------------------------------------------------------------------------------------

    def _mem_begin(self, data: bytes, _: int) -> Answer:
        size, _blocks, _block, start = struct.unpack_from("<IIII", data)
        self._ram.append(range(start, start + size))
        return NOTHING

    def _mem_data(self, data: bytes, checksum: int) -> Answer:
        self._payload(data, checksum)
        return NOTHING

    def _mem_end(self, data: bytes, _: int) -> Answer:
        stay, entry = struct.unpack_from("<II", data)
        if not stay:
            if not any(entry in uploaded for uploaded in self._ram):
                raise Refused(_ROM_FAILED)
            self.next = Next.STUB
        return NOTHING

    def stub_runs(self) -> None:
        """The stub takes over: it attaches the flash by itself, and knows any size."""
        self.stub = self._attached = True
        self._size = self._flash.size

    # --- flash ----------------------------------------------------------------------------------------------------

    @staticmethod
    def _payload(data: bytes, checksum: int) -> bytes:
        size, _sequence = struct.unpack_from("<II", data)
        payload = data[16 : 16 + size]
        reckoned = 0xEF
        for byte in payload:
            reckoned ^= byte
        if len(payload) != size or reckoned != checksum & 0xFF:
            raise Refused(_ROM_CHECKSUM)
        return payload

    def _attach(self, data: bytes, _: int) -> Answer:
        self._attached = True
        return NOTHING

    def _set_params(self, data: bytes, _: int) -> Answer:
        self._size = min(struct.unpack_from("<II", data)[1], self._flash.size)
        return NOTHING

    def _within(self, start: int, size: int) -> None:
        if not self._attached or start + size > self._size:
            raise Refused(_ROM_FAILED)

    def _begin(self, data: bytes, packed: bool) -> Answer:
        size, _blocks, _block, start = struct.unpack_from("<IIII", data)
        if self._attached or size:  # esptool's `run` begins nothing, with the flash not attached
            self._within(start, 0 if packed else size)  # the ROM gets a packed size rounded up to a block
        size = min(size, self._size - start)
        self._writing = Writing(self._flash, start, size, at_once=not self.stub, packed=packed)
        return NOTHING

    def _flash_begin(self, data: bytes, _: int) -> Answer:
        return self._begin(data, packed=False)

    def _deflate_begin(self, data: bytes, _: int) -> Answer:
        return self._begin(data, packed=True)

    def _flash_data(self, data: bytes, checksum: int) -> Answer:
        payload = self._payload(data, checksum)
        if self._writing is None:
            raise Refused(_ROM_FAILED)
        try:
            self._writing.block(payload)
        except zlib.error:
            raise Refused(_ROM_INFLATE) from None
        except TooMuch:
            raise Refused(_ROM_WRITE) from None
        return NOTHING

    def _flash_end(self, data: bytes, _: int) -> Answer:
        """0 restarts the chip, 1 runs the program: the ROM leaves for the flash, the stub stays."""
        self._writing = None
        if not struct.unpack_from("<I", data)[0]:
            self.next = Next.ROM
        elif not self.stub:
            self.next = Next.FLASH
        return NOTHING

    def _erase(self, start: int, size: int) -> Answer:
        self._within(start, size)
        if start % SECTOR or size % SECTOR:
            raise Refused(_ROM_FAILED)
        self._flash.erase(start, size, actor="host")
        return NOTHING

    def _md5(self, data: bytes, _: int) -> Answer:
        start, size = struct.unpack_from("<II", data)
        self._within(start, size)
        digest = hashlib.md5(self._flash.read(start, size), usedforsecurity=False)
        return 0, digest.digest() if self.stub else digest.hexdigest().encode()

    def _read_slow(self, data: bytes, _: int) -> Answer:
        start, size = struct.unpack_from("<II", data)
        if size > _SLOW:
            raise Refused(0x0A)
        self._within(start, size)
        return 0, self._flash.read(start, size).ljust(_SLOW, b"\0")

    def _read_flash(self, data: bytes, _: int) -> Answer:
        start, size, block, ahead = struct.unpack_from("<IIII", data)
        self._within(start, size)
        self.reading = Reading(self._flash, start, size, block, ahead)
        return NOTHING
