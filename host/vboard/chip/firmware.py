"""What the MicroPython firmware in a slot says of itself: its version, build and the modules it came with.

An app image is data to the virtual board, so what its code would do stands beside it: what the image's behaviour
trailer (vboard/flash/images.py) says, the version that stands in a real one's text, or else the newest known firmware.
"""

import re
from dataclasses import dataclass
from typing import Any

from vboard.chip.names import absent
from vboard.chips import RISCV, Chip
from vboard.flash import image8266, images
from vboard.flash.appimage import ImageError, Read, measure
from vboard.flash.nor import Flash
from vboard.flash.table import Row

_BANNER = re.compile(rb"MicroPython v(\d+\.\d+\.\d+) on \d{4}-\d\d-\d\d")  # in the text of every real image
_DATES = {
    "1.20.0": "2023-04-26",
    "1.21.0": "2023-10-05",
    "1.22.0": "2023-12-27",
    "1.22.1": "2024-01-05",
    "1.22.2": "2024-02-22",
    "1.23.0": "2024-06-02",
    "1.24.0": "2024-10-25",
    "1.24.1": "2024-11-29",
    "1.25.0": "2025-04-15",
    "1.26.0": "2025-08-09",
    "1.26.1": "2025-09-11",
    "1.27.0": "2025-12-09",
    "1.28.0": "2026-04-06",
}
_DEFAULT = "1.26.1"
_MPY_6_3 = 0x306  # .mpy 6.3, without the architecture bits (py/persistentcode.h)
_MPY_6_2 = 0x206


@dataclass(frozen=True, slots=True)
class Firmware:
    """`behaviour`: panic, hang, no_wifi (facts of an image that tests build), see docs/virtual-board.md."""

    chip: Chip
    release: str = _DEFAULT
    build: str = ""
    behaviour: dict[str, Any] | None = None

    @classmethod
    def in_slot(cls, flash: Flash, row: Row, chip: Chip, default: str) -> "Firmware":
        """What the image in a slot says; `default` is the version where it says none."""

        def read(offset: int, n: int) -> bytes:
            return flash.read(row.offset + offset, max(0, min(n, row.size - offset)))

        return cls._found(read, chip, default)

    @classmethod
    def of_image(cls, image: bytes, chip: Chip, default: str) -> "Firmware":
        """As in_slot(), before the image lies in one."""
        return cls._found(lambda offset, n: image[offset : offset + n], chip, default)

    @classmethod
    def _found(cls, read: Read, chip: Chip, default: str) -> "Firmware":
        if chip.port == "esp8266":
            found = _BANNER.search(read(0, image8266.IROM))
            return cls(chip, found[1].decode() if found else default, chip.build)
        try:
            length = measure(read)
            says = images.behaviour_of(read, length)
            banner = None if says else _BANNER.search(read(0, length))
        except ImageError:
            says, banner = {}, None
        version = banner[1].decode() if banner else default
        return cls(chip, says.get("micropython", version), says.get("build", chip.build), says)

    @property
    def version(self) -> str:
        return f"v{self.release} on {_DATES.get(self.release, '2026-01-01')}"

    @property
    def numbers(self) -> tuple[int, ...]:
        return tuple(int(part) for part in self.release.split("."))

    @property
    def makes_vfs(self) -> bool:
        """Whether it takes the end of the flash for files where the table names no partition for them (since 1.26)."""
        return self.numbers >= (1, 26)

    @property
    def banner(self) -> bytes:
        return f"MicroPython {self.version}; {self.machine}\r\n".encode()

    @property
    def machine(self) -> str:
        """sys.implementation._machine: since 1.29 with a hyphen in the chip's name."""
        if self.numbers < (1, 29) or self.chip.name == "esp32":
            return self.chip.machine
        return self.chip.machine.replace("with ESP32", "with ESP32-")

    @property
    def mpy(self) -> int:
        """sys.implementation._mpy: RISC-V has native code since 1.24, and no architecture before."""
        version = _MPY_6_3 if self.numbers >= (1, 23) else _MPY_6_2
        arch = self.chip.mpy_arch if self.numbers >= (1, 24) or self.chip.mpy_arch != RISCV else 0
        return arch << 10 | version

    def says(self, name: str) -> Any:
        return (self.behaviour or {}).get(name)

    def describe(self) -> dict[str, Any]:
        """What the board's modules need to know at start-up (shims/_vb_system.py)."""
        fields: list[tuple[str, Any]] = [
            ("name", "micropython"),
            ("version", [*self.numbers, ""]),
            ("_machine", self.machine),
            ("_mpy", self.mpy),
        ]
        if self.numbers >= (1, 25):
            fields += [("_build", self.build)]
        if self.numbers >= (1, 25) and self.chip.port == "esp32":
            fields += [("_thread", "GIL")]
        return {
            "port": self.chip.port,
            "release": self.release,
            "version": self.version,
            "machine": self.machine,
            "implementation": fields,
            "absent": list(absent(self.chip.name, self.numbers)) if self.chip.port == "esp32" else [],
        }
