"""What the MicroPython firmware in a slot says of itself: its version, build and the modules it came with.

An app image is data to the virtual board, so what its code would do stands beside it: the newest known firmware,
or what the image's behaviour trailer (vboard/flash/images.py) says.
"""

from dataclasses import dataclass
from typing import Any

from vboard.chips import Chip
from vboard.flash import images
from vboard.flash.appimage import ImageError, measure
from vboard.flash.nor import Flash
from vboard.flash.table import Row

_DATES = {"1.23.0": "2024-06-02", "1.26.1": "2025-09-11"}
_DEFAULT = "1.26.1"
_SINCE_1_26 = {
    "machine": "Counter Encoder _machine const",
    "esp32": "PCNT",
    "WLAN": "SEC_DPP SEC_WPA2_WPA3_ENT SEC_WPA3_ENT SEC_WPA3_ENT_192 SEC_WPA3_EXT_PSK"
    " SEC_WPA3_EXT_PSK_MIXED_MODE ipconfig",
    "network": "AUTH_WPA3_ENT_192 AUTH_WPA3_EXT_PSK AUTH_WPA3_EXT_PSK_MIXED_MODE PHY_GENERIC PHY_LAN8670"
    " STAT_CONNECT_FAIL STAT_NO_AP_FOUND_IN_AUTHMODE_THRESHOLD STAT_NO_AP_FOUND_IN_RSSI_THRESHOLD"
    " STAT_NO_AP_FOUND_W_COMPATIBLE_SECURITY ipconfig",
    "tls": "PROTOCOL_DTLS_CLIENT PROTOCOL_DTLS_SERVER",
}
MPY_VERSION = 0x306  # .mpy 6.3, without the architecture bits


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

        try:
            says = images.behaviour_of(read, measure(read))
        except ImageError:
            says = {}
        return cls(chip, says.get("micropython", default), says.get("build", chip.build), says)

    @property
    def version(self) -> str:
        return f"v{self.release} on {_DATES.get(self.release, '2026-01-01')}"

    @property
    def numbers(self) -> tuple[int, ...]:
        return tuple(int(part) for part in self.release.split("."))

    @property
    def banner(self) -> bytes:
        return f"MicroPython {self.version}; {self.chip.machine}\r\n".encode()

    def says(self, name: str) -> Any:
        return (self.behaviour or {}).get(name)

    def describe(self) -> dict[str, Any]:
        """What the board's modules need to know at start-up (shims/_vb_system.py)."""
        fields: list[tuple[str, Any]] = [
            ("name", "micropython"),
            ("version", [*self.numbers, ""]),
            ("_machine", self.chip.machine),
            ("_mpy", self.chip.mpy_arch << 10 | MPY_VERSION),
        ]
        if self.numbers >= (1, 25):
            fields += [("_build", self.build), ("_thread", "GIL")]
        return {
            "release": self.release,
            "version": self.version,
            "machine": self.chip.machine,
            "implementation": fields,
            "absent": [
                (module, name)
                for module, names in _SINCE_1_26.items()
                for name in names.split()
                if self.numbers < (1, 26)
            ],
        }
