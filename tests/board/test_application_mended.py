"""Files of an application that have changed since its release came: the same release brings it once more, but only once."""

import apps
import rig as rigs
from rig import NEW, Rig, boots, slot_bytes, started
from vboard.board import Board
from vboard.flash.otadata import State

FILES = {"app.py": b"print('app: whole')\n", "lib/x.bin": bytes(range(256)) * 20}
GONE = "from ota.install import tree\ntree.remove({!r})"


def looks(board: Board, ends: str) -> str:
    """What the console says from the next start to that line, and until the program has started behind it."""
    seen = len(board.text)
    board.reset()
    board.wait_text(ends, 60, since=seen)
    return board.text[seen:]


def runs_whole(board: Board, slot: str) -> None:
    board.wait_text("app: whole", 20, since=board.text.rindex("ota: up-to-date"))
    assert boots(board) == (slot, State.VALID)
    assert slot_bytes(board, slot, len(NEW)) == NEW
    assert apps.trees(board)[slot] == FILES


def test_changed_application_comes_once_more_and_then_only_with_the_next_release(rig: Rig) -> None:
    board = started(rig.board())
    apps.publish(rig, "1.1.0", FILES, NEW)
    looks(board, "ota: up-to-date 1.1.0")
    with rigs.repl(board) as link:
        link.put("/app-ota_1/app.py", b"1 / 0\n")
    fetched = len(rig.transfers)
    assert "ota: changed /app-ota_1" in looks(board, "ota: up-to-date 1.1.0")
    runs_whole(board, "ota_0")
    assert not [t for t in rig.transfers[fetched:] if t.path.endswith(".bin")]  # the firmware was copied

    with rigs.repl(board) as link:  # as a program does that writes into its own directory
        link.put("/app-ota_0/log.txt", b"again")
    before = len(board.flash.trace)
    looks(board, "ota: error app-changed /app-ota_0")
    assert rigs.update_code(board) == "app-changed"
    assert not rigs.touched(board, "otadata", before) and not rigs.touched(board, "ota_1", before)  # P6

    rig.forge(sequence=2, targets=[apps.target("x", b"another", FILES)])  # given out twice: not what is mended by
    assert rigs.update_code(board) == "older"

    apps.publish(rig, "1.2.0", FILES, NEW)
    looks(board, "ota: up-to-date 1.2.0")
    runs_whole(board, "ota_1")
    rigs.ask(board, GONE.format("/app-ota_1"))
    assert "ota: changed /app-ota_1" in looks(board, "ota: up-to-date 1.2.0")
    runs_whole(board, "ota_0")
