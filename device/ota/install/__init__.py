"""From a look at the server to the switch: source -> transform -> target."""

import os


def applications() -> bool:
    """Whether any slot has an application's directory: without one nothing of applications is loaded."""
    return any(name.startswith("app-") for name in os.listdir("/"))
