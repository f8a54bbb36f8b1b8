"""Commands that a message tells a person to type, as they must be typed here.

A message names the verb: `otactl serve`. What the person gave with the verb that runs (`-w lamp`, the board, `--slow 10`) is
added to it here, so that no room below has to know of it, and none can forget it.
"""

import re
import shlex
from pathlib import Path
from typing import Any

import rich_click as click

_COMMAND = re.compile(r"`otactl ([^`]+)`")
_running: click.Context | None = None


def remember(verb: click.Context | None) -> None:
    """The verb that runs from here on, with what it was given; None: no longer one."""
    global _running  # noqa: PLW0603 - one command a process, and its server's threads tell things too
    _running = verb


def as_typed(text: str, board: str = "") -> str:
    """`text` with each `otactl ...` in it completed. `board`: the one of several that it is about."""
    return _COMMAND.sub(lambda found: f"`otactl {completed(found[1], board)}`", text)


def completed(words: str, board: str = "") -> str:
    """What follows `otactl`, so that it means the same workspace and board: deploy -> deploy /dev/ttyUSB0 -w lamp."""
    told = words.split()
    verb, rest = _verb(told)
    if verb is None or _running is None or "--help" in told:
        return words
    taken, given = {one.name for one in verb.params}, _running.params
    board, workspace, slow = board or _only_board(given), given.get("workspace"), given.get("slow")
    if {"board", "boards"} & taken and board and not _names_a_board(rest):
        told.insert(len(told) - len(rest), shlex.quote(board))
    if "workspace" in taken and workspace not in (None, Path()) and not {"-w", "--workspace"} & set(rest):
        told += ["-w", shlex.quote(str(workspace))]
    if "slow" in taken and slow not in (None, 1) and "--slow" not in rest:
        told += ["--slow", f"{slow:g}"]
    return " ".join(told)


def _only_board(given: dict[str, Any]) -> str:
    """The board that was named; empty where none was, or several."""
    named = given.get("boards") or (given.get("board") or "",)
    only = str(named[0]) if len(named) == 1 else ""
    return "" if only in ("auto", "all") else only


def _names_a_board(rest: list[str]) -> bool:
    return bool(rest) and not rest[0].startswith("-")


def _verb(told: list[str]) -> tuple[click.Command | None, list[str]]:
    """The verb that words begin with, and the words behind it; None where they begin with no verb."""
    found: click.Command | None = _running.find_root().command if _running else None
    rest = told
    while isinstance(found, click.Group):
        found, rest = found.commands.get(rest[0] if rest else ""), rest[1:]
    return found, rest
