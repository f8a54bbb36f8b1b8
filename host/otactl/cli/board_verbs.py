"""The verbs that speak with a board: deploy, update, confirm, rollback, status."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from otactl.cli.options import BOARD, as_json, in_workspace, on_board, verb

if TYPE_CHECKING:
    from otactl.board.follow import Outcome


@verb(BOARD, "deploy /dev/ttyUSB0")
@in_workspace
@on_board
@click.option("--py", is_flag=True, help="Install .py instead of .mpy.")
@as_json
def deploy(*, workspace: Path, board: str, py: bool, as_json: bool) -> int:
    """Install the agent, its configuration and keys on a board."""
    from otactl.board.deploy import deploy as install
    from otactl.board.link import Link
    from otactl.workspace.workspace import Workspace

    found = Workspace.find(workspace)
    with Link(board) as link:
        done = install(link, found, as_py=py, say=(lambda _: None) if as_json else print)
    if as_json:
        told = {"written": done.written, "unchanged": done.unchanged, "removed": done.removed, "advice": done.advice}
        print(json.dumps(told))
        return 0
    print(f"deployed: {len(done.written)} written, {done.unchanged} unchanged, {len(done.removed)} removed")
    for advice in done.advice:
        print(advice)
    return 0


@verb(BOARD, "update /dev/ttyUSB0")
@on_board
@as_json
def update(*, board: str, as_json: bool) -> int:
    """Have a board install the newest release, and follow it to the end."""
    from otactl.board import follow

    return _follow(follow.update, board, as_json)


@verb(BOARD, "confirm /dev/ttyUSB0")
@on_board
@as_json
def confirm(*, board: str, as_json: bool) -> int:
    """End a running trial well, by hand."""
    from otactl.board import follow

    return _follow(follow.confirm, board, as_json)


@verb(BOARD, "rollback /dev/ttyUSB0")
@on_board
@as_json
def rollback(*, board: str, as_json: bool) -> int:
    """Have a board go back to the release in its other slot."""
    from otactl.board import follow

    return _follow(follow.rollback, board, as_json)


@verb(BOARD, "status /dev/ttyUSB0")
@on_board
@as_json
def status(*, board: str, as_json: bool) -> int:
    """Show what a board says of itself."""
    from otactl.board import follow
    from otactl.board.link import Link
    from otactl.cli.display import status_lines

    with Link(board) as link:
        found = follow.status(link)
    print(json.dumps(found, indent=1) if as_json else "\n".join(status_lines(found)))
    return 0


def _follow(run: "Callable[..., Outcome]", board: str, as_json: bool) -> int:
    """0 where the board has in the end what was asked for."""
    from otactl.board.codes import sentence
    from otactl.board.link import Link
    from otactl.cli.display import Bars, BoardWatch

    with Bars(quiet=as_json) as bars, Link(board) as link:
        outcome = run(link, BoardWatch(bars))
    if as_json:
        print(json.dumps(_as_json(outcome)))
    elif outcome.name == "confirmed":
        print(f"{outcome.version} is confirmed")
    elif outcome.name == "up-to-date":
        print(f"{outcome.version} is what the board has: nothing to do")
    else:
        where = f"{outcome.version} was rolled back, " if outcome.name == "rolled-back" else ""
        print(f"{where}{sentence(outcome.reason, outcome.detail)}")
    return 0 if outcome.name in ("confirmed", "up-to-date") else 1


def _as_json(outcome: "Outcome") -> dict[str, Any]:
    return {
        "outcome": outcome.name,
        "version": outcome.version,
        "reason": outcome.reason,
        "detail": outcome.detail,
    }
