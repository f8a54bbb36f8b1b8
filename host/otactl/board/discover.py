"""What answers at a port: which chip, with which address, and what runs on it."""

import contextlib
from dataclasses import dataclass

from otactl.board import follow, ports
from otactl.board.link import Link
from otactl.board.slots_rom import RomSource, is_silent
from otactl.board.timed import Stop, Tell
from otactl.errors import BoardError, RigError
from otactl.release.firmware import CHIPS

ANSWERS, IN_LOADER, NO_ANSWER = "answers", "in its loader", "no answer"
_ASK = "import machine, binascii, sys"
_WHO = (
    "[binascii.hexlify(machine.unique_id()).decode(), sys.implementation._machine, "
    "'.'.join(map(str, sys.implementation[1][:3]))]"
)


@dataclass(frozen=True, slots=True)
class Found:
    """A port as it is now.

    `state`: answers (at a MicroPython prompt), in its loader, no answer, busy, no permission, no serial port, not
    there. `port`: what was opened, empty where nothing was. `chip` as esptool spells it, `mac` as 24:0a:c4:12:34:56.
    `release`: what the agent has installed; empty where there is no agent, or it does not know.
    """

    state: str
    port: str = ""
    chip: str = ""
    mac: str = ""
    micropython: str = ""
    release: str = ""

    @property
    def known(self) -> bool:
        """Whether it is said which board it is."""
        return bool(self.mac)


def look(device: str, *, slow: float = 1.0, tell: Tell | None = None, stop: Stop | None = None) -> Found:
    """Ask the board at `device` what it is. Its program is interrupted, and started again.

    `slow`, `tell` and `stop` as a Link takes them. A board that says nothing is asked as one in its loader, and left there.
    """
    try:
        paths = ports.candidates(device, slow)
    except RigError:
        return Found(ports.NOT_THERE)
    if is_silent(device, slow):
        return _in_loader(device, paths[0])
    try:
        link = Link(device, slow=slow, tell=tell, stop=stop)
    except RigError:
        return Found(ports.trouble(paths[0]) or ports.NOT_THERE)
    try:
        with link:
            return _at_prompt(link)
    except (RigError, BoardError):  # no MicroPython, or no ESP32's
        return Found(NO_ANSWER, link.path)


def _at_prompt(link: Link) -> Found:
    """Raises BoardError, RigError."""
    digits, machine, version = link.value(_WHO, _ASK)
    release = ""
    with contextlib.suppress(BoardError):  # no agent, or its configuration is not whole
        release = follow.status(link)["installed"]["version"] or ""
    return Found(ANSWERS, link.path, _chip(machine), ports.spelled(digits), version, release)


def _in_loader(device: str, path: str) -> Found:
    try:
        with RomSource(device, found=True) as rom:
            return Found(IN_LOADER, path, rom.chip, rom.mac)
    except (RigError, BoardError):
        return Found(NO_ANSWER, path)


def _chip(machine: str) -> str:
    """From `Generic ESP32S3 module with ESP32S3`; since 1.29 with a hyphen, and some boards name a package."""
    word = machine.rpartition(" ")[2].lower().replace("-", "")
    return max((chip for chip in CHIPS.values() if word.startswith(chip)), key=len, default=word)
