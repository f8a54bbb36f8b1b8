"""What tells one chip's ROM and registers from another's, as far as esptool looks at them.

Sources: ESP-IDF soc/<chip>/include/soc/{soc,efuse_reg,spi_mem_reg,spi_reg,rtc_cntl_reg,uart_reg}.h (addresses),
efuse/<chip>/esp_efuse_table.csv (where MAC and revision lie); esptool's docs, serial-protocol.rst. The words of
DETECT are the ROM's at 0x40001000, from esptool's history. ROM words of S2 and C6 in download mode are not checked.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

DETECT = 0x40001000  # a word of the ROM that differs from chip to chip
XTAL_HZ = 40_000_000
ROM_BAUD = 115_200

Words = dict[int, int]


@dataclass(frozen=True, slots=True)
class SpiLayout:
    """Offsets of the registers of the flash's SPI controller; CMD is 0x0 and ADDR 0x4 everywhere."""

    usr: int
    usr1: int
    usr2: int
    miso_len: int
    data: int
    address_high: bool  # a 24-bit address lies in the register's upper bits


_ESP32_SPI = SpiLayout(usr=0x1C, usr1=0x20, usr2=0x24, miso_len=0x2C, data=0x80, address_high=True)
_SPI_MEM = SpiLayout(usr=0x18, usr1=0x1C, usr2=0x20, miso_len=0x28, data=0x58, address_high=False)


@dataclass(frozen=True, slots=True)
class Rom:
    """magic: the word at DETECT. security_info: bytes that GET_SECURITY_INFO gives; 0 where the ROM lacks it.

    efuses: from MAC and revision to the words of the eFuses. watchdog: address of RTC_CNTL_WDTCONFIG0, by which
    esptool resets a chip; None where it does not. download: what the first line of a boot says of download mode.
    """

    magic: int
    security_info: int
    spi_base: int
    spi: SpiLayout
    uart_clkdiv: int
    efuses: Callable[[bytes, int], Words]
    watchdog: int | None
    download: str


def _mac_words(mac: bytes) -> tuple[int, int]:
    return int.from_bytes(mac[2:], "big"), int.from_bytes(mac[:2], "big")


def _crc8(data: bytes) -> int:
    """As in the ESP32's eFuse beside the MAC: polynomial 0x31, reflected."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x8C if crc & 1 else 0)
    return crc


def _esp32(mac: bytes, revision: int) -> Words:
    """Block 0. The major revision is a thermometer code of three bits, one of them in APB_CTL_DATE."""
    base = 0x3FF5A000
    low, high = _mac_words(mac)
    major, minor = divmod(revision, 100)
    ck8m = 128  # with this and the calibration register the ROM reckons a crystal of 40 MHz
    return {
        base + 0x04: low,
        base + 0x08: _crc8(mac) << 16 | high,
        base + 0x0C: (major >= 1) << 15 | 1 << 9,  # package 1: D0WD
        base + 0x10: ck8m,
        base + 0x14: minor << 24 | (major >= 2) << 20,
        0x3FF6607C: (major >= 3) << 31,
        0x3FF5F06C: XTAL_HZ * 40 // (15625 * ck8m) << 7,
    }


def _block1(base: int, mac: bytes, word1: int = 0) -> Words:
    low, high = _mac_words(mac)
    return {base: low, base + 4: word1 << 16 | high}


def _esp32s2(mac: bytes, revision: int) -> Words:
    block1 = 0x3F41A044
    major, minor = divmod(revision, 100)
    return _block1(block1, mac) | {block1 + 12: major << 18 | minor >> 3 << 20, block1 + 16: (minor & 7) << 4}


def _s3_and_c3(block1: int) -> Callable[[bytes, int], Words]:
    def efuses(mac: bytes, revision: int) -> Words:
        major, minor = divmod(revision, 100)
        return _block1(block1, mac) | {block1 + 12: (minor & 7) << 18, block1 + 20: major << 24 | minor >> 3 << 23}

    return efuses


def _esp32c6(mac: bytes, revision: int) -> Words:
    block1 = 0x600B0844
    major, minor = divmod(revision, 100)
    return _block1(block1, mac, 0xFFFE) | {block1 + 12: major << 22 | minor << 18}  # FF:FE in the middle of its EUI-64


ROMS = MappingProxyType(
    {
        "esp32": Rom(
            magic=0x00F01D83,
            security_info=0,
            spi_base=0x3FF42000,
            spi=_ESP32_SPI,
            uart_clkdiv=0x3FF40014,
            efuses=_esp32,
            watchdog=None,
            download="boot:0x3 (DOWNLOAD_BOOT(UART0/UART1/SDIO_REI_REO_V2))",
        ),
        "esp32s2": Rom(
            magic=0x000007C6,
            security_info=12,  # without chip id and version
            spi_base=0x3F402000,
            spi=_SPI_MEM,
            uart_clkdiv=0x3F400014,
            efuses=_esp32s2,
            watchdog=0x3F408094,
            download="boot:0x0 (DOWNLOAD(USB/UART0/1))",
        ),
        "esp32s3": Rom(
            magic=0x00000009,
            security_info=20,
            spi_base=0x60002000,
            spi=_SPI_MEM,
            uart_clkdiv=0x60000014,
            efuses=_s3_and_c3(0x60007044),
            watchdog=0x60008098,
            download="boot:0x0 (DOWNLOAD(USB/UART0))",
        ),
        "esp32c3": Rom(
            magic=0x1B31506F,
            security_info=20,
            spi_base=0x60002000,
            spi=_SPI_MEM,
            uart_clkdiv=0x60000014,
            efuses=_s3_and_c3(0x60008844),
            watchdog=0x60008090,
            download="boot:0x4 (DOWNLOAD(USB/UART0/1))",
        ),
        "esp32c6": Rom(
            magic=0x2CE0806F,
            security_info=20,
            spi_base=0x60003000,
            spi=_SPI_MEM,
            uart_clkdiv=0x60000014,
            efuses=_esp32c6,
            watchdog=None,
            download="boot:0x4 (DOWNLOAD(USB/UART0/SDIO_REI_REO))",
        ),
    }
)
