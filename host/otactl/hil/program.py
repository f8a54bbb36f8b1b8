"""The suite's own program on a board: what it is told to do, and what it says of the board without the agent's help.

boot.py writes a journal before the agent runs: one line a boot, with the slot that the bootloader started and the cause of
the reset. app.py says twice a second, in one line, what it finds: the journal, otadata as it lies in flash, and whether
its own data is whole. Lines that get lost (a chip with its own USB goes away with each reset) come again.
"""

import json
import re
from binascii import unhexlify
from dataclasses import dataclass

from otactl.board import agent
from otactl.board.slots_layout import Entry
from otactl.board.snippets import OTADATA

FOLDER = "/hil"  # all that the suite leaves lying about on a board, but for what deploy writes
PLAN, JOURNAL, DATA = f"{FOLDER}/plan.json", f"{FOLDER}/boots", f"{FOLDER}/data"
SOFT = 5  # machine.SOFT_RESET
_BEAT = re.compile(r"hil: beat (\{.*\})")

_BOOT = """\
# The suite's boot.py: a journal of what the bootloader started, then the agent's own.
try:
    import machine
    from esp32 import Partition

    with open({journal!r}, "a") as f:
        f.write("%s %d\\n" % (Partition(Partition.RUNNING).info()[4], machine.reset_cause()))
except Exception as e:
    print("hil: no journal:", repr(e))
try:
    import json

    with open({plan!r}) as f:
        for pin, level in json.load(f)["pins"]:
            machine.Pin(pin, machine.Pin.OUT, value=level)
except Exception as e:
    print("hil: no pins:", repr(e))
"""
_APP = """\
# The suite's program. It does what the plan says in the slot that the plan is for, and tells what it sees.
import json
import time
{otadata}
_slot = Partition(Partition.RUNNING).info()[4]
with open({plan!r}) as f:
    _plan = json.load(f)
_here = _plan["do"] if _slot == _plan["slot"] else ""


def selftest():
    # for the trial's check `call`
    if _here == "selftest-false":
        return False
    if _here == "selftest-raises":
        raise RuntimeError("as planned")
    return True


def _journal():
    try:
        with open({journal!r}) as f:
            return [line.split() for line in f]
    except OSError:
        return []


def _runs():
    # this program's own data: a number that rises with every start, in the middle of more than a block of flash
    try:
        with open({data!r}) as f:
            text = f.read()
    except OSError:
        text = "%5000d" % 0
    number = int(text) + 1 if len(text) == 5000 else -1
    with open({data!r}, "w") as f:
        f.write("%5000d" % number)
    return number


def _misbehave():
    if _here == "raise":
        raise RuntimeError("as planned")
    if _here == "hang":  # in Python: callbacks still come
        while True:
            pass
    if _here == "deaf":  # in C: nothing of Python runs any more, and nothing feeds the watchdog
        max(range(1 << 40))


def main():
    runs = _runs()
    print("hil: program", _slot)
    if _here:
        _misbehave()
    if _here == "healthy":
        from ota import agent

        agent.healthy()
    while True:
        print("hil: beat", json.dumps(dict(slot=_slot, otadata=_otadata(), boots=_journal(), runs=runs)))
        time.sleep_ms(500)
"""


def boot_py() -> bytes:
    """The suite's boot.py: the journal, then the project's own. Raises RigError."""
    return (_BOOT.format(journal=JOURNAL, plan=PLAN) + agent.hook("boot.py")).encode()


def app_py() -> bytes:
    return _APP.format(otadata=OTADATA, plan=PLAN, journal=JOURNAL, data=DATA).encode()


def plan(slot: str = "", do: str = "", pins: tuple[tuple[int, int], ...] = ()) -> bytes:
    """What the program does where it runs in `slot`: raise, hang, deaf (a hang in C), selftest-false, selftest-raises,
    healthy; nothing by default. `pins`: (number, level) of outputs, set at every boot."""
    return json.dumps({"slot": slot, "do": do, "pins": pins}).encode()


@dataclass(frozen=True, slots=True)
class Boot:
    """One line of the journal. `cause`: machine.reset_cause()."""

    slot: str
    cause: int


@dataclass(frozen=True, slots=True)
class Beat:
    """What the program said once. `boots`: since the journal was begun, without soft resets. `runs`: of the program in
    all, -1 where its data was damaged."""

    slot: str
    otadata: tuple[Entry, ...]  # two, or none where the table has none
    boots: tuple[Boot, ...]
    runs: int


def parse_beat(line: str) -> Beat | None:
    """None for any other line, and for one that came in garbled."""
    found = _BEAT.search(line)
    if not found:
        return None
    try:
        raw = json.loads(found[1])
        boots = [Boot(slot, int(cause)) for slot, cause in raw["boots"]]
        return Beat(
            raw["slot"],
            tuple(Entry.parse(unhexlify(text)) for text in raw["otadata"]),
            tuple(boot for boot in boots if boot.cause != SOFT),
            int(raw["runs"]),
        )
    except (ValueError, KeyError, TypeError):
        return None
