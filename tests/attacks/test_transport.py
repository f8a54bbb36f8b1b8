"""An attacker on the way: certificates, names, the time; and what is left when he has gone."""

import ssl
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import rig as rigs
from rig import HOST, NEW, boots, image, slot_bytes
from vboard.flash.otadata import State

from attacks import certificates
from attacks.bench import CHANNEL, FILE, Bench, Row
from attacks.villain import ok, says

YEAR_S = 365 * 86400
HIS_ADDRESS = "10.0.0.66"
TRANSPORT = "the transport: what boards ask for, and to hold it back"
CLOCK = "a floor in the future: a board that no certificate is good for"
EXPIRED = "a certificate that has expired, and whose key he has"
FAR_DATE = "Fri, 01 Jan 2066 00:00:00 GMT"


def _shows(make: Callable[[Path, Path], ssl.SSLContext]) -> Callable[[Bench], None]:
    def begin(bench: Bench) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of old TLS: he has it
            bench.villain.context = make(bench.rig.root, bench.rig.workspace.tls)
        bench.release()

    return begin


def _heard_nothing(bench: Bench) -> None:
    assert bench.heard == []


def _certificate_row(code: str, make: Callable[[Path, Path], ssl.SSLContext]) -> Row:
    return Row(code, TRANSPORT, _shows(make), after=_heard_nothing)


def _portal_by_http(bench: Bench) -> None:
    bench.villain.context = None
    bench.answer(CHANNEL, ok("<html>Please log in</html>"))


def _name_forged(bench: Bench) -> None:
    bench.network.hosts[HOST] = HIS_ADDRESS
    bench.network.routes[HIS_ADDRESS, rigs.PORT] = ("127.0.0.1", bench.villain.port)
    _shows(certificates.by_a_stranger)(bench)


CERTIFICATES = {
    "certificate: signed by itself": _certificate_row("cert-untrusted", certificates.self_signed),
    "certificate: by a CA of our CA's name": _certificate_row("cert-untrusted", certificates.by_a_stranger),
    "certificate: signed with another server's key, which our CA has certified": _certificate_row(
        "cert-untrusted", certificates.by_a_neighbour
    ),
    "certificate: of another server of ours": _certificate_row("cert-host", certificates.of_a_neighbour),
    "certificate: for a name that begins with ours": _certificate_row("cert-host", certificates.of_a_longer_name),
    "certificate: for clients only": _certificate_row("tls", certificates.of_a_client),
    "downgrade: TLS 1.1": _certificate_row("tls", certificates.old_tls),
    "captive portal: over plain HTTP, which is allowed": Row(
        "envelope-not-json",
        "any software on the board",
        _portal_by_http,
        config={"url": "http://releases.test:8443/stable.json", "allow_http": True},
    ),
    "forged name: our server's name is at his address": Row("cert-untrusted", TRANSPORT, _name_forged),
}


# --- the time -----------------------------------------------------------------------------------------------------

RESET_CLOCK = "import machine\nmachine.RTC().datetime((2000, 1, 1, 0, 0, 0, 0, 0))"  # as after power-on


def _time_ahead(bench: Bench) -> None:
    """Each time server is 40 years ahead."""
    bench.run(RESET_CLOCK)
    bench.network.ntp_off_s = 40 * YEAR_S


def _time_behind(bench: Bench, years: int) -> None:
    bench.run(RESET_CLOCK)
    bench.network.ntp_off_s = -years * YEAR_S


def _all_lie(bench: Bench) -> None:
    """The time servers, and whoever answers in our server's place."""
    _time_ahead(bench)
    _shows(certificates.self_signed)(bench)
    bench.answer(CHANNEL, ok("{}", f"Date: {FAR_DATE}"))


def _our_server_lies(bench: Bench) -> None:
    good = bench.rig.workspace.channel_file.read_bytes()
    bench.answer(CHANNEL, ok(good, f"Date: {FAR_DATE}"))


def _the_next_look_is_good(bench: Bench) -> None:
    """He has gone: the board finds the date by itself."""
    assert bench.look().split()[0] == "up-to-date"


TIMES = {
    "forged time: time servers 40 years ahead": Row("cert-expired", CLOCK, _time_ahead, after=_the_next_look_is_good),
    "forged time: time servers a year behind": Row("up-to-date", EXPIRED, lambda b: _time_behind(b, 1)),
    "forged time: time servers 20 years behind, which NTP takes for 116 years ahead": Row(
        "cert-expired", CLOCK, lambda b: _time_behind(b, 20), after=_the_next_look_is_good
    ),
    "forged time: time servers and a false server's Date, 40 years ahead": Row(
        "cert-untrusted", CLOCK, _all_lie, after=_the_next_look_is_good
    ),
    "forged time: the Date of the server itself, 40 years ahead": Row(
        "up-to-date", CLOCK, _our_server_lies, after=_the_next_look_is_good
    ),
}

ROWS = {**CERTIFICATES, **TIMES}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_transport(bench: Bench, row: Row) -> None:
    bench.attacked(row)


# --- when he has gone ---------------------------------------------------------------------------------------------


def test_good_release_installs_after_attacks_and_none_takes_the_way_back(bench: Bench) -> None:
    """The board of all rows takes the next release. Then a server without an image for it makes it forget nothing."""
    for row in (
        CERTIFICATES["certificate: signed by itself"],
        TIMES["forged time: the Date of the server itself, 40 years ahead"],
    ):
        bench.attacked(row)
    good = image(80)  # what rows offer runs nowhere, whichever come later
    bench.install("7.0.0", good)
    slot, state = boots(bench.board)
    assert (bench.board.slot, state) == (slot, State.VALID)
    assert slot_bytes(bench.board, slot, len(good)) == good
    for answer, code in ((says("HTTP/1.1 404 x\r\n\r\n"), "http-status"), (ok(bytes(len(NEW))), "not-an-image")):
        before = bench.flashed()
        bench.release(image(79))
        bench.answer(FILE, answer)
        assert bench.look().split()[0] == code
        assert bench.flashed().state["releases"] == before.state["releases"]
        assert len(before.state["releases"]) == 2
    bench.reform()
