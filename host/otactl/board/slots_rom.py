"""A board's flash over the ROM loader: the only door to esptool's cable side."""

import contextlib
import hashlib
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import serial
from esptool import cmds
from esptool.util import FatalError

from otactl.board import lock, ports
from otactl.board.slots_layout import TABLE_AT, TABLE_SIZE, Part, parse_table
from otactl.errors import BoardError, RigError
from otactl.release import silent

BAUD = 460_800
_SILENT_S = 2.0
_DOWNLOAD_LOCKED = "its loader is in secure download mode"
_SIZES = ((0x12, 0x1C, 18), (0x20, 0x22, 26), (0x32, 0x3A, 18))  # JEDEC size codes: runs of powers of two from 2**18 on
_FAILURES = (FatalError, serial.SerialException, OSError)


class RomSource:
    """esptool's stub on the board, inside `with`. Leaving resets the board into its program, unless it was `found`.

    `path`: the port that it is at.
    """

    running = ""

    def __init__(self, device: str, *, found: bool = False, baud: int = BAUD) -> None:
        """`device` as mpremote takes it. `found`: the board is in its loader already, and is left there.

        Raises RigError.
        """
        self.device, self._found = device, found
        self.releases: dict[str, str] = {}
        self._loader = self._connect(found, baud)
        self.chip = str(self._loader.CHIP_NAME).lower().replace("-", "")

    @property
    def locked(self) -> str:
        """What in the chip's eFuses keeps it from starting what is written like this; "" where nothing does.

        Raises RigError.
        """
        with self._esptool("reading the eFuses of the board"):
            if self._loader.secure_download_mode:
                return _DOWNLOAD_LOCKED
            if self._loader.get_flash_encryption_enabled():
                return "its flash is encrypted"
            return "it has secure boot" if self._loader.get_secure_boot_enabled() else ""

    def _connect(self, found: bool, baud: int) -> Any:
        silent.esptool()
        reasons, any_open = [], False
        for path in ports.candidates(self.device):
            try:
                return self._connected(path, found, baud)
            except lock.InUse as error:
                reasons.append(f"{path}: {error}")
            except _FAILURES as error:
                closed = "Could not open" in str(error)  # esptool's words for all that may be wrong with a port
                any_open = any_open or not closed
                reasons.append(f"{path}: {ports.why_not(path, error) if closed else _said(error)}")
        if not any_open:
            raise RigError("cannot open " + "; ".join(reasons))
        raise RigError(
            f"no answer from a ROM loader ({'; '.join(reasons)}): hold the board's boot button while it resets"
        )

    def _connected(self, path: str, found: bool, baud: int) -> Any:
        """The stub on the board at `path`, which is held from here on. Raises InUse, BoardError, what esptool raises."""
        self._hold = ports.taken(path)
        try:
            loader = cmds.detect_chip(
                path, connect_mode="no-reset" if found else "default-reset", connect_attempts=2 if found else 7
            )
            if loader.secure_download_mode:  # it neither runs a stub nor tells of its flash
                loader._port.close()
                raise BoardError(f"the board at {path} is not to be read or written: {_DOWNLOAD_LOCKED}")
            loader = cmds.run_stub(loader)
            if baud != loader.ESP_ROM_BAUD:
                loader.change_baud(baud)
            cmds.attach_flash(loader)
            self.flash_size, self.path = _flash_size(loader), path
        except BaseException:
            self._hold.release()
            raise
        return loader

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(*_FAILURES):
            cmds.reset_chip(self._loader, "no-reset" if self._found else "hard-reset")
        with contextlib.suppress(*_FAILURES):
            self._loader._port.close()
        self._hold.release()

    @property
    def mac(self) -> str:
        """The chip's address, as 24:0a:c4:12:34:56. Raises RigError."""
        with self._esptool("reading the eFuses of the board"):
            return bytes(self._loader.read_mac()).hex(":")

    def parts(self) -> tuple[Part, ...]:
        return parse_table(self.read(TABLE_AT, TABLE_SIZE), f"the board at {self.device}")

    def read(self, offset: int, size: int) -> bytes:
        with self._esptool("reading the flash"):
            data: bytes = self._loader.read_flash(offset, size)
        return data

    def same(self, offset: int, data: bytes) -> bool:
        """Whether `data` is what lies at `offset`, by the MD5 that the board makes of it. Raises RigError."""
        return self.digest(offset, len(data)) == hashlib.md5(data, usedforsecurity=False).hexdigest()

    def digest(self, offset: int, size: int) -> str:
        """The MD5 that the board makes of its flash, in hex. Raises RigError."""
        with self._esptool("reading the flash"):
            found: str = self._loader.flash_md5sum(offset, size)
        return found

    def write(self, offset: int, data: bytes) -> None:
        """esptool reads its MD5 back."""
        with self._esptool("writing the flash"):
            cmds.write_flash(self._loader, [(offset, data)], no_progress=True, force=True)

    def erase(self, offset: int, size: int) -> None:
        with self._esptool("erasing the flash"):
            cmds.erase_region(self._loader, offset, size)

    def set_boot(self, part: Part) -> bool:
        return False

    @contextlib.contextmanager
    def _esptool(self, what: str) -> Iterator[None]:
        try:
            yield
        except _FAILURES as error:
            raise RigError(f"{what} at {self.device} failed: {_said(error)}") from None


def is_silent(device: str, slow: float = 1.0) -> bool:
    """Whether a board says nothing to Ctrl-C within two seconds, times `slow`: one in its loader does not.

    False where no port opens. A board that another program uses hears nothing.
    """
    for path in ports.candidates(device):
        try:
            with lock.take(path), serial.serial_for_url(path, 115200, timeout=0.1, exclusive=True) as port:
                port.write(b"\r\x03\x03")
                until = time.monotonic() + _SILENT_S * slow
                while time.monotonic() < until:
                    if port.read(64):
                        return False
            return True
        except (lock.InUse, serial.SerialException, OSError, ValueError):
            continue
    return False


def _flash_size(loader: Any) -> int:
    """Bytes, from the flash's JEDEC id. Raises BoardError."""
    code = int(loader.flash_id()) >> 16 & 0xFF
    for first, last, power in _SIZES:
        if first <= code <= last:
            return int(1 << power + code - first)
    raise BoardError(f"the flash does not tell its size (id {loader.flash_id():#08x}): is it connected?")


def _said(error: Exception) -> str:
    return (str(error).strip().splitlines() or [repr(error)])[0]
