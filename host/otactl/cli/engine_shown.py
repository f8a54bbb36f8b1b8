"""What `otactl engine ...` shows: boards with why their release failed, rollouts, and one rollout as it goes."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table

from otactl.board.codes import sentence
from otactl.cli import display
from otactl.engine import watch
from otactl.engine.model import Board, Engine, Rollout

_UNKNOWN_GROUP = "as none is in it: `otactl engine status` lists who is in which"
_MOST_ASKED = 50  # reasons: each is a request


def boards(there: Engine, *, as_json: bool) -> None:
    """What the engine knows of its boards."""
    found = there.boards()
    failed = [one.name for one in found if one.failed]
    reasons = {name: there.reason(name) for name in failed[:_MOST_ASKED]}
    if as_json:
        print(json.dumps({"boards": [asdict(one) | {"reason": reasons.get(one.name, "")} for one in found]}))
        return
    if not found:
        display.show("the engine knows no board yet")
        display.follow_up("engine add NAME", "lets one ask")
        return
    display.show_table(_boards(found))
    for why in dict.fromkeys(reasons.values()):
        names = [name for name in reasons if reasons[name] == why]
        display.show_named(", ".join(names), _sentence(why), False)
    if failed:
        display.warn(
            f"{', '.join(failed)}: offered nothing more before their next release, by `otactl engine push VERSION`"
        )


def _boards(found: Sequence[Board]) -> Table:
    table = Table("board", "group", "state", "runs", "meant", "seen", box=None, pad_edge=False)
    for one in found:
        seen = "never" if one.seen is None else f"{one.seen} s ago"
        table.add_row(*map(display.plain, (one.name, one.group, one.state, one.version, one.wanted, seen)))
    return table


def rollouts(found: Sequence[Rollout]) -> None:
    if not found:
        display.show("no rollout yet")
        display.follow_up("engine push VERSION", "makes one")
        return
    table = Table("", "version", "group", "have it", "failed", "to come", "", box=None, pad_edge=False)
    for one in found:
        counts = one.done, one.failed, one.waiting
        state = "paused" if one.paused else ""
        table.add_row(*map(display.plain, (str(one.id), one.version, one.group, *map(str, counts), state)))
    display.show_table(table)


def follow(there: Engine, number: int, halt_at: int, give_up_s: float | None, *, quiet: bool) -> watch.Seen:
    """A rollout until it ends, with a line for each thing that happens, unless `quiet`; raises as watch.watched() does."""
    told: set[str] = set()
    before = ""
    try:
        for seen in watch.watched(there, number, halt_at, give_up_s):
            if quiet:
                continue
            one = seen.rollout
            counts = f"  {one.group}: {one.done} have it, {one.failed} failed, {one.waiting} to come"
            if counts != before:
                display.show(counts)
            before = counts
            for name in sorted(seen.failed.keys() - told):
                display.show_named(name, _sentence(seen.failed[name]), False)
            told |= seen.failed.keys()
    except KeyboardInterrupt:
        display.remark(
            f"rollout {number} goes on, and nobody stops it: `otactl engine rollout {number} --halt-at {halt_at}`"
        )
        raise
    return seen


def ended(seen: watch.Seen, halt_at: int, left: Sequence[str] = ()) -> int:
    """How it ended, as a verdict; the exit code. `left`: groups that were to come after it."""
    one = seen.rollout
    if seen.ended == watch.THROUGH:
        failed = f"; {one.failed} failed" if one.failed else ""
        display.done(f"{one.version} is through in group {one.group}: {one.done} have it{failed}")
        return 0
    resume = f"`otactl engine rollout {one.id} --resume`"
    again = f"`otactl engine rollout {one.id} --halt-at {halt_at}`"
    why = f"{_counted(one.failed)} failed: mend it, and push the next version" if one.failed else _UNKNOWN_GROUP
    words = {
        watch.NOBODY: f"no board of group {one.group} has it, {why}",
        watch.HALTED: f"it is halted, as {_counted(one.failed)} of group {one.group} failed: mend it, and push the next version",
        watch.PAUSED: f"somebody paused it in group {one.group}: {resume} lets it go on, then {again} watches on",
        watch.OVERTAKEN: f"a newer rollout of group {one.group} has taken its place: `otactl engine rollout` lists them",
        watch.LATE: f"{_counted(one.waiting)} of group {one.group} still to come: {again} watches on",
    }
    rest = f"; not offered to {', '.join(left)}" if left else ""
    display.failed(f"{one.version}: {words[seen.ended]}{rest}")
    return 1


def facts(seen: watch.Seen) -> dict[str, Any]:
    """The same for scripts."""
    one = seen.rollout
    counts = {"done": one.done, "failed": one.failed, "waiting": one.waiting}
    return (
        {"rollout": one.id, "version": one.version, "group": one.group}
        | counts
        | {"reasons": seen.failed, "ended": seen.ended}
    )


def _counted(boards: int) -> str:
    return f"{boards} board{'' if boards == 1 else 's'}"


def _sentence(reason: str) -> str:
    code, _, detail = reason.partition(" ")
    return sentence(code, detail) if code else "it has not said why"
