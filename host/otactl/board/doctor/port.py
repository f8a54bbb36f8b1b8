"""The port, and who answers at it."""

import os
import shlex

from otactl.board import ports
from otactl.board.doctor.case import Case
from otactl.board.doctor.findings import Finding, broken, ok
from otactl.errors import RigError

# a word of board/ports.py's reasons -> what to type next
_NEXT = (
    ("no board found", "mpremote connect list"),
    ("no board with the address", "mpremote connect list"),
    ("no such port", "mpremote connect list"),
    ("no serial port", "mpremote connect list"),
)


def port(case: Case) -> Finding:
    if not case.port:
        return ok(f"{case.device} opens")
    if "://" in case.device:
        return broken(case.port, case.on_board("doctor"))
    if "no permission" in case.port:
        return broken(case.port, f"sudo usermod -aG {_group(case.device)} $USER")
    for word, then in _NEXT:
        if word in case.port:
            return broken(case.port, then)
    return broken(case.port, f"fuser -v {shlex.quote(_path(case.device))}")


def _path(device: str) -> str:
    """The port that was tried, as far as it can still be told."""
    try:
        return ports.candidates(device)[0]
    except RigError:
        return device


def _group(device: str) -> str:
    """Who may open it, beside root."""
    try:
        import grp  # not on Windows

        return grp.getgrgid(os.stat(_path(device)).st_gid).gr_name
    except (ImportError, KeyError, OSError):
        return "dialout"


def prompt(case: Case) -> Finding:
    if case.silence:
        return broken(case.silence, case.on_board("logs"))
    return ok("MicroPython answers")
