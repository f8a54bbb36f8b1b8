"""An update from its release to the boot that it is confirmed in."""

from otactl.hil.stage import Stage
from otactl.hil.verdict import ends


def test_update_is_tried_confirmed_and_starts(stage: Stage) -> None:
    """A new release is downloaded, tried, confirmed, and starts."""
    release = stage.publish()
    stage.look()
    stage.settle()
    ends(stage, stage.home, stage.other, stage.other, holds=release, version=release.version)


def test_board_that_has_the_release_takes_nothing(stage: Stage) -> None:
    """A board that runs the newest release already knows it by its bytes, and writes nothing."""
    release = stage.releases.home(stage.home_size, stage.home_digest)
    stage.look()
    stage.settle()
    ends(stage, stage.home, untouched=True, version=release.version)
    assert not stage.requests(release)
