"""What the stories of boards that are out (keys, CAs) have in common."""

from rig import boots, slot_bytes
from vboard.board import Board
from vboard.flash.otadata import State


def installs(board: Board, version: str, data: bytes) -> None:
    """The board takes what its channel names, tries and confirms it: judged by flash."""
    board.reset()
    board.wait_text(f"ota: confirmed {version}", 40)
    board.wait_text("app: runs", 40)
    assert boots(board) == ("ota_1", State.VALID)
    assert slot_bytes(board, "ota_1", len(data)) == data
