"""The verb doctor: what is wrong with boards, this machine and this network, worst first."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from otactl.cli.options import BOARD, as_json, in_workspace, several_boards, slow_link, verb, with_tags
from otactl.errors import UsageError

if TYPE_CHECKING:
    from otactl.board.doctor.table import Row
    from otactl.cli.chosen import Boards
    from otactl.cli.many import Ending
    from otactl.cli.rows import Row as Line
    from otactl.cli.shown import Shown
    from otactl.workspace.roster import Entry


@verb(BOARD, "doctor -w lamp /dev/ttyUSB0")
@in_workspace
@several_boards
@with_tags
@slow_link
@click.option("--all", "everything", is_flag=True, help="Show what is well too.")
@as_json
def doctor(
    *, workspace: Path, boards: tuple[str, ...], tags: tuple[str, ...], slow: float, everything: bool, as_json: bool
) -> int:
    """Say what is wrong with boards, this machine and this network, in the order in which it hurts.

    A board's program is stopped for it, and started anew. Nothing on a board is changed.
    """
    from otactl.board.doctor.examine import told
    from otactl.board.doctor.table import exit_code
    from otactl.cli import display

    meant = _chosen(workspace, boards, tags, slow)
    found = _all(meant, workspace, quiet=as_json)
    if as_json:
        each = {name: told(rows) for name, rows in found.items()}
        print(json.dumps({"boards": each} if meant.several else each.popitem()[1]))
    else:
        for name, rows in found.items():
            if meant.several:
                display.show(f"{name}:")
            _show(rows, everything=everything)
    return exit_code(row for rows in found.values() for row in rows)


def _chosen(folder: Path, words: tuple[str, ...], tags: tuple[str, ...], slow: float) -> "Boards":
    """The boards meant. A workspace that is not there, or broken, is a row, and its boards are devices."""
    from otactl.cli import chosen
    from otactl.workspace.roster import AUTO, Entry
    from otactl.workspace.workspace import Workspace

    try:
        Workspace.find(folder)
    except UsageError:
        if folder != Path():
            return chosen.Boards(tuple(Entry(word, word, slow=slow) for word in words or [AUTO]), len(words) > 1)
        return chosen.boards(words, tags, None, slow)
    return chosen.boards(words, tags, folder, slow)


def _all(meant: "Boards", folder: Path, *, quiet: bool) -> "dict[str, list[Row]]":
    """The rows by the boards' names; of several at once. Raises KeyboardInterrupt, SystemExit once all are left in order."""
    from otactl.cli import display, many

    found: dict[str, list[Row]] = {}
    if not meant.several:
        (entry,) = meant.entries
        with display.Bars(quiet=quiet) as bars:
            return {entry.name: _looked_at(entry, folder, bars)}

    def one(entry: "Entry", line: "Line") -> "Ending":
        found[entry.name] = _looked_at(entry, folder, line)
        return many.Ending(True, "looked at")

    _, stopped = many.gathered(meant.entries, one, lines=False, rows=not quiet)
    if stopped:
        raise stopped
    missing = [entry for entry in meant.entries if entry.name not in found]  # no port has their address
    found |= {entry.name: _looked_at(entry, folder, display.Bars(quiet=True)) for entry in missing}
    return {entry.name: found[entry.name] for entry in meant.entries}


def _looked_at(entry: "Entry", folder: Path, shown: "Shown") -> "list[Row]":
    from otactl.board.doctor.examine import examine
    from otactl.cli.reach import Waits

    return examine(
        entry.device,
        folder,
        name=entry.name,
        slow=entry.slow,
        say=lambda what: shown.wait(f"looking at {what}"),
        tell=Waits(shown, moves=shown.moves),
        stop=shown.stop,
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
