"""Pins, boards' own certificates and a change of CA, as boards live through them. What TLS makes of which certificate is
tests/unit/device/test_tls.py."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import chains
import rig as rigs
from otactl.board.deploy import deploy
from otactl.server.files import Transfer
from otactl.server.server import Server
from otactl.workspace import authorities, clients, issuing, tls
from rig import NEW, Rig, repl, started, update_code
from vboard.board import Board

LONG_AGO = int((datetime(2026, 1, 15, tzinfo=UTC) - datetime(2000, 1, 1, tzinfo=UTC)).total_seconds())


@contextmanager
def serving(rig: Rig, *, asks: bytes = b"") -> Iterator[list[Transfer]]:
    """`otactl serve`, started now: what it tells of. `asks`: the CAs of which a board has to have a certificate."""
    told: list[Transfer] = []
    with Server(rig.workspace.releases, rig.workspace.tls, "127.0.0.1", 0, told.append, clients=asks) as server:
        rig.route(server.port)
        yield told


def refuses(board: Board, *codes: str) -> None:
    """The board's update ends with one of them; what it boots, and the slot, are as they were."""
    before, since = rigs.boots(board), len(board.flash.trace)
    assert update_code(board) in codes
    assert rigs.boots(board) == before
    assert not rigs.touched(board, "ota_1", since)


def takes(board: Board, version: str) -> None:
    """The board finds that release by itself, and has it in the end."""
    seen = len(board.text)
    board.reset()
    board.wait_text(f"ota: up-to-date {version}", 60, since=seen)


def bring(board: Board, rig: Rig, name: str = "") -> None:
    with repl(board) as link:
        deploy(link, rig.workspace, name=name)


def test_pinned_board_takes_a_renewed_certificate_with_the_same_key_and_no_other(rig: Rig) -> None:
    folder = rig.workspace.tls
    key, pin = (folder / "server.key").read_bytes(), tls.key_pin(tls.server(folder).public_key())  # type: ignore[union-attr]
    board = started(rig.board())
    rigs.configure(board, pins=[pin])
    rig.publish("1.1.0", NEW)
    tls.make_server(folder, [rigs.HOST])  # of our own CA, for the right name, today
    with serving(rig) as told:
        refuses(board, "cert-pin")
        assert not [one for one in told if one.path]  # it asked for nothing
    (folder / "server.key").write_bytes(key)
    tls.make_server(folder, [rigs.HOST], pins=[pin])
    with serving(rig):
        takes(board, "1.1.0")


def test_server_that_asks_who_comes(rig: Rig) -> None:
    """Its date serves too, where nobody else tells one (P13)."""
    ours = authorities.own_bundle(rig.workspace)
    clients.make(rig.workspace, "lamp-1")
    board = started(rig.board())
    rig.publish("1.1.0", NEW)
    with serving(rig, asks=ours) as told:
        refuses(board, "tls", "dropped")
        assert told[0].why.startswith("has no certificate of its own: `otactl ca client NAME`")
    bring(board, rig, "lamp-1")
    with serving(rig, asks=chains.issue("stranger", ca=True).pem):
        refuses(board, "client-refused")
    board.power_off()
    store = rigs.nvs(board)
    store.set_i32(store.namespace("ota"), "proven", LONG_AGO)
    rig.network.ntp = False
    with serving(rig, asks=ours):
        seen = len(board.text)
        board.power_on()
        board.wait_text("ota: up-to-date 1.1.0", 60, since=seen)


def test_board_goes_from_one_ca_to_the_next_by_cable(rig: Rig) -> None:
    """From one that cannot vouch for the next. Without a cable: test_ca_story.py."""
    chains.authority_of_before(rig.workspace.tls, "demo releases")
    tls.make_server(rig.workspace.tls, [rigs.HOST])
    board = started(rig.board())
    authorities.begin(rig.workspace)
    bring(board, rig)  # both
    with serving(rig):
        takes(board, "1.0.0")
    former = authorities.switch(rig.workspace)
    with serving(rig):
        takes(board, "1.0.0")
        authorities.drop(former)
        bring(board, rig)
    with repl(board) as link:
        link.put("/etc/ota/ca.pem", former.certificate.public_bytes(issuing.PEM))  # one that slept through all of it
    with serving(rig) as told:
        refuses(board, "cert-untrusted")
        assert told[0].why.startswith("refused our certificate, it does not know our CA: `otactl deploy`")
        bring(board, rig)
        takes(board, "1.0.0")
