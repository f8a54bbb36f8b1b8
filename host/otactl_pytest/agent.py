"""The OTA agent of a board under test: what `otactl deploy`, `status`, `update`, `confirm` and `rollback` do."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from otactl.board import follow
from otactl.board.follow import Event, Outcome, Watch
from otactl.board.link import Link

if TYPE_CHECKING:
    from otactl.board.deploy import Deployed
    from otactl.workspace.workspace import Workspace

    from otactl_pytest.board import Board


class BoardAgent:
    """Each call is made at the prompt. After update, confirm and rollback the board runs its own program."""

    def __init__(self, board: "Board") -> None:
        self._board = board
        self.events: list[Event] = []  # of the last update, confirm or rollback

    def status(self) -> dict[str, Any]:
        """docs/api.md has the entries. Raises BoardError where the board has no agent, RigError."""
        self._board.to_prompt()
        with self._board.console.hushed():
            return follow.status(self._board.link)

    def deploy(self, workspace: "Workspace") -> "Deployed":
        """Install the agent with the workspace's configuration, keys and CA. Unlike `Board.put` it stays after the test.

        Raises UsageError, BoardError, RigError.
        """
        from otactl.board import deploy as deploying

        self._board.to_prompt()
        self._board.console.note("deploy the agent")
        with self._board.console.hushed():
            return deploying.deploy(self._board.link, workspace, replace_keys=True)

    def update(self, *, anyway: bool = False) -> Outcome:
        """Install the newest release and follow it to the end of its trial; `anyway` as in `otactl update`.

        Raises BoardError, RigError.
        """
        return self._followed("update", partial(follow.update, anyway=anyway))

    def confirm(self) -> Outcome:
        """End a running trial well. Raises BoardError where there is none, RigError."""
        return self._followed("confirm", follow.confirm)

    def rollback(self) -> Outcome:
        """Back to the release in the other slot, through its trial. Raises BoardError, RigError."""
        return self._followed("rollback", follow.rollback)

    def _followed(self, what: str, follow_it: Callable[[Link, Watch], Outcome]) -> Outcome:
        board, self.events = self._board, []
        board.to_prompt()
        board.console.mark()
        board.console.note(what)
        outcome = follow_it(board.link, self.events.append)
        board.console.note(
            " ".join(filter(None, [what, outcome.name, outcome.version, outcome.reason, outcome.detail]))
        )
        if not board.link.alone:  # refused: following it has read the prompt away
            board.run_program()
        return outcome
