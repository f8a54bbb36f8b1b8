"""Which boards a command's words mean: names of boards.toml, devices, all, tags; and auto where several are plugged in."""

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import rich_click as click

from otactl.board import ports
from otactl.errors import UsageError
from otactl.workspace.roster import AUTO, Entry, Roster
from otactl.workspace.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Boards:
    """`several`: the command asked for more than one, or for as many as there are, so that it is told as many."""

    entries: tuple[Entry, ...]
    several: bool


def roster(workspace: Path | None) -> Roster:
    """The boards.toml of the workspace named, or of the one that the current folder lies in; outside of any, here.

    Raises UsageError.
    """
    try:
        root = Workspace.find(workspace or Path()).root
    except UsageError:
        if workspace is not None:
            raise
        root = Path()
    return Roster.load(root)


def board(word: str, workspace: Path | None, slow: float) -> Entry:
    """The board that one word means; its `slow` is times `slow`. Raises UsageError."""
    known = roster(workspace)
    return _patient(_which(known.one(word), known), slow)


def boards(words: Sequence[str], tags: Sequence[str], workspace: Path | None, slow: float) -> Boards:
    """The boards that a command's words and tags mean, as `board`. Raises UsageError."""
    known = roster(workspace)
    found = tuple(_patient(_which(entry, known), slow) for entry in known.chosen(words, tags))
    return Boards(found, several=len(found) > 1 or bool(tags) or "all" in words)


def _patient(entry: Entry, slow: float) -> Entry:
    return dataclasses.replace(entry, slow=entry.slow * slow)


def _which(entry: Entry, known: Roster) -> Entry:
    """The board itself; for `auto` with several plugged in, and a person there, the one that he names."""
    there = ports.on_usb() if entry.device == AUTO else {}
    if len(there) < 2 or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return entry
    click.echo(f"{len(there)} boards are plugged in:", err=True)
    names = {one.device: one.name for one in known.entries}
    for number, (port, what) in enumerate(there.items(), 1):
        click.echo(f"  {number}  {port}  {names.get(port, what)}", err=True)
    try:
        number = click.prompt("which", type=click.IntRange(1, len(there)), default=1, err=True)
    except click.Abort:
        raise KeyboardInterrupt from None
    return known.one(list(there)[number - 1])
