"""The chip's address space, as far as the loader's READ_REG and WRITE_REG go."""

from vboard.chips import Chip
from vboard.loader.roms import DETECT, ROM_BAUD, ROMS, XTAL_HZ
from vboard.loader.spi import SpiBus

_WATCHDOG_ON = 1 << 31
_SPI_SIZE = 0x100


class Registers:
    """Words by address. ROM and eFuses cannot be written; what is not modelled keeps what is written to it."""

    def __init__(self, chip: Chip, mac: bytes, spi: SpiBus) -> None:
        rom = ROMS[chip.name]
        self._fixed = rom.efuses(mac, chip.revision) | {DETECT: rom.magic}
        self._words = {rom.uart_clkdiv: XTAL_HZ // ROM_BAUD}
        self._spi, self._spi_base, self._watchdog = spi, rom.spi_base, rom.watchdog
        self.watchdog_set = False  # the RTC's watchdog was armed: it resets the chip

    def read(self, address: int) -> int:
        if self._is_spi(address):
            return self._spi.read(address - self._spi_base)
        return self._fixed.get(address, self._words.get(address, 0))

    def write(self, address: int, value: int, mask: int = 0xFFFFFFFF) -> None:
        value = self.read(address) & ~mask | value & mask
        if self._is_spi(address):
            self._spi.write(address - self._spi_base, value)
            return
        self._words[address] = value
        if address == self._watchdog:
            self.watchdog_set = bool(value & _WATCHDOG_ON)

    def _is_spi(self, address: int) -> bool:
        return 0 <= address - self._spi_base < _SPI_SIZE
