"""Who gets a release first: by the board's id and the rollout's salt alone."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from otactl.errors import UsageError
from otactl.fleet.plan import Step, bucket, draw, dumps, holds, loads, span, stage_of, steps

SALTS = st.integers(0, (1 << 64) - 1).map("{:016x}".format)
IDS = st.integers(0, (1 << 48) - 1).map("{:012x}".format)
SHARES = st.floats(0.01, 100)


@given(SALTS, IDS, SHARES, SHARES)
def test_a_larger_share_only_adds_boards(salt: str, board: str, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert holds(Step(low), salt, board, "") <= holds(Step(high), salt, board, "")


@given(SALTS, IDS)
def test_everyone_is_everyone(salt: str, board: str) -> None:
    assert holds(Step(100), salt, board, "")


@given(SALTS, st.sampled_from([10, 25, 50, 90]))
@settings(max_examples=20)
def test_a_share_is_about_its_size(salt: str, percent: int) -> None:
    held = sum(holds(Step(percent), salt, f"240ac4{number:06x}", "") for number in range(2000))
    assert abs(held / 20 - percent) < 6  # five standard deviations


def test_another_rollout_begins_with_other_boards() -> None:
    first = [{n for n in range(1000) if bucket(salt, f"b{n}") < 1000} for salt in ("one", "two")]
    assert len(first[0] & first[1]) < 40  # about 10 of some 100


def test_buckets_are_those_of_the_hash() -> None:
    # printf 'salt:240ac4123456' | sha256sum: the first 16 digits, modulo 10000
    assert bucket("salt", "240ac4123456") == 9209


@given(SALTS, IDS, st.sampled_from(["canary", "lab", "default"]))
def test_a_board_is_in_the_first_stage_that_names_it(salt: str, board: str, cohort: str) -> None:
    plan = steps("canary,lab", "10,50")
    stage = stage_of(plan, salt, board, cohort)
    assert holds(plan[stage], salt, board, cohort)
    assert not any(holds(step, salt, board, cohort) for step in plan[:stage])


@pytest.mark.parametrize(
    ("cohorts", "percents", "labels"),
    [
        (None, None, ["100 %"]),
        ("canary", None, ["canary", "100 %"]),
        ("canary,lab", "50", ["canary", "lab", "50 %", "100 %"]),
        (None, "10,50,100", ["10 %", "50 %", "100 %"]),
        (None, "0.5", ["0.5 %", "100 %"]),
    ],
)
def test_a_plan_ends_with_everyone(cohorts: str | None, percents: str | None, labels: list[str]) -> None:
    plan = steps(cohorts, percents)
    assert [step.label for step in plan] == labels
    assert loads(dumps(plan)) == plan


@pytest.mark.parametrize(
    ("cohorts", "percents"),
    [("", None), ("a,,b", None), ("a,a", None), ("a b", None), (None, ""), (None, "50,10"), (None, "10,10"), (None, "0"),
     (None, "101"), (None, "nan"), (None, "-5"), (None, "ten")],
)  # fmt: skip
def test_a_plan_that_is_none_is_refused(cohorts: str | None, percents: str | None) -> None:
    with pytest.raises(UsageError, match=r"--to|--percent"):
        steps(cohorts, percents)


@pytest.mark.parametrize(("given_", "seconds"), [("90s", 90), ("30m", 1800), ("1h", 3600), ("2d", 172_800), ("0s", 0)])
def test_times(given_: str, seconds: int) -> None:
    assert span(given_, "--soak") == seconds


@pytest.mark.parametrize("given_", ["", "1", "h", "1w", "-1h", "1.5h", "1h "])
def test_what_is_no_time_is_refused(given_: str) -> None:
    with pytest.raises(UsageError, match="--soak"):
        span(given_, "--soak")


@given(st.sets(IDS, min_size=4, max_size=12), st.integers(0, 1 << 32))
def test_each_stage_of_a_small_fleet_has_a_board(boards: set[str], seed: int) -> None:
    plan, chance = steps(None, "10,50"), random.Random(seed)
    salt = draw(plan, dict.fromkeys(boards, ""), lambda: f"{chance.getrandbits(64):016x}")
    assert {stage_of(plan, salt, board, "") for board in boards} == {0, 1, 2}


def test_a_salt_is_drawn_for_fewer_boards_than_stages_too() -> None:
    assert draw(steps(None, "10,50"), {"b0": ""})
    assert draw(steps(None, "10,50"), {})
