"""A virtual board without the agent: what tests of the board itself do to it."""

import rig as rigs
from vboard.board import Board


def begin(board: Board, code: str) -> None:
    """Run `code` and do not wait for its end."""
    with rigs.repl(board) as link:
        link.start(code)


def next_boot(board: Board, code: str) -> int:
    """The reset cause of the boot that `code` leads to."""
    count = len(board.boots)
    begin(board, code)
    return board.wait_boots(count + 1).cause
