"""The flash chip on its SPI bus: the commands that a host gives it through the controller's registers.

A GigaDevice GD25Q of the flash's size. Erase and program are not among them: the ROM and the stub have their own.
"""

from collections.abc import Callable

from vboard.loader.roms import SpiLayout

_CMD, _ADDR = 0x0, 0x4
_CMD_USR = 1 << 18
_USR_MISO = 1 << 28
_MAKER, _KIND = 0xC8, 0x40  # GigaDevice, GD25Q
_READ_ID, _READ_SFDP = 0x9F, 0x5A
_READ_STATUS = (0x05, 0x35, 0x15)
_WRITE_STATUS = (0x01, 0x31, 0x11)
_SFDP = b"SFDP\x06\x01\x00\xff" + bytes(8) + bytes([_MAKER]) + b"\xff" * 239


class SpiBus:
    """The controller's registers: offsets from its base, 32 bits each."""

    def __init__(self, layout: SpiLayout, flash_size: int, attached: Callable[[], bool]) -> None:
        """`flash_size`: bytes, a power of two. `attached`: whether the pins lead to the flash."""
        self._layout = layout
        self._capacity = flash_size.bit_length() - 1
        self._attached = attached
        self._words: dict[int, int] = {}
        self._status = [0x00, 0x02, 0x00]  # quad I/O is enabled, as modules come

    def read(self, offset: int) -> int:
        return self._words.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        if offset == _CMD and value & _CMD_USR:
            self._run()
            value &= ~_CMD_USR  # the command is over at once
        self._words[offset] = value

    def _run(self) -> None:
        layout = self._layout
        given = self.read(layout.data)
        answer = self._command(self.read(layout.usr2) & 0xFF, given)
        if self.read(layout.usr) & _USR_MISO:
            bits = self.read(layout.miso_len) + 1
            self._words[layout.data] = answer & (1 << bits) - 1

    def _command(self, command: int, given: int) -> int:
        if not self._attached():
            return 0xFFFFFFFF  # nobody drives the line
        if command == _READ_ID:
            return self._capacity << 16 | _KIND << 8 | _MAKER
        if command == _READ_SFDP:
            address = self.read(_ADDR) >> 8 if self._layout.address_high else self.read(_ADDR)
            return int.from_bytes(_SFDP[address & 0xFF :][:4], "little")
        if command in _READ_STATUS:
            return self._status[_READ_STATUS.index(command)]
        if command in _WRITE_STATUS:
            self._status[_WRITE_STATUS.index(command)] = given & 0xFF
        return 0
