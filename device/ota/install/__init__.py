"""From a look at the server to the switch: source -> transform -> target."""

import os
import sys


def applications() -> bool:
    """Whether any slot has an application's directory: without one nothing of applications is loaded."""
    return any(name.startswith("app-") for name in os.listdir("/"))


def let_go(*names: str) -> None:
    """Modules of this room that have done their work make room for what comes."""
    for name in names:
        sys.modules.pop(__name__ + "." + name, None)
        globals().pop(name, None)
