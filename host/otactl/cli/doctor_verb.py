"""The verb doctor: what is wrong with boards, this machine and this network, worst first."""

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from otactl.cli.options import BOARD, as_json, in_workspace, slow_link, verb
from otactl.errors import UsageError

if TYPE_CHECKING:
    from otactl.board.doctor.table import Row
    from otactl.workspace.roster import Entry

_boards = click.argument(
    "boards",
    nargs=-1,
    metavar="[BOARD]...",
    help="Names of boards.toml, all, or mpremote devices (default: auto).",
)


@verb(BOARD, "doctor -w lamp /dev/ttyUSB0")
@in_workspace
@_boards
@slow_link
@click.option("--all", "everything", is_flag=True, help="Show what is well too.")
@as_json
def doctor(*, workspace: Path, boards: tuple[str, ...], slow: float, everything: bool, as_json: bool) -> int:
    """Say what is wrong with boards, this machine and this network, in the order in which it hurts.

    A board's program is stopped for it, and started anew. Nothing on a board is changed.
    """
    from otactl.board.doctor.examine import told
    from otactl.board.doctor.table import exit_code
    from otactl.cli import display

    found: dict[str, list[Row]] = {}
    entries = _chosen(workspace, boards, slow)
    several = len(entries) > 1
    for entry in entries:
        found[entry.name] = rows = _looked_at(entry, workspace, quiet=as_json)
        if as_json:
            continue
        if several:
            display.show(f"{entry.name}:")
        _show(rows, everything=everything)
    if as_json:
        each = {name: told(rows) for name, rows in found.items()}
        print(json.dumps({"boards": each} if several else each.popitem()[1]))
    return exit_code(row for rows in found.values() for row in rows)


def _chosen(folder: Path, words: tuple[str, ...], slow: float) -> "list[Entry]":
    """The boards meant. A workspace that is not there, or broken, is a row, and its boards are devices."""
    from otactl.workspace.roster import AUTO, Entry, Roster
    from otactl.workspace.workspace import Workspace

    try:
        root = Workspace.find(folder).root
    except UsageError:
        return [Entry(word, word, slow=slow) for word in words or [AUTO]]
    return [dataclasses.replace(entry, slow=entry.slow * slow) for entry in Roster.load(root).chosen(words)]


def _looked_at(entry: "Entry", folder: Path, *, quiet: bool) -> "list[Row]":
    from otactl.board.doctor.examine import examine
    from otactl.cli.display import Bars
    from otactl.cli.reach import Waits

    with Bars(quiet=quiet) as bars:
        return examine(
            entry.device,
            folder,
            name=entry.name,
            slow=entry.slow,
            say=lambda what: bars.wait(f"looking at {what}"),
            tell=Waits(bars, moves=bars.moves),
        )


def _show(rows: "list[Row]", *, everything: bool) -> None:
    from otactl.board.doctor.findings import Verdict
    from otactl.cli import display

    for row in rows:
        said, verdict = f"{row.name}: {row.finding.said}", row.finding.verdict
        if verdict is Verdict.BAD:
            display.failed(said)
        elif verdict is Verdict.WARN:
            display.warn(said)
        elif verdict is Verdict.OK and everything:
            display.done(said)
        if row.finding.then:
            display.type_this(row.finding.then)
    _show_skipped(rows)
    counts = {verdict: sum(row.finding.verdict is verdict for row in rows) for verdict in Verdict}
    if not counts[Verdict.BAD]:
        display.done("nothing is bad of what could be looked at")
    display.show(
        f"{counts[Verdict.BAD]} bad, {counts[Verdict.WARN]} to watch, {counts[Verdict.OK]} well, "
        f"{counts[Verdict.SKIPPED]} not looked at"
    )


def _show_skipped(rows: "list[Row]") -> None:
    """One line for each reason."""
    from otactl.board.doctor.findings import Verdict
    from otactl.cli import display

    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row.finding.verdict is Verdict.SKIPPED:
            reasons.setdefault(row.finding.said, []).append(row.name)
    for why, names in reasons.items():
        display.show(f"  {', '.join(names)}: not looked at ({why})")
