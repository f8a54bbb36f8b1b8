"""What a board says of itself in the request that it makes anyway: the header `Ota-Board`.

    Ota-Board: id=240ac4123456;product=lamp;have=2;phase=failed;seq=3;why=check-wifi;up=731;heap=81234;rssi=-61

Nobody vouches for it: whoever can reach the server can send one. It is shown and counted, and decides nothing that a board
would have to trust (P8)."""

import re
from dataclasses import dataclass

HEADER = "Ota-Board"
LONGEST = 512  # characters of the header; the rest of a longer one is not looked at
PHASES = (
    "idle",
    "writing",
    "ready",
    "trial",
    "confirmed",
    "failed",
    "held",  # failed, by what is not the release's fault: it is tried again
)  # of a board's last job (device/ota/net/checkin.py)
ON_TRIAL = ("ready", "trial")

_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,31}\Z")
_WORD = re.compile(r"[\x21-\x7e]{1,64}\Z")
_NUMBER = re.compile(r"-?[0-9]{1,10}\Z")


@dataclass(frozen=True, slots=True)
class CheckIn:
    """One board's word. `have`: the sequence of the release that runs, 0 where the board does not know; `sequence`, `phase`
    and `reason` (a code, "" for none) of its last job, or of a look after it that came to nothing (phase idle); `uptime` in seconds;
    `heap`: bytes free; `rssi` in dBm; `what` a program on trial raised, blanks as `_`; `waits`: no program stands still while this
    look is not answered. None: not told."""

    id: str
    product: str = ""
    have: int = 0
    phase: str = "idle"
    sequence: int = 0
    reason: str = ""
    uptime: int | None = None
    heap: int | None = None
    rssi: int | None = None
    what: str = ""
    waits: bool = False


def parse(header: str) -> CheckIn | None:
    """The check-in that a header holds; None where it names no board. What it does not know, or what is not of its kind, is
    passed over: an agent of tomorrow may say more."""
    said: dict[str, str] = {}
    for part in header[:LONGEST].split(";"):
        name, _, value = part.strip().partition("=")
        said.setdefault(name, value)
    if not _ID.match(said.get("id", "")):
        return None
    phase = said.get("phase", "")
    return CheckIn(
        id=said["id"],
        product=_word(said, "product"),
        have=_count(said, "have"),
        phase=phase if phase in PHASES else "idle",
        sequence=_count(said, "seq"),
        reason=_word(said, "why"),
        uptime=_number(said, "up"),
        heap=_number(said, "heap"),
        rssi=_number(said, "rssi"),
        what=_word(said, "what"),
        waits=said.get("wait") == "1",
    )


def _word(said: dict[str, str], name: str) -> str:
    value = said.get(name, "")
    return value if _WORD.match(value) else ""


def _number(said: dict[str, str], name: str) -> int | None:
    value = said.get(name, "")
    return int(value) if _NUMBER.match(value) else None


def _count(said: dict[str, str], name: str) -> int:
    return max(0, _number(said, name) or 0)
