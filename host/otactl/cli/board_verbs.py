"""The verbs that speak with a board: deploy, update, confirm, rollback, status."""

import contextlib
import json
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from otactl.cli.options import BOARD, FILE, as_json, in_workspace, on_board, verb
from otactl.errors import OtactlError

if TYPE_CHECKING:
    from otactl.board.follow import Outcome


@verb(BOARD, "deploy /dev/ttyUSB0")
@in_workspace
@on_board
@click.option("--py", is_flag=True, help="Install .py instead of .mpy.")
@as_json
def deploy(*, workspace: Path, board: str, slow: float, py: bool, as_json: bool) -> int:
    """Install the agent, its configuration and keys on a board."""
    from otactl.board.deploy import deploy as install
    from otactl.cli import display
    from otactl.cli.reach import reached
    from otactl.workspace.workspace import Workspace

    found = Workspace.find(workspace)
    with display.Bars(quiet=as_json) as bars, reached(board, slow, bars) as link:
        say = bars.wait if bars.moves else bars.note  # on a terminal the spinner says which file it is
        done = install(link, found, as_py=py, say=say)
    if as_json:
        told = {"written": done.written, "unchanged": done.unchanged, "removed": done.removed, "advice": done.advice}
        print(json.dumps(told))
        return 0
    display.done(f"deployed: {len(done.written)} written, {done.unchanged} unchanged, {len(done.removed)} removed")
    for advice in done.advice:
        display.warn(advice)
    if not done.advice:  # what is to be mended comes first
        display.follow_up(_words("update", board), "or wait for the board's next look")
    return 0


@verb(BOARD, "update /dev/ttyUSB0")
@on_board
@click.option("--anyway", is_flag=True, help="Also where main.py does not call agent.start(): a module of yours does.")
@click.option(
    "-w", "--workspace", type=FILE, help="Keep the console in its .otactl/logs (default: that of this folder)."
)
@as_json
def update(*, board: str, slow: float, anyway: bool, workspace: Path | None, as_json: bool) -> int:
    """Have a board install the newest release, and follow it to the end."""
    import functools

    from otactl.board import follow
    from otactl.cli.reach import update_log

    log = update_log(workspace, board)
    return _follow(functools.partial(follow.update, anyway=anyway), board, slow, as_json, log)


@verb(BOARD, "confirm /dev/ttyUSB0")
@on_board
@as_json
def confirm(*, board: str, slow: float, as_json: bool) -> int:
    """End a running trial well, by hand."""
    from otactl.board import follow

    return _follow(follow.confirm, board, slow, as_json)


@verb(BOARD, "rollback /dev/ttyUSB0")
@on_board
@as_json
def rollback(*, board: str, slow: float, as_json: bool) -> int:
    """Have a board go back to the release in its other slot."""
    from otactl.board import follow

    return _follow(follow.rollback, board, slow, as_json)


@verb(BOARD, "status /dev/ttyUSB0")
@on_board
@as_json
def status(*, board: str, slow: float, as_json: bool) -> int:
    """Show what a board says of itself.

    Its program is stopped to read it, and started anew: at its start it looks for an update, as at every start.
    """
    from otactl.board import follow
    from otactl.cli import display
    from otactl.cli.boards import show_status
    from otactl.cli.reach import reached

    with display.Bars(quiet=as_json) as bars, reached(board, slow, bars) as link:
        found = follow.status(link)
    if as_json:
        print(json.dumps(found, indent=1))
        return 0
    show_status(found)
    display.show("the board's program was stopped for this and starts anew; at its start it looks for an update")
    return 0


def _follow(run: "Callable[..., Outcome]", board: str, slow: float, as_json: bool, log: Path | None = None) -> int:
    """0 where the board has in the end what was asked for. `log`: where its console is kept."""
    from otactl.cli import display
    from otactl.cli.boards import BoardWatch
    from otactl.cli.reach import reached

    with telling_of(log, as_json), display.Bars(quiet=as_json) as bars, reached(board, slow, bars, log=log) as link:
        outcome = run(link, BoardWatch(bars))
    return tell(outcome, board, as_json, log)


@contextlib.contextmanager
def telling_of(log: Path | None, as_json: bool) -> Iterator[None]:
    """Where it fails a person is told where the board's console is kept."""
    try:
        yield
    except OtactlError:
        if not as_json:
            _tell_of(log)
        raise


def tell(
    outcome: "Outcome",
    board: str,
    as_json: bool,
    log: Path | None,
    *,
    lines: Sequence[str] = (),
    fields: dict[str, Any] | None = None,
) -> int:
    """Say how an update ended. `lines`, `fields`: what stands below that, and beside it in the JSON. Returns the exit code."""
    from otactl.board.codes import sentence
    from otactl.cli import display

    well = outcome.name in ("confirmed", "up-to-date")
    if as_json:
        print(json.dumps(_as_json(outcome) | (fields or {})))
        return 0 if well else 1
    if outcome.name == "confirmed":
        display.done(f"{outcome.version} is confirmed")
    elif outcome.name == "up-to-date":
        display.done(f"{outcome.version} is what the board has: nothing to do")
    else:
        where = f"{outcome.version} was rolled back, " if outcome.name == "rolled-back" else ""
        display.failed(f"{where}{sentence(outcome.reason, outcome.detail)}")
    for line in lines:
        display.show(line)
    if not well:
        _tell_of(log)
    if outcome.hint:
        display.show(outcome.hint)
    display.follow_up(_words("status", board))
    return 0 if well else 1


def _tell_of(log: Path | None) -> None:
    if log and log.exists():
        print(f"what the board said is in {log}")


def _words(verb: str, board: str) -> str:
    return verb if board == "auto" else f"{verb} {shlex.quote(board)}"


def _as_json(outcome: "Outcome") -> dict[str, Any]:
    return {
        "outcome": outcome.name,
        "version": outcome.version,
        "reason": outcome.reason,
        "detail": outcome.detail,
    }
