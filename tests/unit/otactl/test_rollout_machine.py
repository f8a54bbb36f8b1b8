"""What a rollout may become, and when a stage is over: all cases, without a clock."""

from dataclasses import replace

import pytest
from otactl.errors import UsageError
from otactl.fleet.machine import BY_HAND, COUNTED, STATIC, Counts, Stand, after, judged

# event:      pause     raise      resume     halt      finish  abort      overtake   arrive
TRANSITIONS = {
    "running": ("paused", "running", None, "halted", "done", "aborted", "aborted", "done"),
    "paused": (None, None, "running", "halted", None, "aborted", "aborted", "done"),
    "halted": (None, None, None, None, None, "aborted", "aborted", "done"),
    "done": (None,) * 8,
    "aborted": (None,) * 8,
}
EVENTS = ("pause", "raise", "resume", "halt", "finish", "abort", "overtake", "arrive")
ROWS = [(state, event, to) for state, row in TRANSITIONS.items() for event, to in zip(EVENTS, row, strict=True)]


@pytest.mark.parametrize(("state", "event", "to"), ROWS)
def test_every_event_in_every_state(state: str, event: str, to: str | None) -> None:
    if to:
        assert after(state, event, "1.1.0") == to
        return
    with pytest.raises(UsageError, match=r"the rollout of 1\.1\.0"):
        after(state, event, "1.1.0")


def stand(
    state: str = "running",
    mode: str = COUNTED,
    *,
    last: bool = False,
    left: float = 0,
    least: int | None = None,
    cohort: bool = False,
    **counts: int,
) -> Stand:
    asked = {"known": 4, "given": 4, "confirmed": 4} | counts
    return Stand(state, mode, last, left, halt_at=2, least=least, counts=Counts(**asked), cohort=cohort)


@pytest.mark.parametrize(
    ("at", "event"),
    [
        (stand(), "raise"),
        (stand(last=True), "finish"),
        (stand(left=1), None),
        (stand(confirmed=3), None),
        (stand(confirmed=3, rolled_back=1, all_rolled_back=1), "raise"),
        (stand(confirmed=2, rolled_back=2, all_rolled_back=2), "halt"),
        (stand(left=1, all_rolled_back=2), "halt"),
        (stand("paused", all_rolled_back=2), "halt"),
        (stand("paused"), None),
        (stand("halted", all_rolled_back=2), None),
        (stand("done"), None),
        (stand("aborted", all_rolled_back=2), None),
        (stand(confirmed=0), None),
        (stand(given=0, confirmed=0), None),  # its boards were not heard
        (stand(confirmed=0, rolled_back=1, given=1), None),  # nobody confirmed
        (stand(known=0, given=0, confirmed=0), None),  # nobody ever did
        (stand(known=0, given=0, confirmed=0, earlier=1), "raise"),  # a share that is nobody
        (stand(known=0, given=0, confirmed=0, earlier=1, cohort=True), None),  # a misspelt name?
        (stand(cohort=True), "raise"),
        (stand(given=0, confirmed=0, earlier=9), None),  # what others confirmed is not enough
        (stand(confirmed=2, least=2), "raise"),
        (stand(confirmed=1, least=2), None),
        (stand(confirmed=4, least=9), "raise"),  # there are no more
        (stand(mode=BY_HAND), None),
        (stand(mode=BY_HAND, all_rolled_back=2), "halt"),
        (stand(mode=STATIC, all_rolled_back=2), None),
    ],
)
def test_what_is_due(at: Stand, event: str | None) -> None:
    assert judged(at) == event


def test_one_more_that_rolled_back_never_lets_it_go_on() -> None:
    for confirmed in range(5):
        for rolled in range(5 - confirmed):
            at = stand(confirmed=confirmed, rolled_back=rolled, all_rolled_back=rolled)
            turned = {"confirmed": max(0, confirmed - 1), "rolled_back": rolled + 1, "all_rolled_back": rolled + 1}
            worse = replace(at, counts=replace(at.counts, **turned))
            assert judged(worse) in (None, "halt", judged(at))
