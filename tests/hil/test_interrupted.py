"""Downloads that break off, by the network and by the board."""

import time

import pytest
from otactl.hil.releases import Release
from otactl.hil.stage import Stage
from otactl.hil.verdict import ends

_SECTOR = 4096


@pytest.mark.quick
def test_broken_download_goes_on_where_it_broke(stage: Stage) -> None:
    """A download that breaks off goes on from the last whole sector, and the release starts."""
    release = stage.publish()
    cut = stage.random.randrange(_SECTOR, len(release.image))
    stage.script(f"cut:{cut}")
    stage.look()
    stage.settle()
    ends(stage, stage.home, stage.other, stage.other, holds=release, version=release.version)
    first, second, *more = stage.requests(release)
    assert (first.sent, second.span, more) == (cut, f"bytes={cut - cut % _SECTOR}-", [])


def test_next_look_goes_on_where_the_server_was_lost(stage: Stage) -> None:
    """Where the server stays away, the next look goes on from what is in flash."""
    release = stage.publish()
    cut = stage.random.randrange(_SECTOR, len(release.image))
    stage.script(f"cut:{cut}", *["status:503"] * 3)
    stage.look()
    stage.settle()
    stage.script()
    stage.look()
    stage.settle()
    ends(stage, *[stage.home] * 2, *[stage.other] * 2, holds=release, version=release.version)
    assert stage.requests(release)[-1].span == f"bytes={cut - cut % _SECTOR}-"


def test_reset_in_the_middle_of_a_download(stage: Stage) -> None:
    """A reset in the middle of a download does no harm: the next boot goes on, and the release starts."""
    release = _in_the_middle(stage)
    stage.pull_reset()
    stage.settle()
    ends(stage, *[stage.home] * 2, *[stage.other] * 2, holds=release, version=release.version)


@pytest.mark.board_needs("power")
def test_power_cut_in_the_middle_of_a_download(stage: Stage) -> None:
    """Power that goes in the middle of a download does no harm."""
    release = _in_the_middle(stage)
    stage.board.reset("power")
    stage.settle()
    ends(stage, *[stage.home] * 2, *[stage.other] * 2, holds=release, version=release.version)


def _in_the_middle(stage: Stage) -> Release:
    """A board somewhere in a download, which takes eight seconds at the least."""
    release = stage.publish()
    stage.script(f"trickle:{len(release.image) // 8}")
    stage.look()
    stage.wait("ota: download ")
    time.sleep(stage.random.uniform(0, 3))
    return release
