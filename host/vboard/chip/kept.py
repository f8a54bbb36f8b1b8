"""What a boot finds as the last one left it, or as the host holds it: the clock, the pins, the reset cause."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

EPOCH_2000 = datetime(2000, 1, 1, tzinfo=UTC)
PWRON, HARD, WDT, DEEPSLEEP, SOFT = 1, 2, 3, 4, 5  # machine.reset_cause() of the esp32 port
USB = 0  # by a chip's own USB (ESP-IDF's ESP_RST_USB), which modmachine.c does not know


@dataclass
class Rtc:
    """The clock and memory that a reset leaves alone and a power loss does not. `ahead_s`: of this machine's clock."""

    ahead_s: float = 0.0
    memory: bytes = b""

    @classmethod
    def at_power_on(cls) -> "Rtc":
        return cls(ahead_s=EPOCH_2000.timestamp() - time.time())

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.ahead_s)

    def set(self, when: datetime) -> None:
        self.ahead_s = when.timestamp() - time.time()


@dataclass
class Pins:
    """Levels that the host puts on inputs, and those that the program drives. `wires`: an input's pin -> the one that a
    wire leads to."""

    held: dict[int, int] = field(default_factory=dict)
    wires: dict[int, int] = field(default_factory=dict)
    driven: dict[int, int] = field(default_factory=dict)
    pulled: dict[int, int] = field(default_factory=dict)

    def reset(self) -> None:
        """A reset lets go of what the program drove and pulled; the host's levels stay."""
        self.driven.clear()
        self.pulled.clear()

    def level(self, pin: int) -> int:
        wired = self.driven.get(self.wires.get(pin, pin), self.pulled.get(pin, 0))
        return self.held.get(pin, self.driven.get(pin, wired))
