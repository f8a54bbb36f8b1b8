"""What a board is told once, when it is made."""

from dataclasses import dataclass

from vboard.chips import Chip


@dataclass(frozen=True, slots=True)
class Settings:
    """How a board behaves, from its first boot to its last; board.py says what each means."""

    chip: Chip
    heap_kib: int
    micropython: str
    rollback: bool
    idf_heap_kib: int | None
    real_time: bool
    watchdog_factor: float
    network_port: int | None
    baud: int | None
