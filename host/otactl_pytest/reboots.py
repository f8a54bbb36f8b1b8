"""Which reboot the console tells of: the ROM's first line, and what a crash or a watchdog said before it.

The ROM knows the kind of reset, not always its reason: ESP-IDF restarts a chip by software after a panic and after the
task watchdog too (esp_system/panic.c). Words of resets: esp_rom/<chip>/include/*/rtc.h.
"""

import re
from dataclasses import dataclass

from otactl_pytest.console import ConsoleLog

BANNER = re.compile(r"^.*rst:(0x[0-9a-f]+) \((\w+)\)[^\n]*\n", re.MULTILINE)
_BY_NAME = (  # the first that the reset's name contains
    ("POWERON", "power"),
    ("BROWN", "brownout"),
    ("DEEPSLEEP", "deepsleep"),
    ("DSLEEP", "deepsleep"),
    ("WDT", "watchdog"),
    ("USB", "usb"),
    ("JTAG", "debugger"),
    ("GLITCH", "power glitch"),
    ("SW", "software"),
    ("RESTART", "software"),
)
_BEFORE = (  # what the firmware says before it restarts the chip by software
    (re.compile(r"task_wdt: Task watchdog got triggered|Interrupt wdt timeout"), "watchdog"),
    (re.compile(r"Brownout detector was triggered"), "brownout"),
    (re.compile(r"Guru Meditation Error|abort\(\) was called|assert failed:|ESP_ERROR_CHECK failed"), "panic"),
)
CAUSES = tuple(dict.fromkeys([*(cause for _, cause in _BY_NAME), "panic"]))


@dataclass(frozen=True, slots=True)
class Reboot:
    """`cause`: one of CAUSES, or "" where the ROM's word is unknown. `rom`: its name for the reset."""

    cause: str
    rom: str


def next_one(console: ConsoleLog, timeout: float, *, take: bool = True) -> Reboot | None:
    """The next reboot since the console's mark, within `timeout` seconds; each is met once, unless it is not to `take`."""
    found = console.search_line(BANNER, timeout, take=take)
    return told_by(*found) if found else None


def told_by(banner: re.Match[str], before: str) -> Reboot:
    """`before`: what the console said since the program was started."""
    name = banner[2]
    cause = next((cause for word, cause in _BY_NAME if word in name), "")
    if cause == "software":
        cause = next((why for pattern, why in _BEFORE if pattern.search(before)), cause)
    return Reboot(cause, name)
