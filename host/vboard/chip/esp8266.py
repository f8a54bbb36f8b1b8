"""An ESP8266 as MicroPython's port for it sees the chip: what its ROM prints, its resets, and flash without guards.

Source: MicroPython ports/esp8266 (modmachine.c, machine_wdt.c, modesp.c, ets_alt_task.c); ESP8266 non-OS SDK,
user_interface.h (enum rst_reason); boot logs that people posted (vboard/flash/image8266.py names them).
"""

from vboard.chip import rom
from vboard.chip.idf import IdfError
from vboard.chip.panic import Fatal
from vboard.flash.image8266 import load, table
from vboard.flash.nor import SECTOR, Actor, Flash
from vboard.flash.table import Row

_ROM_BAUD, _CONSOLE_BAUD = 74_880, 115_200  # the ROM reckons with a crystal of 40 MHz, and there is one of 26
# machine.reset_cause() after each kind of reset: system_get_rst_info(). Its WDT_RESET is the hardware's watchdog only;
# the one that machine.WDT() arms is the SDK's, 3, which has no name. machine.reset() reads as SOFT_RESET, the reset
# pin as HARD_RESET, and a soft reset changes nothing.
REASONS = {
    rom.POWER: 0,
    rom.INTERRUPT_WDT: 1,
    rom.EXCEPTION: 2,
    rom.SOFT_WDT: 3,
    rom.RESTART: 4,
    rom.SLEEP: 5,
    rom.EXTERNAL: 6,
    rom.BOOTLOADER: 1,
}
_ROM_CAUSES = {rom.POWER: 1, rom.INTERRUPT_WDT: 4, rom.BOOTLOADER: 4}  # all others are 2
# The SDK's watchdog: a timer of 1.6 s counts up, feeding sets it to 0, at 2 the chip resets. So it bites 1.6 s to 3.2 s
# after the last feed; here after the shortest.
WATCHDOG_S = 1.6
_EIO = 5
_DOWNLOAD = "boot mode:(1,6)"


def banner(reset: str, flash: Flash) -> bytes:
    """What a console at 115200 baud shows of what the ROM prints at 74880."""
    cause = _ROM_CAUSES.get(reset, 2)
    lines = ["", f" ets Jan  8 2013,rst cause:{cause}, boot mode:(3,6)", ""]
    lines += ["wdt reset"] if cause == 4 else []
    return _heard("\r\n".join([*lines, *load(flash).log, ""]).encode())


def download_banner() -> bytes:
    """The same of a chip whose pin 0 is low: it waits for a loader's commands."""
    return _heard(f"\r\n ets Jan  8 2013,rst cause:2, {_DOWNLOAD}\r\n".encode())


def starts(flash: Flash) -> Row | None:
    """The firmware's place where the ROM starts it; None where its watchdog resets the chip, for ever."""
    return table(flash.size).find("firmware") if load(flash).starts else None


def _heard(data: bytes) -> bytes:
    """Bytes as a receiver takes them whose bits are shorter: it looks at the middle of each from the start bit's edge on."""
    line = [bit for byte in data for bit in (0, *(byte >> n & 1 for n in range(8)), 1)] + [1] * 10
    step, out, at = _ROM_BAUD / _CONSOLE_BAUD, bytearray(), 0.0
    while (start := next((n for n in range(int(at), len(line)) if line[n] == 0), None)) is not None:
        begin = max(at, float(start))
        if begin + 10 * step >= len(line):
            break
        out.append(sum(line[int(begin + (n + 1.5) * step)] << n for n in range(8)))
        at = begin + 9.5 * step
        while at < len(line) - 1 and not line[int(at)]:  # no stop bit: it waits for the line to be idle
            at += step
    return bytes(out)


class RawFlash:
    """Flash as esp.flash_read(), flash_write() and flash_erase() have it: nobody guards it.

    Offsets are bytes of the whole flash, `row` is not looked at. Raises IdfError EIO beyond the end, Fatal in the
    firmware, which runs from there.
    """

    def __init__(self, flash: Flash) -> None:
        self._flash = flash
        self._table = table(flash.size)

    def read(self, row: Row, offset: int, size: int) -> bytes:
        self._within(offset, size)
        return self._flash.read(offset, size)

    def program(self, row: Row, offset: int, data: bytes) -> None:
        self._flash.program(offset, data, actor=self._actor(offset, len(data)))

    def erase(self, row: Row, offset: int, size: int) -> None:
        self._flash.erase(offset, size, actor=self._actor(offset, size))

    def write_blocks(self, row: Row, offset: int, data: bytes, block_size: int) -> None:
        """Erase and write whole sectors."""
        self.erase(row, offset, -(-len(data) // SECTOR) * SECTOR)
        self.program(row, offset, data)

    def _within(self, offset: int, size: int) -> None:
        if not 0 <= offset <= offset + size <= self._flash.size:
            raise IdfError(_EIO, "")

    def _actor(self, offset: int, size: int) -> Actor:
        self._within(offset, size)
        firmware, files = self._table.find("firmware"), self._table.find("vfs")
        assert firmware and files
        if offset < firmware.end:
            raise Fatal
        return "vfs" if files.offset <= offset < files.end else "app"
