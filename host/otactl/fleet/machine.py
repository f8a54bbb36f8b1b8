"""What a rollout may become, and when a stage is over. No clock, no files: it is told what the time is and who has said what."""

from dataclasses import dataclass

from otactl.errors import UsageError

RUNNING, PAUSED, HALTED, DONE, ABORTED = "running", "paused", "halted", "done", "aborted"
SOAKING = "soaking"  # running, where enough have confirmed and the stage waits for its time
OVER = (DONE, ABORTED)
COUNTED, BY_HAND, STATIC = "counted", "by-hand", "static"  # what lets a stage be over

_NEXT = {
    (RUNNING, "pause"): PAUSED,
    (RUNNING, "raise"): RUNNING,
    (RUNNING, "halt"): HALTED,
    (RUNNING, "finish"): DONE,
    (RUNNING, "abort"): ABORTED,
    (RUNNING, "overtake"): ABORTED,
    (RUNNING, "arrive"): DONE,
    (PAUSED, "resume"): RUNNING,
    (PAUSED, "halt"): HALTED,
    (PAUSED, "abort"): ABORTED,
    (PAUSED, "overtake"): ABORTED,
    (PAUSED, "arrive"): DONE,
    (HALTED, "abort"): ABORTED,
    (HALTED, "overtake"): ABORTED,
    (HALTED, "arrive"): DONE,
}
_ADVICE = {
    (PAUSED, "pause"): "it is paused already: `otactl rollout resume` lets it go on",
    (PAUSED, "raise"): "it is paused: `otactl rollout resume` first",
    (PAUSED, "finish"): "it is paused: `otactl rollout resume` first",
    (RUNNING, "resume"): "it is not paused",
    (HALTED, "pause"): "it has stopped itself: `otactl rollout abort`, or start its successor",
    (HALTED, "resume"): "boards rolled it back: publish a mended release and start that, or `otactl rollout abort`",
    (HALTED, "finish"): "boards rolled it back: publish a mended release and start that, or `otactl rollout abort`",
    (HALTED, "raise"): "boards rolled it back: publish a mended release and start that, or `otactl rollout abort`",
}


def after(state: str, event: str, version: str) -> str:
    """The state that an event leads to. Raises UsageError for one that comes to nothing there."""
    if state in OVER:
        raise UsageError(f"the rollout of {version} is {state}: `otactl rollout start VERSION` begins another")
    if (state, event) not in _NEXT:
        raise UsageError(f"the rollout of {version}: {_ADVICE.get((state, event), f'it is {state}')}")
    return _NEXT[state, event]


@dataclass(frozen=True, slots=True)
class Counts:
    """Boards of the stage at hand. `known`: those that were known before the rollout began, as of `given` (they were answered
    with the release since), `confirmed`, `rolled_back` (of this stage); `earlier`: known boards that confirmed in the stages
    before; `all_rolled_back`: in all stages, also boards that nobody knew; `newest`: when the last of the confirmed did."""

    known: int = 0
    given: int = 0
    confirmed: int = 0
    rolled_back: int = 0
    earlier: int = 0
    all_rolled_back: int = 0
    newest: float = 0


@dataclass(frozen=True, slots=True)
class Stand:
    """Where a rollout is: `mode` COUNTED, BY_HAND or STATIC; `left`: seconds until the stage has soaked, and the word of those that
    confirmed has stood for as long as it must; 0 where it has; `cohort`: the stage has a name, and is no share."""

    state: str
    mode: str
    last: bool
    left: float
    halt_at: int
    least: int | None
    counts: Counts
    cohort: bool


def enough(at: Stand) -> bool:
    """Whether as many boards as are wanted have confirmed: of those that were given the release all but those that rolled it
    back, or `least`; and never nobody."""
    counts = at.counts
    if not counts.known and not counts.given:
        return counts.earlier > 0 and not at.cohort  # a share may be nobody; a name is misspelt, perhaps
    if at.least is not None:
        return counts.confirmed >= max(1, min(at.least, counts.known))
    return counts.confirmed > 0 and counts.confirmed + counts.rolled_back >= counts.given


def judged(stand: Stand) -> str | None:
    """The event that is due: halt, raise, finish; None where it waits."""
    if stand.state not in (RUNNING, PAUSED) or stand.mode == STATIC:
        return None
    if stand.counts.all_rolled_back >= stand.halt_at:
        return "halt"
    is_over = not stand.left and enough(stand)
    if stand.state == PAUSED or stand.mode == BY_HAND or not is_over:
        return None
    return "finish" if stand.last else "raise"
