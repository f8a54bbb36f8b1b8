"""A rollout as people see it: its stages with their counts, and in words what it waits for, or what stopped it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from otactl.fleet import machine
from otactl.fleet.machine import COUNTED, RUNNING, SOAKING
from otactl.fleet.rollout_tables import CONFIRMED, DOUBTED, HELD, PLANNED, ROLLED_BACK, Mark, Rollout, Tables

_MOST_NAMES = 3  # in a line
Called = Callable[[str], str]  # a board's id -> what people call it


@dataclass(frozen=True, slots=True)
class Stage:
    """`percent` of all, or a `cohort`. `state`: waits, over, or, of the one at hand, the rollout's. `known`: boards that were
    known when it began and are in no stage before; `given`: boards that were answered with the release, `confirmed` and
    `rolled_back` those that said so, `held` those that try it again."""

    percent: float
    cohort: str
    label: str
    state: str
    known: int
    given: int
    confirmed: int
    rolled_back: int
    held: int


@dataclass(frozen=True, slots=True)
class View:
    """A rollout as it is shown. `state`: running, soaking, paused, halted, done, aborted; `why`: what it waits for, or what ended
    it, in words; `left`: seconds until it has soaked."""

    version: str
    sequence: int
    channel: str
    before: str
    mode: str
    state: str
    why: str
    stage: int
    stages: list[Stage]
    started: float
    soak: float
    left: float
    halt_at: int
    least: int | None

    @property
    def over(self) -> bool:
        return self.state in machine.OVER


def stand(tables: Tables, found: Rollout, now: float) -> machine.Stand:
    """Where a rollout is, for machine.judged()."""
    last = found.stage == len(found.plan) - 1
    counts = tables.counts(found)
    left = max(0.0, found.since + found.soak - now, counts.newest + found.settle - now)
    named = bool(found.plan[found.stage].cohort)
    return machine.Stand(found.state, found.mode, last, left, found.halt_at, found.least, counts, named)


def view(tables: Tables, found: Rollout, now: float, called: Called = str) -> View:
    """`called`: where boards have names."""
    at = stand(tables, found, now)
    marks = tables.marks(found)
    soaks = found.state == RUNNING and found.mode == COUNTED and at.left and machine.enough(at)
    state = SOAKING if soaks else found.state
    return View(
        version=found.version,
        sequence=found.sequence,
        channel=found.channel,
        before=found.before,
        mode=found.mode,
        state=state,
        why=found.why or _waits(found, at, marks, called),
        stage=found.stage,
        stages=[_stage(found, n, state, marks) for n in range(len(found.plan))],
        started=found.started,
        soak=found.soak,
        left=at.left,
        halt_at=found.halt_at,
        least=found.least,
    )


def _stage(found: Rollout, number: int, state: str, marks: Sequence[Mark]) -> Stage:
    step, here = found.plan[number], [one for one in marks if one.stage == number]
    if found.state == machine.DONE or number < found.stage:
        state = "over"
    elif number > found.stage:
        state = "waits"
    return Stage(
        step.percent,
        step.cohort,
        step.label,
        state,
        known=sum(one.known for one in here),
        given=sum(one.outcome != PLANNED for one in here),
        confirmed=sum(one.outcome == CONFIRMED for one in here),
        rolled_back=sum(one.outcome == ROLLED_BACK for one in here),
        held=sum(one.outcome == HELD for one in here),
    )


def _waits(found: Rollout, at: machine.Stand, marks: Sequence[Mark], called: Called) -> str:
    """What the stage at hand waits for, or why none does."""
    if found.state == machine.HALTED:
        return _who_rolled_back(marks, called)
    if found.mode != COUNTED:
        return "waits for `otactl rollout next`"
    if machine.enough(at):
        return f"soaks for {duration(at.left)} more" if at.left else "over with the next look of a board"
    here = [one for one in marks if one.known and one.stage == found.stage]
    if not here:
        return "no known board is in this stage: `otactl rollout next` goes on"
    doubted = [called(one.board) for one in here if one.outcome == DOUBTED]
    if doubted:
        return f"{_listed(doubted)} had confirmed, and then ran another release: look at it, or `otactl rollout next`"
    late = [_late(one, called) for one in here if one.outcome not in (PLANNED, CONFIRMED, ROLLED_BACK)]
    if not late:
        return "none of its boards has looked since" if not at.counts.given else "none of its boards has confirmed"
    return f"waits for {_listed(late)} to confirm"


def _late(mark: Mark, called: Called) -> str:
    again = f" (tries again: {mark.reason})" if mark.outcome == HELD else ""
    return called(mark.board) + again


def _who_rolled_back(marks: Sequence[Mark], called: Called) -> str:
    failed = [one for one in marks if one.outcome == ROLLED_BACK]
    return f"{_listed([f'{called(one.board)} ({one.reason})' for one in failed])} rolled it back"


def _listed(words: Sequence[str]) -> str:
    """The first of them, and how many there are more."""
    more = f" and {len(words) - _MOST_NAMES} more" if len(words) > _MOST_NAMES else ""
    return ", ".join(words[:_MOST_NAMES]) + more


def duration(seconds: float) -> str:
    """In words: 40 s, 70 min, 3 h, 2 days."""
    for size, word in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{round(seconds / size)} {word}"
    return f"{round(seconds)} s"
