"""The first start of an application that came by cable, watched at the board's console."""

import time

from otactl.board.link import Link

_LOOK_S = 80.0  # agent.start() looks for an update first, for 60 s unless the configuration says otherwise
_SETTLE_S = 3.0
_POLL_S = 0.25
_ANEW = "soft reboot"  # what MicroPython says first
_ENDED = "for more information."  # of the banner, behind a program that has come to its end
_LOOKS_ON = ("ota: download", "ota: release", "ota: verify", "ota: check", "ota: wifi", "ota: waiting")
_LEAVES = ("ota: switch", "ota: trial")  # a release of the channel takes the place of this


def fault(link: Link) -> list[str]:
    """Let the board start, and see whether its program runs: the traceback with which it ended; empty where it did not.

    The board runs by itself afterwards. Raises RigError where the port is lost.
    """
    link.restart_program()
    limit = link.patience.limit
    until, anew = time.monotonic() + limit(_LOOK_S), False
    trace: list[str] = []
    link.patience.begin("the application to start", _LOOK_S + _SETTLE_S)
    while time.monotonic() < until:
        line = link.line(_POLL_S)
        if not line:
            continue
        if not anew:
            anew = _ANEW in line
        elif line.startswith("Traceback"):
            trace = [line]
        elif trace and _ENDED in line:
            return [one for one in trace if not one.startswith("MicroPython ")]
        elif _ENDED in line or line.startswith(_LEAVES):
            return []
        elif trace:
            trace.append(line)
        if anew and not line.startswith(_LOOKS_ON):  # the look is over, or the program says something
            until = min(until, time.monotonic() + limit(_SETTLE_S))
    return []
