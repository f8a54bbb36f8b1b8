"""Whom a release is offered. Without a rollout every board gets what its channel names.

What a board says decides nothing that it could not have by asking: the envelopes are signed, and no secret. Whether it is in a stage
depends on its id alone. What it says of the release counts towards stopping the rollout, whoever says it, and towards the next
stage only where the board was known before the rollout began."""

from contextlib import suppress
from pathlib import Path

from otactl.errors import OtactlError
from otactl.fleet import look, machine, rollout
from otactl.fleet.checkin import ON_TRIAL, CheckIn
from otactl.fleet.plan import stage_of
from otactl.fleet.rollout_tables import (
    CONFIRMED,
    DOUBTED,
    GIVEN,
    HELD,
    PLANNED,
    ROLLED_BACK,
    Mark,
    Rollout,
    Tables,
    reading,
    writing,
)
from otactl.fleet.rollout_view import stand
from otactl.fleet.store import Store
from otactl.workspace.workspace import Workspace

# failures of a job that say nothing against the release, as nothing of it ran: its network, the flash of one board. Agents of
# before do not say "held", nor whether a trial has judged it
_NETWORK = frozenset(
    ("wifi-not-found", "wifi-wrong-password", "wifi-failed", "ethernet-failed", "clock-not-set", "dns", "connect")
    + ("http-status", "bad-response", "bad-range", "stalled", "dropped", "cable", "on-hold")
)
_FLASH = frozenset(("flash-write", "read-back", "set-boot", "size-mismatch", "hash-mismatch", "no-rollback"))
_NOT_COUNTED = _NETWORK | _FLASH


def envelope_for(place: Workspace, store: Store, said: CheckIn, cohort: str) -> Path:
    """The signed release that a board which looks at the channel is answered with."""
    with reading(store) as tables:
        found = tables.last(place.channel)
        sequences = tables.sequences(place.channel) if found else []
    if found is None:
        return place.channel_file
    if not found.over and found.mode != machine.STATIC and heard(place, store, found.number, said, cohort):
        return rollout.envelope(place, found)
    return _not_below(place, said, sequences)


def _not_below(place: Workspace, said: CheckIn, sequences: list[int]) -> Path:
    """What the channel names; to a board that has come further by a rollout, what it knows."""
    named = look.named_in(place.channel_file)[0]
    for sequence in sequences:
        known = place.root / rollout.FOLDER / f"{sequence}.json"
        if sequence > named and _met(sequence, said) and known.is_file():
            return known
    return place.channel_file


def heard(place: Workspace, store: Store, number: int, said: CheckIn, cohort: str) -> bool:
    """Count what a board says; the rollout goes on, or stops, where that is due. Whether the board gets the release."""
    with writing(store) as tables:
        found, now = tables.last(place.channel), store.now()
        if found is None or found.over or found.number != number:
            return False
        if (named := look.named_in(place.channel_file)[0]) >= found.sequence:
            event = "arrive" if named == found.sequence else "overtake"
            why = f"{found.channel} names {'it' if event == 'arrive' else 'a later release'}, by another hand"
            rollout.happen(place, tables, found, event, now, why)
            return False
        gets = _turn(tables, found, said, cohort, now)
        after = _judge(place, tables, found, now)
        if after != found:
            gets = _turn(tables, after, said, cohort, now)
        return gets and rollout.envelope(place, found).is_file()


def _turn(tables: Tables, found: Rollout, said: CheckIn, cohort: str, now: float) -> bool:
    """Whether it is the board's turn, by the stage at hand; if so, what it says is counted."""
    before = tables.mark(found, said.id)
    drawn = stage_of(found.plan, found.salt, said.id, cohort)
    stage = drawn if before is None or before.outcome == PLANNED else before.stage
    if stage > found.stage:
        return False
    given = before is not None and before.outcome != PLANNED
    goes_on = found.state == machine.RUNNING or (found.state == machine.PAUSED and given)
    gets = goes_on or _met(found.sequence, said)
    if before or tables.has_room(found):
        outcome = _outcome(before.outcome if before else PLANNED, found, said, gets=gets)
        if before is None or (outcome, stage) != (before.outcome, before.stage):
            tables.put(found, Mark(said.id, stage, bool(before and before.known), outcome, said.reason, now))
    return gets


def _met(sequence: int, said: CheckIn) -> bool:
    """Whether a board has a release already, is about to try it, or has rolled it back: it takes it no more, and is told that it
    knows it already, where an older one would be an alarm (`replayed`). Not where it tries it again: it would take it."""
    return said.have == sequence or (
        said.sequence == sequence and said.phase in ("ready", "trial", "confirmed", "failed")
    )


def _outcome(before: str, found: Rollout, said: CheckIn, *, gets: bool) -> str:
    """What a board has come to. What it once rolled back stays so; what it takes back counts no more."""
    phase = said.phase if said.sequence == found.sequence else ""
    if before == ROLLED_BACK or (phase == "failed" and said.reason not in _NOT_COUNTED):
        return ROLLED_BACK
    if said.have == found.sequence and phase not in ("failed", "held", *ON_TRIAL):
        return DOUBTED if before == DOUBTED else CONFIRMED
    if before in (CONFIRMED, DOUBTED):
        return DOUBTED
    if phase == "held":
        return HELD
    return GIVEN if before == PLANNED and gets else before


def _judge(place: Workspace, tables: Tables, found: Rollout, now: float) -> Rollout:
    event = machine.judged(stand(tables, found, now))
    if event is not None:
        with suppress(OtactlError, OSError):  # the channel's file is in another's hands: at the next look
            return rollout.happen(place, tables, found, event, now)
    return found
