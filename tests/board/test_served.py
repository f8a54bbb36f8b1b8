"""What `serve` tells of a real board: how long it took, and why it hung up."""

import time

from otactl.workspace import tls
from rig import NEW, Rig, image, repl, started, update_code


def test_the_seconds_told_are_those_that_the_board_took(rig: Rig) -> None:
    board = started(rig.board())
    rig.publish("1.1.0", image(5, size=600 << 10))
    rig.network.bytes_per_s = 200_000
    seen = len(board.text)
    board.reset()
    board.wait_text("ota: release 1.1.0", 30, since=seen)
    began = time.monotonic()
    board.wait_text("ota: switch 1.1.0", 30, since=seen)
    took = time.monotonic() - began
    told = [one for one in rig.transfers if one.path == "1.1.0/esp32.bin"]
    assert [one.done == one.size for one in told] == [True]
    assert took > 2.5, "not slow at all"
    assert took - 1 < told[0].seconds < took + 0.5


def test_a_board_that_does_not_know_our_ca_is_told_with_what_to_do(rig: Rig) -> None:
    folder = rig.root / "stranger"
    folder.mkdir()
    tls.make_ca(folder, "lamp")
    board = started(rig.board())
    rig.publish("1.1.0", NEW)
    with repl(board) as link:
        link.put("/etc/ota/ca.pem", (folder / "ca.pem").read_bytes())
    assert update_code(board) == "cert-untrusted"
    assert {one.why for one in rig.transfers if one.why} == {
        "refused our certificate, it does not know our CA: `otactl deploy` brings it ca.pem"
    }
