"""The agent's way onto a board."""

import pytest
from otactl.board.deploy import deploy
from otactl.hil.stage import CONFIG, Stage
from otactl.hil.verdict import ends


@pytest.mark.quick
def test_second_deployment_changes_nothing(stage: Stage) -> None:
    """The agent is installed; deploying it again writes nothing of it."""
    again = deploy(stage.board.link, stage.releases.workspace)
    assert set(again.written) <= {CONFIG}  # which each test writes for itself
    assert not again.removed and not again.advice


def test_damaged_agent_does_not_stop_the_program_and_is_mended(stage: Stage) -> None:
    """A damaged agent does not keep the program from starting, and deploy mends it."""
    door = stage.agent_file("agent")
    stage.board.link.put(door, b"garbage")
    stage.look()
    stage.settle()
    stage.board.to_prompt()
    assert door in deploy(stage.board.link, stage.releases.workspace).written
    stage.plan()
    stage.look()
    stage.settle()
    ends(stage, stage.home, stage.home, untouched=True)
