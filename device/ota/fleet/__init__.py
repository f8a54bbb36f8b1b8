"""The board as one of many: what those hear who look after all of them."""

import sys


def let_go(*names: str) -> None:
    """Modules of this room that have done their work make room for what comes; the next look loads them again."""
    for name in names:
        sys.modules.pop(__name__ + "." + name, None)
        globals().pop(name, None)
