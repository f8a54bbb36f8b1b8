"""What is updated while power goes: the situations, and how each must end."""

from dataclasses import dataclass

from littlefs import LittleFS
from otactl.workspace import Workspace
from rig import image
from vboard.flash.nor import Flash, Operation
from vboard.flash.table import Row, Table

SIZE = 160 << 10
IMAGES = {
    "1.0.0": image(1, size=SIZE, build="GOOD"),
    "1.1.0": image(2, size=SIZE, build="GOOD"),
    "1.2.0": image(3, size=SIZE, build="GOOD"),
    "6.6.6": image(4, size=SIZE, build="BAD"),
}
# A byte after what ROM and IDF check of an image: only the signed SHA-256 covers it.
WEAK_CELL = len(IMAGES["1.1.0"]) - 3


@dataclass(frozen=True)
class Scenario:
    """`start`: the flash when power comes on. `ends`: the version that must run, confirmed, in the end.

    `left`: what was there before, the one other version that may boot on the way. `failed`: whether
    the newest release must be remembered as failed, None where it may. `either`:
    whether it may as well end on `left`. `weak`: flash address of a cell that does not hold.
    """

    name: str
    about: str
    place: Workspace
    start: bytes
    table: Table
    ends: str
    left: str
    failed: bool | None = False
    either: bool = False
    weak: int | None = None

    def fault(self, flash: Flash, operation: Operation) -> None:
        """The weak cell loses its charge as soon as its sector is programmed."""
        if self.weak is None or operation.kind != "program":
            return
        if operation.address <= self.weak < operation.address + operation.size:
            flash.program(self.weak, b"\0", actor="host")

    def done(self, status: dict[str, object]) -> bool:
        """Whether the agent has nothing left to do by itself."""
        job = status["job"]
        assert isinstance(job, dict)
        return not status["trial"] and job["phase"] not in ("writing", "ready", "trial")


def mounted(flash: bytes, table: Table) -> LittleFS:
    """The vfs of a flash. Raises LittleFSError where it does not mount."""
    vfs = row(table, "vfs")
    found = LittleFS(block_size=4096, block_count=vfs.size // 4096, mount=False)
    found.context.buffer[:] = flash[vfs.offset : vfs.offset + vfs.size]
    found.mount()
    return found


def row(table: Table, label: str) -> Row:
    found = table.find(label)
    assert found, label
    return found
