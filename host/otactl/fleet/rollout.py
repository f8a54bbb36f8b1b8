"""A release that boards get one after another: begun, paused, let go on, ended; what it is now.

While it runs, its channel names the release before, so that a server without this memory, or a copy of releases/ elsewhere, serves
that. What boards are answered with meanwhile is offer.py's; when the last stage is over, the channel names the release, by the
very bytes that boards were offered."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from otactl.errors import UsageError
from otactl.files import write_atomic
from otactl.fleet import lending, machine, rollout_static
from otactl.fleet.machine import COUNTED, RUNNING, STATIC
from otactl.fleet.names import Names
from otactl.fleet.plan import Step, between_looks, draw
from otactl.fleet.rollout_tables import Rollout, Tables, reading, writing
from otactl.fleet.rollout_view import View, view
from otactl.fleet.store import Store
from otactl.release import channels
from otactl.workspace.workspace import Workspace

_BY_HAND = "ended by hand"
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


def start(place: Workspace, store: Store, version: str, asked: Asked, known: Mapping[str, str]) -> View:
    """Begin to roll out a release that is published already, to the channel of `place`. `known`: the cohorts of the boards whose
    word counts, by id.

    Raises ReleaseError, UsageError, and nothing has changed.
    """
    if out := [one.board for one in lending.under_way(store)]:
        raise UsageError(
            f"somebody develops on {', '.join(out)} (`otactl dev --wifi`), which would pass this release by: end that, or `otactl dev --wifi --back`"
        )
    with reading(store) as tables:
        _require_free(tables, place)
    newest = channels.current(place)
    if newest is None:
        raise UsageError(
            f"{place.channel} names no release yet: the first one goes straight to it, by `otactl publish`"
        )
    also = [step.cohort for step in asked.plan if asked.mode == STATIC]
    move, sealed = channels.prepare(place, version, also)
    now = store.now()
    new = Rollout(
        0, place.channel, version, move.sequence, newest["version"], draw(asked.plan, known), [*asked.plan], asked.mode,
        asked.soak, min(asked.soak, between_looks(place.board)), asked.halt_at, asked.least, RUNNING, 0, now, now, "",
    )  # fmt: skip
    with writing(store) as tables:
        stopped = _require_free(tables, place)  # once more: signing may have taken a person's time
        (place.root / FOLDER).mkdir(exist_ok=True)
        write_atomic(envelope(place, new), sealed)
        if new.mode == STATIC:
            rollout_static.begin(place, new, 0, envelope(place, new))
        if stopped:
            tables.save(replace(stopped, state=machine.ABORTED, why=f"{version} is its successor"))
        return view(tables, tables.add(new, known), now)


def _require_free(tables: Tables, place: Workspace) -> Rollout | None:
    """The channel's rollout that has stopped itself, and ends with its successor; None: there is none. Raises UsageError."""
    found = tables.last()
    if found is None or found.over:
        return None
    if found.state != machine.HALTED or found.channel != place.channel:
        raise UsageError(
            f"{found.version} is being rolled out to {found.channel} ({found.state}): `otactl rollout abort` ends that, "
            "`otactl rollout status` shows it"
        )
    return found


def pause(store: Store, version: str | None = None) -> View:
    """No further board is offered the release; those that were go on. `version`: the one that is meant, None for whichever runs.
    Raises UsageError."""
    return _told(store, "pause", "paused by hand", version)


def resume(store: Store, version: str | None = None) -> View:
    """It goes on, with the stage's soak time from the start. `version` as for pause(). Raises UsageError."""
    return _told(store, "resume", "", version)


def give_up(store: Store, version: str | None = None) -> View:
    """As abort(), where that takes no key. `version` as for pause(). Raises UsageError."""
    return _told(store, "abort", _BY_HAND, version)


def abort(place: Workspace, store: Store, *, back: bool = False) -> View:
    """It ends: the channel names the release before, as it always did. `back`: it does under a new sequence, so that boards which
    have the other one go back. Raises ReleaseError, UsageError, RigError."""
    with writing(store) as tables:
        found, now = _last(tables), store.now()
        machine.after(found.state, "abort", found.version)
        if back and found.mode != STATIC:  # whose channels do so anyway
            channels.promote(place, found.before, found.channel, again=True)
        return view(tables, happen(place, tables, found, "abort", now, _BY_HAND), now)


def current(place: Workspace, store: Store) -> View | None:
    """The channel's rollout that was begun last, also one that is over; None: there was none."""
    return _seen(place, store, place.channel)


def latest(place: Workspace, store: Store) -> View | None:
    """As current(), of whatever channel: the one that pause() and the others mean."""
    return _seen(place, store, None)


def _seen(place: Workspace, store: Store, channel: str | None) -> View | None:
    with reading(store) as tables:
        found = tables.last(channel)
        return view(tables, found, store.now(), _called(place)) if found else None


def _called(place: Workspace) -> Callable[[str], str]:
    """What people call boards; ids, while the file that says so is damaged."""

    def called(board: str) -> str:
        with suppress(UsageError):
            return _names(place.root).of(board)[0]
        return board

    return called


@lru_cache(maxsize=4)
def _names(root: Path) -> Names:
    """Which reads the files again when they have changed: for who asks often."""
    return Names(root)


def go_on(place: Workspace, store: Store) -> View:
    """The next stage begins, whatever this one waits for; after the last the channel names the release.

    Raises UsageError, ReleaseError, RigError.
    """
    with writing(store) as tables:
        found = _last(tables)
        static = found.mode == STATIC  # whose last stage is the channel itself
        event = "finish" if found.stage + static >= len(found.plan) - 1 else "raise"
        now = store.now()
        return view(tables, happen(place, tables, found, event, now), now)


def happen(place: Workspace, tables: Tables, found: Rollout, event: str, now: float, why: str = "") -> Rollout:
    """An event, and what goes with it. Raises UsageError, ReleaseError, RigError."""
    state = machine.after(found.state, event, found.version)
    if event == "finish":
        channels.settle(place.on(found.channel), found.version, envelope(place, found))
        why = f"{found.channel} names it"
    stage = found.stage + 1 if event == "raise" else found.stage
    if found.mode == STATIC and event == "raise":
        rollout_static.begin(place, found, stage, envelope(place, found))
    if found.mode == STATIC and event == "abort":
        rollout_static.take_back(place, found)
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


def _told(store: Store, event: str, why: str, version: str | None) -> View:
    with writing(store) as tables:
        found, now = _last(tables), store.now()
        if version not in (None, found.version):
            raise UsageError(f"the rollout of {version} is over: now it is {found.version} that is {found.state}")
        if event == "abort" and found.mode == STATIC:
            raise UsageError("channels of files go back by the release key: `otactl rollout abort`")
        state = machine.after(found.state, event, found.version)
        since = now if event == "resume" else found.since
        changed = replace(found, state=state, since=since, why=why)
        tables.save(changed)
        return view(tables, changed, now)
