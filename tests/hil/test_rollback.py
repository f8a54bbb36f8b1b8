"""The ways back: by the bootloader, by the watchdog, by hand, to the factory app."""

import pytest
from otactl.hil.stage import Stage
from otactl.hil.verdict import ends

_LONG_S = 60  # to settle: the reset comes first
_SOON_S = 8  # to settle: the switch comes first, and then it is over soon
_BITTEN_S = 120.0


def test_unconfirmed_release_goes_back_at_a_reset(stage: Stage) -> None:
    """A release that is not confirmed yet goes back at the next reset, by the bootloader alone."""
    stage.publish(download=False)
    stage.plan(settle_s=_LONG_S)
    stage.look()
    stage.until_tried()
    stage.board.reset("hard")
    stage.settle()
    ends(stage, stage.home, stage.other, stage.home, code="trial-crash")
    assert stage.state_of(stage.other) == "aborted"  # which the bootloader writes


@pytest.mark.board_needs("power")
def test_trial_that_power_ends_is_repeated(stage: Stage) -> None:
    """Power that goes on trial brings the release before back, and the trial is repeated: the release is not at fault."""
    release = stage.publish(download=False)
    stage.plan(settle_s=_SOON_S)
    stage.look()
    stage.until_tried()
    stage.board.reset("power")
    stage.settle()
    home, other = stage.home, stage.other
    ends(stage, home, other, home, other, other, holds=release, version=release.version)


def test_hang_is_ended_by_the_watchdog(stage: Stage) -> None:
    """A program that hangs where nothing of Python runs any more is ended by the watchdog."""
    stage.publish(download=False)
    stage.plan("deaf", settle_s=_LONG_S)
    stage.look()
    stage.settle(_BITTEN_S)
    ends(stage, stage.home, stage.other, stage.home, code="trial-watchdog")
    assert stage.state_of(stage.other) == "aborted"


def test_rollback_by_hand_is_a_trial_of_the_release_before(stage: Stage) -> None:
    """agent.rollback() goes back to the release before, on trial."""
    before = stage.releases.home(stage.home_size, stage.home_digest)
    stage.look()
    stage.settle()
    stage.publish(download=False)
    stage.look()
    stage.settle()
    stage.board.start("from ota import agent\nagent.rollback()")
    stage.settle()
    home, other = stage.home, stage.other
    ends(stage, home, home, other, other, home, home, code="rollback", version=before.version)


@pytest.mark.parametrize("good", [True, False], ids=["update", "trial that fails"])
def test_board_with_a_factory_app(stage: Stage, good: bool) -> None:
    """A board with a factory app comes back to it."""
    if stage.home != stage.found_at.factory:
        pytest.skip(f"{stage.board.name} runs {stage.home}, no factory app")
    release = stage.publish(download=False)
    stage.plan(checks=[] if good else [{"check": "import", "module": "no_such_module"}])
    stage.look()
    stage.settle()
    if good:
        ends(stage, stage.home, stage.other, stage.other, holds=release, version=release.version)
    else:
        ends(stage, stage.home, stage.other, stage.home, code="check-import")
