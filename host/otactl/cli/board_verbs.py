"""The verbs that speak with boards, one or many: update, confirm, rollback, status."""

import contextlib
import functools
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from otactl.cli.options import BOARD, FILE, as_json, on_boards, verb
from otactl.errors import OtactlError

if TYPE_CHECKING:
    from otactl.board.follow import Outcome
    from otactl.cli.chosen import Boards
    from otactl.cli.many import Ending
    from otactl.cli.rows import Row
    from otactl.workspace.roster import Entry

_WELL = ("confirmed", "up-to-date")  # outcomes that were asked for


@verb(BOARD, "update /dev/ttyUSB0")
@on_boards
@click.option("--anyway", is_flag=True, help="Also where main.py does not call agent.start(): a module of yours does.")
@click.option(
    "-w",
    "--workspace",
    type=FILE,
    help="With boards.toml, and for the console in its .otactl/logs (default: that of this folder).",
)
@as_json
def update(*, boards: "Boards", anyway: bool, workspace: Path | None, as_json: bool) -> int:
    """Have boards install the newest release, and follow them to the end."""
    from otactl.board import follow
    from otactl.cli.reach import update_log

    kept = {entry.name: log for entry in boards.entries if (log := update_log(workspace, entry.name))}
    return _follow(functools.partial(follow.update, anyway=anyway), boards, as_json, kept)


@verb(BOARD, "confirm /dev/ttyUSB0")
@on_boards
@as_json
def confirm(*, boards: "Boards", as_json: bool) -> int:
    """End a running trial well, by hand."""
    from otactl.board import follow

    return _follow(follow.confirm, boards, as_json)


@verb(BOARD, "rollback /dev/ttyUSB0")
@on_boards
@as_json
def rollback(*, boards: "Boards", as_json: bool) -> int:
    """Have boards go back to the release in their other slot."""
    from otactl.board import follow

    return _follow(follow.rollback, boards, as_json)


@verb(BOARD, "status /dev/ttyUSB0")
@on_boards
@as_json
def status(*, boards: "Boards", as_json: bool) -> int:
    """Show what boards say of themselves.

    A board's program is stopped to read it, and started anew: at its start it looks for an update, as at every start.
    """
    from otactl.board import follow
    from otactl.cli import display, many
    from otactl.cli.boards import in_a_line, show_status
    from otactl.cli.reach import reached

    def one(entry: "Entry", row: "Row") -> many.Ending:
        with reached(entry.device, entry.slow, row) as link:
            found = follow.status(link)
        tried = found["job"]["version"] if found["trial"] else None  # it is installed once it is confirmed
        version = found["installed"]["version"] or tried or "unknown"
        return many.Ending(True, "on trial" if found["trial"] else "runs", version, in_a_line(found), found)

    if boards.several:
        return many.run(boards.entries, one, as_json=as_json)
    (entry,) = boards.entries
    with display.Bars(quiet=as_json) as bars, reached(entry.device, entry.slow, bars) as link:
        found = follow.status(link)
    if as_json:
        print(json.dumps(found, indent=1))
        return 0
    show_status(found)
    display.show("the board's program was stopped for this and starts anew; at its start it looks for an update")
    return 0


def _follow(
    run: "Callable[..., Outcome]", boards: "Boards", as_json: bool, logs: "dict[str, Path] | None" = None
) -> int:
    """0 where each board has in the end what was asked for. `logs`: where the console of a board, by name, is kept."""
    from otactl.cli import many

    kept = logs or {}
    if not boards.several:
        (entry,) = boards.entries
        return _follow_one(run, entry, as_json, kept.get(entry.name))
    return many.run(
        boards.entries, lambda entry, row: follow_in_row(run, entry, row, kept.get(entry.name)), as_json=as_json
    )


def follow_in_row(run: "Callable[..., Outcome]", entry: "Entry", row: "Row", log: Path | None) -> "Ending":
    """One board of many: `run` gets its link and what watches it. `log`: where its console is kept."""
    from otactl.board.codes import sentence
    from otactl.cli import display, many
    from otactl.cli.boards import BoardWatch
    from otactl.cli.reach import reached

    well = False
    try:
        with reached(entry.device, entry.slow, row, log=log) as link:
            outcome = run(link, BoardWatch(row))
        well = outcome.name in _WELL
    finally:
        if not well and log and log.exists():
            row.say(f"what the board said is in {display.short(log)}")
    if outcome.hint:
        row.say(outcome.hint)
    why = sentence(outcome.reason, outcome.detail) if outcome.reason else ""
    return many.Ending(well, outcome.name, outcome.version, why, _as_json(outcome))


def _follow_one(run: "Callable[..., Outcome]", entry: "Entry", as_json: bool, log: Path | None) -> int:
    from otactl.cli import display
    from otactl.cli.boards import BoardWatch
    from otactl.cli.reach import reached

    with (
        telling_of(log, as_json),
        display.Bars(quiet=as_json) as bars,
        reached(entry.device, entry.slow, bars, log=log) as link,
    ):
        outcome = run(link, BoardWatch(bars))
    return tell(outcome, as_json, log)


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
    as_json: bool,
    log: Path | None,
    *,
    lines: Sequence[str] = (),
    fields: dict[str, Any] | None = None,
) -> int:
    """Say how an update ended; the exit code. `lines`, `fields`: what stands below that, and beside it in the JSON."""
    from otactl.board.codes import sentence
    from otactl.cli import display

    well = outcome.name in _WELL
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
    display.follow_up("status")
    return 0 if well else 1


def _tell_of(log: Path | None) -> None:
    if log and log.exists():
        from otactl.cli import display

        display.show(f"what the board said is in {display.short(log)}")


def _as_json(outcome: "Outcome") -> dict[str, Any]:
    return {
        "outcome": outcome.name,
        "version": outcome.version,
        "reason": outcome.reason,
        "detail": outcome.detail,
    }
