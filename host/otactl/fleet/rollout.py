"""A release that boards get one after another: begun, paused, let go on, ended; what it is now.

While it runs, its channel names the release before, so that a server without this memory, or a copy of releases/ elsewhere, serves
that. What boards are answered with meanwhile is offer.py's; when the last stage is over, the channel names the release, by the
very bytes that boards were offered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from otactl.errors import UsageError
from otactl.files import write_atomic
from otactl.fleet import machine
from otactl.fleet.machine import COUNTED, RUNNING, SOAKING
from otactl.fleet.plan import Step, draw
from otactl.fleet.rollout_tables import CONFIRMED, PLANNED, ROLLED_BACK, Mark, Rollout, Tables, reading, writing
from otactl.fleet.store import Store
from otactl.release import channels
from otactl.workspace.workspace import Workspace

FOLDER = "rollouts"  # of the workspace: the envelope of each, by its sequence


@dataclass(frozen=True, slots=True)
class Asked:
    """`plan`: its stages; `soak`: seconds that each lasts at least; `halt_at`: so many boards that rolled back stop it; `least`:
    so many of a stage's boards are enough, None for all that were heard; `mode`: machine.COUNTED, BY_HAND or STATIC."""

    plan: Sequence[Step]
    soak: float = 3600
    halt_at: int = 2
    least: int | None = None
    mode: str = COUNTED


@dataclass(frozen=True, slots=True)
class Stage:
    """`percent` of all, or a `cohort`. `state`: waits, over, or, of the one at hand, the rollout's. `known`: boards that were
    known when it began and are in no stage before; `given`: boards that were answered with the release, `confirmed` and
    `rolled_back` those that said so."""

    percent: float
    cohort: str
    label: str
    state: str
    known: int
    given: int
    confirmed: int
    rolled_back: int


@dataclass(frozen=True, slots=True)
class View:
    """A rollout as it is shown. `state`: running, soaking, paused, halted, done, aborted; `why`: what it waits for, or what ended
    it, in words; `left`: seconds of the stage's soak time."""

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


def start(place: Workspace, store: Store, version: str, asked: Asked, known: Mapping[str, str]) -> View:
    """Begin to roll out a release that is published already, to the channel of `place`. `known`: the cohorts of the boards whose
    word counts, by id.

    Raises ReleaseError, UsageError, and nothing has changed.
    """
    with reading(store) as tables:
        _require_free(tables)
    newest = channels.current(place)
    if newest is None:
        raise UsageError(
            f"{place.channel} names no release yet: the first one goes straight to it, by `otactl publish`"
        )
    move, sealed = channels.prepare(place, version)
    now = store.now()
    new = Rollout(
        0, place.channel, version, move.sequence, newest["version"], draw(asked.plan, known), [*asked.plan], asked.mode,
        asked.soak, asked.halt_at, asked.least, RUNNING, 0, now, now, "",
    )  # fmt: skip
    with writing(store) as tables:
        stopped = _require_free(tables)  # once more: signing may have taken a person's time
        (place.root / FOLDER).mkdir(exist_ok=True)
        write_atomic(envelope(place, new), sealed)
        if stopped:
            tables.save(replace(stopped, state=machine.ABORTED, why=f"{version} is its successor"))
        return view(tables, tables.add(new, known), now)


def _require_free(tables: Tables) -> Rollout | None:
    """The rollout that has stopped itself, and ends with its successor; None: there is none. Raises UsageError."""
    found = tables.last()
    if found is None or found.over:
        return None
    if found.state != machine.HALTED:
        raise UsageError(
            f"{found.version} is being rolled out to {found.channel} ({found.state}): `otactl rollout abort` ends that, "
            "`otactl rollout status` shows it"
        )
    return found


def pause(store: Store) -> View:
    """No further board is offered the release; those that have it keep it. Raises UsageError."""
    return _told(store, "pause", "paused by hand")


def resume(store: Store) -> View:
    """It goes on, with the stage's soak time from the start. Raises UsageError."""
    return _told(store, "resume", "")


def abort(store: Store, why: str = "ended by hand") -> View:
    """It ends: the channel names the release before, as it always did. Raises UsageError."""
    return _told(store, "abort", why)


def current(place: Workspace, store: Store) -> View | None:
    """The channel's rollout that was begun last, also one that is over; None: there was none."""
    with reading(store) as tables:
        found = tables.last(place.channel)
        return view(tables, found, store.now()) if found else None


def go_on(place: Workspace, store: Store) -> View:
    """The next stage begins, whatever this one waits for; after the last the channel names the release.

    Raises UsageError, ReleaseError, RigError.
    """
    with writing(store) as tables:
        found = _last(tables)
        event = "finish" if found.stage == len(found.plan) - 1 else "raise"
        now = store.now()
        return view(tables, happen(place, tables, found, event, now), now)


def happen(place: Workspace, tables: Tables, found: Rollout, event: str, now: float, why: str = "") -> Rollout:
    """An event, and what goes with it. Raises UsageError, ReleaseError, RigError."""
    state = machine.after(found.state, event, found.version)
    if event == "finish":
        channels.settle(place.on(found.channel), found.version, envelope(place, found))
        why = f"{found.channel} names it"
    stage = found.stage + 1 if event == "raise" else found.stage
    since = now if event in ("raise", "resume") else found.since
    changed = replace(found, state=state, stage=stage, since=since, why=why)
    tables.save(changed)
    return changed


def envelope(place: Workspace, found: Rollout) -> Path:
    """The signed release that the boards of a rollout get."""
    return place.root / FOLDER / f"{found.sequence}.json"


def _last(tables: Tables) -> Rollout:
    found = tables.last()
    if found is None:
        raise UsageError("nothing is being rolled out: `otactl rollout start VERSION` begins")
    return found


def _told(store: Store, event: str, why: str) -> View:
    with writing(store) as tables:
        found, now = _last(tables), store.now()
        state = machine.after(found.state, event, found.version)
        since = now if event == "resume" else found.since
        changed = replace(found, state=state, since=since, why=why)
        tables.save(changed)
        return view(tables, changed, now)


# --- how it is shown ---------------------------------------------------------------------------------------------------------


def stand(tables: Tables, found: Rollout, now: float) -> machine.Stand:
    """Where a rollout is, for machine.judged()."""
    last = found.stage == len(found.plan) - 1
    left = max(0.0, found.since + found.soak - now)
    return machine.Stand(found.state, found.mode, last, left, found.halt_at, found.least, tables.counts(found))


def view(tables: Tables, found: Rollout, now: float) -> View:
    at = stand(tables, found, now)
    marks = tables.marks(found)
    soaks = found.state == RUNNING and found.mode == COUNTED and at.left and machine.enough(at.counts, found.least)
    state = SOAKING if soaks else found.state
    return View(
        version=found.version,
        sequence=found.sequence,
        channel=found.channel,
        before=found.before,
        mode=found.mode,
        state=state,
        why=found.why or _waits(found, at, marks),
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
    )


def _waits(found: Rollout, at: machine.Stand, marks: Sequence[Mark]) -> str:
    """What the stage at hand waits for."""
    if found.mode != COUNTED:
        return "waits for `otactl rollout next`"
    if machine.enough(at.counts, found.least):
        return f"soaks for {duration(at.left)} more" if at.left else "over with the next look of a board"
    here = [one for one in marks if one.known and one.stage == found.stage]
    if not here:
        return "no known board is in this stage: `otactl rollout next` goes on"
    late = [one.board for one in here if one.outcome not in (PLANNED, CONFIRMED, ROLLED_BACK)]
    if not late:
        return "none of its boards has looked since" if not at.counts.given else "none of its boards has confirmed"
    more = f" and {len(late) - 3} more" if len(late) > 3 else ""
    return f"waits for {', '.join(late[:3])}{more} to confirm"


def who_rolled_back(tables: Tables, found: Rollout) -> str:
    """The boards that did, with their codes."""
    marks = [one for one in tables.marks(found) if one.outcome == ROLLED_BACK]
    names = [f"{one.board} ({one.reason})" if one.reason else one.board for one in marks]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more} rolled it back"


def duration(seconds: float) -> str:
    """In words: 40 s, 12 min, 3 h, 2 days."""
    for size, word in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size or (word != "days" and seconds >= size):
            return f"{round(seconds / size)} {word}"
    return f"{round(seconds)} s"
