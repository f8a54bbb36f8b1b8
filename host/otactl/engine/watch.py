"""A rollout of an engine, watched from here until its boards are through.

gooseBit stops at no number of boards that failed; hawkBit stops at a share of them. So who wants a rollout to stop at two
boards watches it, and stops it: for as long as that program runs, which is all that an engine can be asked for."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from otactl.engine.model import Engine, Rollout
from otactl.errors import RigError, UsageError

THROUGH, HALTED, PAUSED, OVERTAKEN, LATE = "through", "halted", "paused", "overtaken", "late"
NOBODY = "nobody"
_LOOK_S = 2.0
_SILENT_S = 120.0  # an engine that is started anew is waited for as long


@dataclass(frozen=True, slots=True)
class Seen:
    """`failed`: boards of its group that failed, and why (model.Engine.reason()). `ended`: "" while it goes on; THROUGH: no board is
    waited for; NOBODY: nor does any have it, as all failed or its group is empty; HALTED: ended from here; PAUSED: by somebody
    else; OVERTAKEN: a newer one of its group counts; LATE: the time is over."""

    rollout: Rollout
    failed: dict[str, str]
    ended: str


def watched(engine: Engine, number: int, halt_at: int, give_up_s: float | None = None) -> Iterator[Seen]:
    """How it stands, each time that something has changed; the last one says how it ended. It is ended once `halt_at` boards have
    failed. `give_up_s`: None waits for boards for ever.

    Raises UsageError where there is no such rollout; RigError where the engine does not answer for two minutes.
    """
    give_up = None if give_up_s is None else time.monotonic() + give_up_s
    reasons: dict[str, str] = {}
    last = None
    while True:
        now = _patiently(lambda: _look(engine, number, halt_at, reasons))
        late = give_up is not None and time.monotonic() >= give_up
        if late and not now.ended:
            now = replace(now, ended=LATE)
        if now != last:
            yield now
        if now.ended:
            return
        last = now
        time.sleep(_LOOK_S)


def rollouts(engine: Engine) -> dict[int, Rollout]:
    """All, by their numbers."""
    return {one.id: one for one in engine.rollouts()}


def named(found: dict[int, Rollout], number: int) -> Rollout:
    """That one. Raises UsageError."""
    if number not in found:
        raise UsageError(f"no rollout {number}: `otactl engine rollout` lists them")
    return found[number]


def _patiently(look: Callable[[], Seen]) -> Seen:
    """An engine that is away for a while is asked again; what was asked of it, too."""
    give_up = time.monotonic() + _SILENT_S
    while True:
        try:
            return look()
        except RigError:
            if time.monotonic() > give_up:
                raise
            time.sleep(_LOOK_S)


def _look(engine: Engine, number: int, halt_at: int, reasons: dict[str, str]) -> Seen:
    """How it stands; it is ended first where it is to be. `reasons`: those that were told before, and from now on those of today."""
    found = rollouts(engine)
    this = named(found, number)
    ended = _ended(found, number, halt_at)
    if ended == HALTED and not this.paused:
        engine.halt(number)
    failing = sorted(one.name for one in engine.boards() if one.failed and one.group == this.group)
    for name in failing:
        if name not in reasons:
            reasons[name] = engine.reason(name)
    return Seen(this, {name: reasons[name] for name in failing}, ended)


def _ended(found: dict[int, Rollout], number: int, halt_at: int) -> str:
    this = found[number]
    newer = [one for one in found.values() if one.id > number and one.group == this.group and not one.paused]
    if this.failed >= halt_at:
        return HALTED
    if newer:
        return OVERTAKEN
    if this.paused:
        return PAUSED
    if this.waiting:
        return ""
    return THROUGH if this.done else NOBODY
