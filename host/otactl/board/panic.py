"""What ROM, bootloader and panic handler print when a board crashes or does not start, in a person's words.

Sources: ESP-IDF esp_system/panic.c and port/arch, esp_rom/<chip>/include/*/rtc.h (numbers of resets, the same for all
chips), bootloader_support (messages of a start that fails); facts 6.9, 10.2 and 10.12.
"""

import re
from collections.abc import Callable, Iterable

_MOST_ADDRESSES = 8  # of a backtrace: a line must stay a line
_MEANS = {  # the panic handler's names, Xtensa and RISC-V
    "LoadProhibited": "it read where no memory is, often as memory ran out",
    "StoreProhibited": "it wrote where no memory is, often as memory ran out",
    "InstrFetchProhibited": "it jumped to where no code is",
    "InstructionFetchError": "it jumped to where no code is",
    "LoadStoreError": "it read or wrote memory in a way that the memory does not take",
    "LoadStoreAlignment": "it read or wrote at an address that is not aligned",
    "IllegalInstruction": "it came to bytes that are no code",
    "IntegerDivideByZero": "it divided by zero",
    "Load access fault": "it read where no memory is, often as memory ran out",
    "Store access fault": "it wrote where no memory is, often as memory ran out",
    "Instruction access fault": "it jumped to where no code is",
    "Illegal instruction": "it came to bytes that are no code",
    "Stack protection fault": "its stack was too small",
    "Cache disabled but cached memory region accessed": "it used flash while flash was being written",
    "Cache error": "it used flash while flash was being written",
    "Unhandled debug exception": "its stack was too small, or a breakpoint was left in it",
}
_INTERRUPTS_OFF = "interrupts were off for too long, as after machine.disable_irq() and a loop"
_RESETS = {  # number: (whether it is a fault, what it means)
    0x01: (False, "power came, or the reset button was pressed"),
    0x03: (False, "the program restarted it"),
    0x04: (True, "a watchdog ended a program that hung"),
    0x05: (False, "it woke from deep sleep"),
    0x07: (True, f"a watchdog ended it: {_INTERRUPTS_OFF}"),
    0x08: (True, f"a watchdog ended it: {_INTERRUPTS_OFF}"),
    0x09: (True, "the watchdog over the start ended a firmware that hung in it"),
    0x0B: (True, "a watchdog ended a program that hung"),
    0x0C: (False, "the program restarted it, or a crash did"),
    0x0D: (True, "the watchdog over the start ended a firmware that hung in it"),
    0x0E: (False, "the other core restarted it"),
    0x0F: (True, "the supply voltage fell too low: a better cable or power supply, or a capacitor"),
    0x10: (True, "the watchdog over the start ended a firmware that hung in it"),
    0x11: (True, "a watchdog ended a program that hung"),
    0x12: (True, "the super watchdog ended it: the chip itself hung"),
    0x13: (True, "the supply voltage or the clock had a glitch: see its power supply"),
    0x15: (False, "its USB port reset it, as esptool does"),
    0x16: (False, "its debugger reset it"),
    0x17: (True, "the supply voltage had a glitch: see its power supply"),
}
_CRASH, _NO_START, _RESET, _DETAIL = range(4)  # what a person needs first
_Told = tuple[int, str]


def explain(line: str) -> str | None:
    """One sentence, without a full stop, on what a console line tells of a crash or a failed start; else None."""
    told = _told(line)
    return told[1] if told else None


def cause(lines: Iterable[str]) -> str | None:
    """The sentence of the line that says most about why a board crashed or does not start; None where none does.

    A crash counts for more than a start that failed, that for more than a reset by a watchdog or the supply, and of
    two alike the first counts. A backtrace follows in the same line. Resets that are nobody's fault are passed over.
    """
    found = [told for told in map(_told, lines) if told]
    faults = [told for told in found if told[0] < _DETAIL]
    if not faults:
        return None
    rank, says = min(faults, key=lambda told: told[0])
    traces = [text for kind, text in found if kind == _DETAIL and "called from" in text]
    return f"{says}; {traces[0]}" if rank == _CRASH and traces else says


def _told(line: str) -> _Told | None:
    for pattern, tell in _LINES:
        if found := pattern.search(line):
            return tell(found)
    return None


def _guru(found: re.Match[str]) -> _Told:
    core, what = found["core"], found["what"].strip()
    if watchdog := re.match(r"Interrupt wdt timeout on CPU ?\d", what):
        return _CRASH, f"crash on core {core}, {watchdog[0]}: {_INTERRUPTS_OFF}"
    means = _MEANS.get(what.split(" (")[0])
    return _CRASH, f"crash on core {core}, {what}" + (f": {means}" if means else "")


def _reset(found: re.Match[str]) -> _Told:
    if "DOWNLOAD" in found["rest"]:
        return _NO_START, "the board waits for esptool, not for its program: let go of the BOOT button and reset it"
    fault, means = _RESETS.get(int(found["number"], 16), (True, "a reset of a kind that otactl does not know"))
    return _RESET if fault else _DETAIL, f"reset {found['name']}: {means}"


def _backtrace(found: re.Match[str]) -> _Told:
    addresses = re.findall(r"(0x[0-9a-f]{8}):0x[0-9a-f]{8}", found[0])
    more = " …" if len(addresses) > _MOST_ADDRESSES else ""
    shown = " ".join(addresses[:_MOST_ADDRESSES]) + more
    return _DETAIL, f"called from {shown} (addr2line and the firmware's ELF file name the lines)"


def _says(rank: int, template: str) -> Callable[[re.Match[str]], _Told]:
    return lambda found: (rank, template.format(*(text.strip() for text in found.groups())))


_LINES: list[tuple[re.Pattern[str], Callable[[re.Match[str]], _Told]]] = [
    (re.compile(pattern), tell)
    for pattern, tell in [
        (
            r"Guru Meditation Error: Core\s+(?P<core>\d) panic'ed \((?P<what>.+?)\)(?=[.\s]|$)",
            _guru,
        ),
        (r"Guru Meditation Error: (.+)", _says(_CRASH, "crash: {}")),
        (
            r"abort\(\) was called at PC (0x[0-9a-f]+)",
            _says(_CRASH, "the firmware gave up, abort() at {}: the lines before say why"),
        ),
        (r"abort\(\) was called: (.+)", _says(_CRASH, "the firmware gave up, abort(): {}")),
        (r"assert failed: (.+)", _says(_CRASH, "the firmware gave up, assert failed: {}")),
        (r"ESP_ERROR_CHECK failed: (.+)", _says(_CRASH, "the firmware gave up, ESP_ERROR_CHECK failed: {}")),
        (
            r"A stack overflow in task (\S+) has been detected",
            _says(_CRASH, "crash: the stack of task {} was too small"),
        ),
        (r"NLR jump failed", _says(_CRASH, "crash: an exception that MicroPython could not hand on")),
        (
            r"task_wdt: Task watchdog got triggered",
            _says(_CRASH, "the watchdog was not fed in its time: the program hangs, or feeds it too seldom"),
        ),
        (
            r"Brownout detector was triggered",
            _says(_CRASH, "the supply voltage fell too low: a better cable or power supply, or a capacitor"),
        ),
        (
            r"invalid header: (0x[0-9a-f]+)",
            _says(
                _NO_START,
                "no bootloader where the chip looks for one ({}): flash the board by cable, at the chip's offset",
            ),
        ),
        (
            r"flash read err|Invalid image block, can't boot",
            _says(_NO_START, "the chip cannot read its bootloader: flash the board by cable, at the chip's offset"),
        ),
        (
            r"No bootable app partitions",
            _says(_NO_START, "no slot holds an image that starts: flash the board by cable"),
        ),
        (
            r"load partition table error|Failed to verify partition table",
            _says(_NO_START, "the partition table is missing or damaged: flash the board by cable"),
        ),
        (
            r"((?:OTA|Factory) app partition(?: slot \d+)?) is not bootable",
            _says(_NO_START, "{}: the image in it does not start, the bootloader tries another"),
        ),
        (r"Image hash failed", _says(_NO_START, "the image in a slot is damaged: its SHA-256 is wrong")),
        (r"rst:(?P<number>0x[0-9a-f]+) \((?P<name>\w+)\)(?P<rest>.*)", _reset),
        (r"Backtrace:(?: ?0x[0-9a-f]{8}:0x[0-9a-f]{8})+", _backtrace),
    ]
]
