"""Modules on a board that have the name of one of its application's: what of them hides it, and what it hides."""

from collections.abc import Iterable
from dataclasses import dataclass

from otactl.board.link import Link
from otactl.release import modules

_ASK = """
import os, sys
def _there(paths):
    found = []
    for path in paths:
        try:
            os.stat(path)
            found.append(path)
        except OSError:
            pass
    return found
def _ahead(place):
    return sys.path[:sys.path.index(place)] if place in sys.path else [p for p in sys.path if p != ".frozen"]
"""
_AT_ONCE = 40  # paths in a question: the board has them all in its memory


@dataclass(frozen=True, slots=True)
class Leftovers:
    """`hide`: is found before the application's own; `hidden`: is never found while that is there."""

    hide: list[str]
    hidden: list[str]


def find(link: Link, place: str, names: Iterable[str]) -> Leftovers:
    """Beside the application in `place` ("/app-ota_0") with files of those names, after its boot.py. Raises BoardError,
    RigError."""
    link.run(_ASK)
    ahead = {one.rstrip("/") for one in link.value(f"_ahead({place!r})")}
    wanted = [
        f"{root}/{stem}{ending}"
        for root in sorted({"", "/lib", *ahead})
        for module in sorted({modules.module_of(name).replace(".", "/") for name in names} - {""})
        for stem in (module, f"{module}/__init__")
        for ending in modules.ENDINGS
    ]
    there: list[str] = []
    for at in range(0, len(wanted), _AT_ONCE):
        there += link.value(f"_there({wanted[at : at + _AT_ONCE]!r})")
    hide = [path for path in there if _root(path, ahead) in ahead]
    return Leftovers(hide, [path for path in there if path not in hide])


def _root(path: str, ahead: set[str]) -> str | None:
    """Of the places of sys.path that come first, the one that a file lies in."""
    below = [one for one in ahead if path.startswith(f"{one}/")]
    return max(below, key=len, default=None)
