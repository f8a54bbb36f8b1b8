"""The date: who may tell it, what is proven, and that nobody on the network can shut a board out with it (P13, P8)."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import rig as rigs
from otactl.workspace import tls
from rig import NEW, Rig, nvs, started, update_code
from vboard.board import Board

YEAR_S = 365 * 86400
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
LONG_AGO = int((datetime(2026, 1, 15, tzinfo=UTC) - EPOCH).total_seconds())  # before the certificates of today


def proven(board: Board) -> datetime:
    """The floor as it lies in flash; the board is off then."""
    board.power_off()
    store = nvs(board)
    return datetime.fromtimestamp(EPOCH.timestamp() + store.get_i32(store.namespace("ota"), "proven"), UTC)


def prove(board: Board, seconds: int) -> Board:
    """Let the board, which is off, have seen no later date than that."""
    store = nvs(board)
    store.set_i32(store.namespace("ota"), "proven", seconds)
    return board


def year(board: Board) -> int:
    return board.rtc.now().year


@pytest.mark.parametrize("reply", ["none", "whole", "short", "garbage"])
def test_board_that_was_switched_off_for_a_year_updates(rig: Rig, reply: str) -> None:
    """A LAN without a time server: the release server's own date will do. So it does where time servers talk nonsense."""
    rig.network.ntp = reply != "none"
    rig.network.ntp_reply = "whole" if reply == "none" else reply  # type: ignore[assignment]
    board = prove(rig.board(), LONG_AGO)
    rig.publish("1.1.0", NEW)
    started(board)
    board.wait_text("ota: up-to-date 1.1.0", 60)
    assert year(board) == datetime.now(UTC).year
    assert (datetime.now(UTC) - proven(board)).days < 4  # the certificate's start, two days back


def test_forged_time_is_corrected_at_once_and_shuts_nobody_out(rig: Rig) -> None:
    rig.network.ntp_off_s = 40 * YEAR_S  # every answer: an attacker between board and time server
    board = prove(rig.board(), LONG_AGO)
    rig.publish("1.1.0", NEW)
    started(board)
    board.wait_text("ota: up-to-date 1.1.0", 60)
    assert year(board) == datetime.now(UTC).year
    assert proven(board) < datetime.now(UTC)  # and nothing of it stays


def test_clock_that_somebody_set_wrong_is_corrected(rig: Rig) -> None:
    board = started(rig.board())
    board.wait_text("ota: up-to-date", 20)
    rig.network.ntp = False
    board.set_clock(datetime(2050, 1, 1, tzinfo=UTC))
    seen = len(board.text)
    board.reset(2)
    board.wait_text("ota: up-to-date", 30, since=seen)
    assert year(board) == datetime.now(UTC).year


def test_clock_never_goes_behind_what_is_proven(rig: Rig) -> None:
    rig.network.ntp_off_s = -5 * YEAR_S
    board = started(rig.board())
    board.wait_text("ota: up-to-date", 30)
    assert year(board) == datetime.now(UTC).year


def test_deployment_is_proven(rig: Rig) -> None:
    board = rig.board()
    assert (datetime.now(UTC) - proven(board)).total_seconds() < 3600


def test_release_dated_ahead_moves_no_floor_and_the_next_one_does_not_expire_by_it(rig: Rig) -> None:
    board = started(rig.board())
    board.wait_text("ota: up-to-date", 30)
    rig.forge(published=from_now(300), target__size=0x1B0001)  # a slip, before the server's certificate ends
    assert update_code(board) == "too-big"
    rig.forge(published=from_now(0), expires=from_now(30), target__size=0x1B0001, sequence=9)
    assert update_code(board) == "too-big"  # and not "expired"
    assert proven(board) < datetime.now(UTC)


def from_now(days: int) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize("ntp", [True, False])
def test_certificate_that_has_expired_is_refused_whoever_tells_the_time(rig: Rig, ntp: bool, tmp_path: Path) -> None:
    rig.network.ntp = ntp
    shutil.copytree(rig.workspace.tls, tmp_path / "tls")
    tls.make_server(tmp_path / "tls", [rigs.HOST], days=-1)
    for name in ("server.pem", "server.key"):
        shutil.copy(tmp_path / "tls" / name, rig.workspace.tls / name)
    rig.serve()  # with that certificate
    board = started(prove(rig.board(), LONG_AGO))
    board.wait_text("ota: error cert-expired", 60)
    assert update_code(board) == "cert-expired"
    assert not rigs.touched(board, "ota_1")
