"""What a release is, and whether this board may take it."""

import sys

_JUDGES = "envelope signature keys trust fresh policy".split()


def make_room() -> None:
    """What judges a release is let go: a connection that opens, or what comes by it, needs the memory."""
    let_go(*_JUDGES)


def let_go(*names: str) -> None:
    """Modules of this room that have done their work make room for what comes; the next look loads them again."""
    for name in names:
        sys.modules.pop(__name__ + "." + name, None)
        globals().pop(name, None)
