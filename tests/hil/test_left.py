"""The last word: the board is left as it was found."""

import pytest
from otactl.hil.stage import Stage


@pytest.mark.quick
def test_board_is_left_as_it_was_found(stage: Stage) -> None:
    """The board is left as it was found."""
    stage.put_back()
    assert not stage.changed, "; ".join(stage.changed)
