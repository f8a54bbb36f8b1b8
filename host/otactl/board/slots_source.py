"""Where slots are read and written: flash by address, whichever way it is reached."""

from typing import Protocol

from otactl.board.slots_layout import SECTOR, TABLE_AT, TABLE_SIZE, Part, parse_table
from otactl.errors import BoardError


class Source(Protocol):
    """A board's flash. Offsets and sizes are bytes; erase takes whole sectors. All raise BoardError or RigError."""

    chip: str  # as esptool spells it; "" where it is not known
    flash_size: int
    running: str  # the slot that runs, "" where none does
    releases: dict[str, str]  # by slot name, what the board's agent has installed

    def parts(self) -> tuple[Part, ...]: ...

    def read(self, offset: int, size: int) -> bytes: ...

    def write(self, offset: int, data: bytes) -> None:
        """Erase what `data` needs, whole sectors, and write it."""

    def erase(self, offset: int, size: int) -> None: ...

    def set_boot(self, part: Part) -> bool:
        """Switch by the board's own means; False where it has none and otadata is to be written."""


class FileSource:
    """A whole flash in memory, as a backup holds it. It can be looked at only."""

    running = ""

    def __init__(self, data: bytes, name: str, chip: str = "") -> None:
        self.chip, self.flash_size, self.releases = chip, len(data), dict[str, str]()
        self._data, self._name = data, name

    def parts(self) -> tuple[Part, ...]:
        if self.flash_size < TABLE_AT + SECTOR:
            raise BoardError(f"{self._name} is too short for a whole flash ({self.flash_size} bytes)")
        return parse_table(self._data[TABLE_AT : TABLE_AT + TABLE_SIZE], self._name)

    def read(self, offset: int, size: int) -> bytes:
        return self._data[offset : offset + size].ljust(size, b"\xff")

    def same(self, offset: int, data: bytes) -> bool:
        return self.read(offset, len(data)) == data

    def write(self, offset: int, data: bytes) -> None:
        raise NotImplementedError

    def erase(self, offset: int, size: int) -> None:
        raise NotImplementedError

    def set_boot(self, part: Part) -> bool:
        return False
