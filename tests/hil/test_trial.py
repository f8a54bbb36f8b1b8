"""A trial: each check passing and failing, and the program's own end."""

from typing import Any

import pytest
from otactl.hil.stage import Stage
from otactl.hil.verdict import ends

GOOD = [
    {"check": "network", "timeout_s": 30},
    {"check": "server", "timeout_s": 30},
    {"check": "heap", "free": 4096},
    {"check": "filesystem", "free": 4096},
    {"check": "import", "module": "app"},
    {"check": "call", "function": "app:selftest", "timeout_s": 10},
    {"check": "healthy", "timeout_s": 30},
]
MODULE = {"check": "import", "module": "no_such_module"}
CALL = {"check": "call", "function": "app:selftest", "timeout_s": 2}
HEALTHY = {"check": "healthy", "timeout_s": 4}


def test_release_whose_checks_pass_is_confirmed(stage: Stage) -> None:
    """A release whose checks pass, and whose program says that it is healthy, is confirmed."""
    release = stage.publish(download=False)
    stage.plan("healthy", checks=GOOD)
    stage.look()
    stage.settle()
    ends(stage, stage.home, stage.other, stage.other, holds=release, version=release.version)


FAILING: dict[str, tuple[str, dict[str, Any], str]] = {  # what the program does, the trial's settings, why it ends
    "a module that is missing": ("", {"checks": [MODULE]}, "check-import"),
    "memory that is not there": ("", {"checks": [{"check": "heap", "free": 1 << 26}]}, "check-heap"),
    "room that is not there": ("", {"checks": [{"check": "filesystem", "free": 1 << 30}]}, "check-filesystem"),
    "a self-test that is false": ("selftest-false", {"checks": [CALL]}, "check-call"),
    "a self-test that raises": ("selftest-raises", {"checks": [CALL]}, "check-call"),
    "a program that raises": ("raise", {"settle_s": 10}, "app-crashed"),
    "a program that is never healthy": ("", {"checks": [HEALTHY]}, "deadline"),
    "a program that hangs in Python": ("hang", {"checks": [HEALTHY]}, "deadline"),
}


@pytest.mark.parametrize(
    ("do", "trial", "code"),
    [
        pytest.param(*row, id=name, marks=[pytest.mark.quick] if "module" in name else [])
        for name, row in FAILING.items()
    ],
)
def test_release_that_fails_its_trial_goes_back(stage: Stage, do: str, trial: dict[str, Any], code: str) -> None:
    """A release that fails its trial goes back to the one before, and says why."""
    stage.publish(download=False)
    stage.plan(do, **trial)
    stage.look()
    stage.settle()
    ends(stage, stage.home, stage.other, stage.home, code=code)


def test_failed_release_is_not_tried_again(stage: Stage) -> None:
    """A release that failed its trial is not tried again (P6)."""
    stage.publish(download=False)
    stage.plan(checks=[MODULE])
    stage.look()
    stage.settle()
    stage.look()
    stage.settle()
    ends(stage, stage.home, stage.other, stage.home, stage.home, code="failed-before")


def test_trial_that_finds_no_server_only_holds_the_release_back(stage: Stage) -> None:
    """A trial that does not reach the server goes back, and the release does not count as failed."""
    stage.publish(download=False)
    stage.plan(checks=[{"check": "server", "timeout_s": 3}])
    stage.script("ok", *["status:503"] * 100, match="*.json")
    stage.look()
    stage.settle()
    ends(stage, stage.home, stage.other, stage.home, code="check-server")
    stage.script()
    assert stage.status()["failed"] == []


@pytest.mark.board_needs("loopback")
@pytest.mark.parametrize("level", [1, 0])
def test_gpio_check_by_a_second_pin(stage: Stage, level: int) -> None:
    """The check of a pin passes and fails by what a second pin, wired to it, puts there."""
    out, into = stage.loopback()
    stage.publish(download=False)
    check = {"check": "gpio", "pin": into, "level": 1, "hold_s": 0.5, "pull": "down", "timeout_s": 3}
    stage.plan(pins=((out, level),), checks=[check])
    stage.look()
    stage.settle()
    if level:
        ends(stage, stage.home, stage.other, stage.other)
    else:
        ends(stage, stage.home, stage.other, stage.home, code="check-gpio")
