"""Is the board at the port the one that is meant? Asked before each test, and told in one line where it is not."""

from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from otactl.errors import BoardError, RigError
from otactl.release.firmware import CHIPS

if TYPE_CHECKING:
    from otactl_pytest.board import Board

_ASK = """
import sys, os, machine, binascii
from esp32 import Partition
def _facts():
    head = bytearray(16)
    Partition(Partition.RUNNING).readblocks(0, head)
    try:
        agent = bool(os.stat("/lib/ota"))
    except OSError:
        agent = False
    return {"chip": head[12] | head[13] << 8, "mac": binascii.hexlify(machine.unique_id()).decode(),
        "micropython": ".".join(str(n) for n in sys.implementation.version[:3]),
        "build": getattr(sys.implementation, "_build", ""), "agent": agent,
        "slots": len([p for p in Partition.find(Partition.TYPE_APP) if 16 <= p.info()[1] < 32]),
        "running": Partition(Partition.RUNNING).info()[4]}
"""
_NOT_OURS = ("ImportError", "AttributeError")  # no module esp32 or machine, or other ones by these names


class WrongTarget(RigError):
    """What answers is not the board that was meant: no test may run on it."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What must hold before a test runs; an empty value is not asked for.

    `chip` as esptool spells it, `mac` as 24:0a:c4:12:34:56, `micropython` and `build` as globs ("1.26.*"), `slots`: OTA
    slots at the least, `agent`: the OTA agent is installed.
    """

    chip: str = ""
    mac: str = ""
    micropython: str = ""
    build: str = ""
    slots: int = 0
    agent: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """What the board says of itself, in the same words. `running`: the slot."""

    chip: str
    mac: str
    micropython: str
    build: str
    slots: int
    agent: bool
    running: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def ask(board: "Board") -> Found:
    """Raises WrongTarget for a board that is no ESP32; RigError, also for one that cannot answer (it has no memory left)."""
    try:
        with board.console.hushed():
            told = board.link.value("_facts()", _ASK)
    except BoardError as error:
        if not str(error).startswith(_NOT_OURS):
            raise RigError(
                f"{board.name} does not say what it is ({error}): has its boot.py left it no memory?"
            ) from None
        raise WrongTarget(f"what answers at {board.device} is no ESP32 with MicroPython ({error})") from None
    mac = ":".join(told["mac"][at : at + 2] for at in range(0, len(told["mac"]), 2))
    chip = CHIPS.get(told["chip"], f"chip number {told['chip']}")
    return Found(**told | {"chip": chip, "mac": mac})


def check(board: "Board", expected: Expected) -> Found:
    """Raises WrongTarget with all that is wrong, RigError."""
    found = ask(board)
    if wrong := differences(found, expected):
        raise WrongTarget(f"wrong target: {board.name} {'; '.join(wrong)}")
    return found


def differences(found: Found, expected: Expected) -> list[str]:
    """What is not as it was meant, in words."""
    checks = (  # what is asked for; whether it holds; what is there instead
        (expected.chip, same_chip(found.chip, expected.chip), f"is an {found.chip}, not an {expected.chip}"),
        (expected.mac, same_mac(found.mac, expected.mac), f"has the address {found.mac}, not {expected.mac}"),
        (
            expected.micropython,
            fnmatchcase(found.micropython, expected.micropython),
            f"runs MicroPython {found.micropython}, not {expected.micropython}",
        ),
        (
            expected.build,
            fnmatchcase(found.build, expected.build),
            f"runs the build {found.build or 'without a name'}, not {expected.build}",
        ),
        (expected.slots, found.slots >= expected.slots, f"has {found.slots} OTA slots, not {expected.slots}"),
        (expected.agent, found.agent, "has no agent: `otactl deploy`"),
    )
    return [said for asked, holds, said in checks if asked and not holds]


def same_chip(found: str, expected: str) -> bool:
    """ESP32-C3 is esp32c3 too: esptool writes the one and takes the other."""
    return found == expected.lower().replace("-", "")


def same_mac(found: str, expected: str) -> bool:
    return found == expected.lower().replace("-", ":")
