"""The flash of a running board over its REPL, by esp32.Partition: whatever lies in a partition."""

import base64
import contextlib

from otactl.board import follow, single
from otactl.board.link import Link
from otactl.board.slots_layout import APP, DATA, SECTOR, Part
from otactl.errors import BoardError

_SETUP = """
from esp32 import Partition as _P
from binascii import a2b_base64 as _d, b2a_base64 as _e
def _p(n):
    return [p for t in (0, 1) for p in _P.find(t) if p.info()[4] == n][0]
"""
_ABOUT = (
    "[[list(p.info())[:5] for t in (0, 1) for p in _P.find(t)], _P(_P.RUNNING).info()[4], "
    "__import__('esp').flash_size(), __import__('sys').implementation._machine]"
)
_READ = """
_b = bytearray({size})
_p({name!r}).readblocks({block}, _b, {at})
print(_e(_b).decode())
"""
_WRITE = """
_b = _d({data!r})
_p({name!r}).writeblocks({block}, _b)
_r = bytearray(len(_b))
_p({name!r}).readblocks({block}, _r)
print(_r == _b)
"""


class ReplSource:
    """A board at its prompt. Its program starts again when the link is left; a switch takes effect with a reset."""

    def __init__(self, link: Link) -> None:
        """Raises BoardError, RigError."""
        single.require_can(link, "slots")
        self._link = link
        self.releases = self._known()
        link.run(_SETUP)
        rows, self.running, self.flash_size, machine = link.value(_ABOUT)
        self.chip = str(machine).rpartition(" ")[2].lower().replace("-", "")
        self._parts = tuple(
            Part(name, kind, subtype, offset, size)
            for kind, subtype, offset, size, name in sorted(rows, key=lambda row: row[2])
            if kind in (APP, DATA)
        )

    def _known(self) -> dict[str, str]:
        """What the agent has installed where; nothing where there is none, or its configuration is not whole."""
        with contextlib.suppress(BoardError):
            slots = follow.status(self._link)["slots"]
            return {s["name"]: s["image"]["release"] for s in slots if (s["image"] or {}).get("release")}
        return {}

    def parts(self) -> tuple[Part, ...]:
        return self._parts

    def _place(self, offset: int, size: int) -> tuple[str, int]:
        """The partition and the place in it. Raises BoardError."""
        for part in self._parts:
            if part.offset <= offset and offset + size <= part.offset + part.size:
                return part.name, offset - part.offset
        raise BoardError(f"{offset:#x} lies in no partition, so a running board cannot reach it: try --esptool")

    def read(self, offset: int, size: int) -> bytes:
        name, start = self._place(offset, size)
        data = b""
        while len(data) < size:
            block, at = divmod(start + len(data), SECTOR)
            piece = min(SECTOR, size - len(data))
            data += base64.b64decode(
                self._link.run(_READ.format(size=piece, name=name, block=block, at=at), coming=True)
            )
        return data

    def write(self, offset: int, data: bytes) -> None:
        name, start = self._place(offset, len(data))
        for at in range(0, len(data), SECTOR):
            block = base64.b64encode(data[at : at + SECTOR].ljust(SECTOR, b"\xff"))
            said = self._link.run(_WRITE.format(data=block, name=name, block=(start + at) // SECTOR), coming=True)
            if said.strip() != "True":
                raise BoardError(f"{name} does not hold what was written to it at {at:#x}: is its flash worn?")

    def erase(self, offset: int, size: int) -> None:
        name, start = self._place(offset, size)
        first, last = start // SECTOR, (start + size) // SECTOR
        self._link.run(f"for _i in range({first}, {last}):\n    _p({name!r}).ioctl(6, _i)", timeout_s=120)

    def set_boot(self, part: Part) -> bool:
        try:
            self._link.run(f"_p({part.name!r}).set_boot()", timeout_s=60)
        except BoardError as error:
            raise BoardError(f"the board does not switch to {part.name}: {error}") from None
        return True
