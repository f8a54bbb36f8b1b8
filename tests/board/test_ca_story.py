"""From one CA to the next without a cable, over real TLS: `otactl ca` as a person uses it, and boards that are out.

What a board then knows its server by is read from its flash."""

from collections.abc import Iterator
from contextlib import contextmanager

from otactl.cli.main import main
from otactl.server.server import Server
from otactl.workspace import authorities, bridges
from otactl.workspace.workspace import Workspace
from powercut.flash import files
from rig import NEW, Rig, started, update_code
from stories import installs
from vboard.board import Board


@contextmanager
def serving(rig: Rig) -> Iterator[None]:
    """`otactl serve`, started now, with the certificate of today."""
    with Server(rig.workspace.releases, rig.workspace.tls, "127.0.0.1", 0, lambda _: None) as server:
        rig.route(server.port)
        yield


def ca(place: Workspace, *words: str) -> None:
    assert main(["ca", *words, "-w", str(place.root)]) == 0, words


def named(place: Workspace, kind: str) -> str:
    return next(one.name for one in authorities.held(place) if one.kind == kind)


def knows(board: Board) -> bytes:
    """ca.pem, as it lies in flash."""
    return files(board.table, board.flash.read(0, board.flash.size))["etc/ota/ca.pem"]


def test_new_ca_comes_at_the_next_look_and_the_former_one_goes_at_another(rig: Rig) -> None:
    place = rig.workspace
    board = started(rig.board())
    old = knows(board)
    ca(place, "new")
    with serving(rig):
        assert update_code(board) == "up-to-date"
    both = knows(board)
    assert both == authorities.bundle(place) != old
    assert both.startswith(old)
    ca(place, "switch")
    (place.tls / "server.pem").write_bytes(without_bridge(place))  # the new CA is what the board goes by
    rig.publish("1.1.0", NEW)
    with serving(rig):
        installs(board, "1.1.0", NEW)
        ca(place, "remove", named(place, "former"))
        assert update_code(board) == "up-to-date"
        assert knows(board) == (place.tls / "ca.pem").read_bytes()
        assert update_code(board) == "up-to-date"


def test_board_that_slept_through_two_changes_of_the_ca_takes_no_cable(rig: Rig) -> None:
    """Only CAs that are gone from the workspace are known to it when it wakes."""
    place = rig.workspace
    board = started(rig.board())
    board.power_off()
    for _ in range(2):
        ca(place, "new")
        ca(place, "switch")
        ca(place, "remove", named(place, "former"))
    rig.publish("1.1.0", NEW)
    whole = (place.tls / "server.pem").read_bytes()
    (place.tls / "server.pem").write_bytes(without_bridge(place))
    with serving(rig):
        started(board)
        assert update_code(board) == "cert-untrusted"
    (place.tls / "server.pem").write_bytes(whole)
    with serving(rig):
        installs(board, "1.1.0", NEW)
    assert knows(board) == (place.tls / "ca.pem").read_bytes()


def without_bridge(place: Workspace) -> bytes:
    """server.pem as a server sends it that nobody before vouches for."""
    whole = (place.tls / "server.pem").read_bytes()
    bridge = bridges.chain(place.tls, authorities.held(place)[0].certificate)
    assert bridge in whole
    return whole.replace(bridge, b"")
