"""Every start of a board without two slots: which directory the program comes from. /boot.py calls start() first."""

import sys

from micropython import const

from ..console import say
from ..errors import OtaError
from . import record

_STARTS = const(8)  # of a release that is tried, without a confirmation: each look at it by cable is two
current = None  # type: ignore  # the Trial of this boot, while one runs
_done = False


def start() -> None:
    """Put the directory at the head of sys.path; what is tried gets a watchdog. A second time nothing. Raises OtaError."""
    global _done, current
    if _done:
        return
    _done = True
    kept = record.load()
    value = kept.value
    trying = value["trying"]
    try:
        if trying and value["starts"] >= _STARTS:
            kept.fail("trial-restarts", _STARTS)
        elif trying:
            kept.set(starts=value["starts"] + 1)
        trying = value["trying"]
    except OtaError as e:  # what is not counted is not tried
        say("error", e)
        trying = None
    label = trying or value["current"]
    if label:
        sys.path.insert(0, record.FOLDER + label)
    if trying:
        from . import trial

        current = trial.Trial(kept)
        current.arm()
    elif not value["told"]:
        say("rolled-back", value["next"].get("version", "unknown"), value["reason"], value["detail"])
        kept.note("told", True)
