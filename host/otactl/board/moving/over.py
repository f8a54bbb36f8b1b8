"""`otactl deploy --app`: the agent and the first application onto a board, which starts before what was there is given up."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from otactl.board import deploy, hooks
from otactl.board.deploy import Deployed
from otactl.board.link import Link
from otactl.board.moving import begin, leftovers
from otactl.board.moving.ready import Ready, ready
from otactl.board.moving.switch import BEFORE, MAIN_BEFORE, Switch
from otactl.errors import BoardError
from otactl.release.application import Asked
from otactl.workspace.workspace import Workspace

Say = Callable[[str], None]


@dataclass
class Moved:
    """`place`: where the application lies. `written`: whether it was not there before. `kept`: the copy of a main.py that gave
    way, empty where none did. `hide`, `hidden`: as leftovers.Leftovers, of what is left; `removed`: those that are not."""

    deployed: Deployed
    place: str
    files: int
    size: int
    written: bool
    kept: str = ""
    hide: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)


def move(
    link: Link,
    workspace: Workspace,
    asked: Asked,
    *,
    remove_leftovers: bool = False,
    say: Say = lambda _: None,
    **how: Any,
) -> Moved:
    """Deploy, put the folder in its place, and let the board start it. `how`: as deploy.deploy() takes it.

    A program that ends in an exception is taken away again, and what ran before runs. Raises as deploy() and ready(), and
    BoardError with that exception.
    """
    wanted = ready(link, asked)
    done = deploy.deploy(link, workspace, say=say, **how)
    done.advice = [*wanted.made.notes, *(one for one in done.advice if one != hooks.advice("main.py"))]
    switch = _at_the_board(link, say)
    written = not switch.holds(wanted)
    if written:
        switch.install(wanted)
    moved = Moved(done, switch.now, len(wanted.made.files), wanted.made.unpacked, written)
    trace = begin.fault(link)
    if trace and written:
        _back(link, wanted, say)
        raise BoardError(
            f"the application ended in {trace[-1]}: it was taken away, and what was there before runs again; its traceback: "
            + " | ".join(line.strip() for line in trace[1:-1]),
            code="app-crashed",
        )
    if trace:
        raise BoardError(f"the application ended in {trace[-1]}", code="app-crashed")
    link.enter_repl()
    _look_around(link, moved, wanted, say, remove=remove_leftovers)
    return moved


def undo(link: Link, say: Say = lambda _: None) -> str:
    """Take the application away that came by cable: what was there before runs again. Where it lay.

    Raises BoardError where there is none, or a release is on trial; RigError.
    """
    alone = deploy.single.is_single(deploy.facts(link))
    switch = _at_the_board(link, say)
    place = switch.now
    switch.undo(single=alone)
    return place


def _at_the_board(link: Link, say: Say) -> Switch:
    link.enter_repl()  # with its new boot.py, and nothing of the agent before
    return Switch(link, say, deploy.FILES)


def _back(link: Link, wanted: Ready, say: Say) -> None:
    link.enter_repl()
    Switch(link, say, deploy.FILES).undo(single=wanted.single)


def _look_around(link: Link, moved: Moved, wanted: Ready, say: Say, *, remove: bool) -> None:
    found = leftovers.find(link, moved.place, wanted.made.files)
    moved.hide, moved.hidden = found.hide, found.hidden
    kept = link.value("[n for n in os.listdir('/') if n == 'before-app']")
    moved.kept = MAIN_BEFORE if kept else ""
    if not remove:
        return
    moved.removed = [*moved.hide, *moved.hidden, *([moved.kept] if moved.kept else [])]
    Switch(link, say, deploy.FILES).remove([path for path in moved.removed if not path.startswith(BEFORE)])
    moved.hide, moved.hidden, moved.kept = [], [], ""
