"""Every boot. boot.py calls start() before anything else can hang; agent.start() does where boot.py has no such line."""

import sys

current = None  # type: ignore  # the Trial of this boot, while one runs
_settled = False
_ONCE = "settle decision remains rare back takeover".split()  # after the start their memory is the program's again


def start() -> None:
    """Settle what the last boot left, or begin the trial of what runs; a second time nothing. Raises OtaError."""
    global _settled
    if not _settled:
        from . import settle

        settle.run()
        _settled = True
        for name in _ONCE:
            sys.modules.pop("ota.boot." + name, None)
            globals().pop(name, None)
