"""A rollout that is watched: when it is stopped, and what ends the watch. Against a model of an engine; tests/engine has real ones."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from otactl.cli import engine_shown
from otactl.engine import watch
from otactl.engine.model import Board, Rollout
from otactl.errors import RigError, UsageError

BEGUN = Rollout(3, "1.1.0", "1.1.0", "canary", paused=False, done=0, failed=0, waiting=3)
OTHER = replace(BEGUN, id=4, group="class")
NEWER = replace(BEGUN, id=5, version="1.2.0")


class Scripted:
    """An engine that answers each question for rollouts by the next of these, and by the last one for ever."""

    def __init__(self, *answers: list[Rollout] | Exception) -> None:
        self.answers = list(answers)
        self.halted: list[int] = []
        self.away: list[Exception] = []
        self.asked: list[str] = []

    def rollouts(self) -> list[Rollout]:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        self.now = {one.id: one for one in answer}
        return answer

    def boards(self) -> list[Board]:
        failed = self.now[3].failed
        return [Board(f"desk-{n}", "", "", "", "canary", None, n <= failed, 0) for n in (3, 2, 1)] + [
            Board("hall", "", "", "", "class", None, True, 0)
        ]

    def reason(self, board: str) -> str:
        self.asked.append(board)
        return "trial-crash"

    def halt(self, rollout: int) -> None:
        if self.away:
            raise self.away.pop()
        self.halted.append(rollout)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_LOOK_S", 0.0)


def go(engine: Scripted, halt_at: int = 2, limit: float | None = None) -> Iterator[watch.Seen]:
    return watch.watched(engine, 3, halt_at, limit)  # type: ignore[arg-type]


def stands(done: int, failed: int, waiting: int, *others: Rollout, paused: bool = False) -> list[Rollout]:
    return [replace(BEGUN, done=done, failed=failed, waiting=waiting, paused=paused), *others]


CASES: dict[str, tuple[list[list[Rollout]], str, bool]] = {  # how it goes, how it ends, whether it is ended from here
    "all have it": ([stands(0, 0, 3), stands(2, 0, 1), stands(3, 0, 0)], "through", False),
    "one fails, of two that may": ([stands(1, 1, 1), stands(2, 1, 0)], "through", False),
    "the second fails while one is to come": ([stands(0, 1, 2), stands(0, 2, 1)], "halted", True),
    "the second is the last": ([stands(1, 1, 1), stands(1, 2, 0)], "halted", True),
    "two had failed before anybody watched": ([stands(0, 2, 1)], "halted", True),
    "two had failed, and it was paused": ([stands(0, 2, 1, paused=True)], "halted", False),
    "somebody pauses it": ([stands(0, 0, 3), stands(1, 0, 2, paused=True)], "paused", False),
    "a newer one of its group": ([stands(0, 0, 3), stands(0, 0, 3, NEWER)], "overtaken", False),
    "a newer one of another group": ([stands(0, 0, 3, OTHER), stands(3, 0, 0, OTHER)], "through", False),
    "a newer one that is paused": (
        [stands(0, 0, 3, replace(NEWER, paused=True)), stands(3, 0, 0, replace(NEWER, paused=True))],
        "through",
        False,
    ),
    "a group without boards": ([stands(0, 0, 0)], "nobody", False),
    "its one board fails, and two may": ([stands(0, 0, 1), stands(0, 1, 0)], "nobody", False),
    "a group without boards, and it is paused": ([stands(0, 0, 0, paused=True)], "paused", False),
}


@pytest.mark.parametrize(("answers", "ends", "stopped"), CASES.values(), ids=CASES.keys())
def test_watch_ends(answers: list[list[Rollout]], ends: str, stopped: bool) -> None:
    engine = Scripted(*answers)
    seen = list(go(engine))
    assert [one.ended for one in seen] == [""] * (len(answers) - 1) + [ends]
    assert engine.halted == ([3] if stopped else [])


def test_what_does_not_change_is_told_once_and_each_board_is_asked_once_for_its_reason() -> None:
    engine = Scripted(*[stands(0, 1, 2)] * 3, stands(1, 1, 1), stands(1, 2, 0))
    assert [(one.rollout.done, one.failed) for one in go(engine)] == [
        (0, {"desk-1": "trial-crash"}),
        (1, {"desk-1": "trial-crash"}),
        (1, {"desk-1": "trial-crash", "desk-2": "trial-crash"}),
    ]
    assert engine.asked == ["desk-1", "desk-2"]  # and none of the other group


def test_time_is_over() -> None:
    assert [one.ended for one in go(Scripted(stands(1, 1, 1)), limit=0)] == ["late"]


def test_engine_that_is_away_for_a_while_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    away = RigError("no engine answers")
    assert [one.ended for one in go(Scripted(stands(0, 0, 3), away, away, stands(3, 0, 0)))] == ["", "through"]
    monkeypatch.setattr(watch, "_SILENT_S", 0.0)
    with pytest.raises(RigError, match="no engine answers"):
        list(go(Scripted(stands(0, 0, 3), away)))


def test_engine_that_is_away_when_it_is_to_halt_is_asked_again() -> None:
    engine = Scripted(stands(0, 2, 1))
    engine.away = [RigError("no engine answers")] * 2
    assert [one.ended for one in go(engine)] == ["halted"]
    assert engine.halted == [3]


def test_no_such_rollout() -> None:
    with pytest.raises(UsageError, match="no rollout 3"):
        list(go(Scripted([OTHER])))


@pytest.mark.parametrize(
    ("ends", "code", "words"),
    [
        ("through", 0, "is through in group canary: 2 have it; 1 failed"),
        (
            "halted",
            1,
            "halted, as 1 board of group canary failed: mend it, and push the next version; not offered to class",
        ),
        ("paused", 1, "`otactl engine rollout 3 --resume` lets it go on, then `otactl engine rollout 3 --halt-at 2`"),
        ("overtaken", 1, "a newer rollout of group canary has taken its place"),
        (
            "nobody",
            1,
            "no board of group canary has it, 1 board failed: mend it, and push the next version; not offered to class",
        ),
        (
            "late",
            1,
            "1 board of group canary still to come: `otactl engine rollout 3 --halt-at 2` watches on",
        ),
    ],
)
def test_verdict_says_what_to_do(ends: str, code: int, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    seen = watch.Seen(replace(BEGUN, done=2, failed=1, waiting=1), {}, ends)
    assert engine_shown.ended(seen, 2, [] if ends == "through" else ["class"]) == code
    assert words in capsys.readouterr().out
