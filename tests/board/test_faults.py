"""Network faults, a row each: the right image gets in all the same, or the update ends with the row's code.

Either way the running release and its otadata entry stay as they are, and the memory comes back. The rows of one
worker share a board: each starts from what the row before it has left.
"""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import rig as rigs
from faultbench import INSTALLED, LEAK, MIRROR, SETUP, STRANGER, Bench, opened
from otactl.workspace.workspace import Workspace
from rig import HOST, boots, slot_bytes, touched
from vboard.board import Board
from vboard.flash.otadata import State


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, place: Workspace, template: Path) -> Iterator[Bench]:
    with opened(tmp_path_factory.mktemp("faults"), place, template) as made:
        yield made


Meanwhile = Callable[[Bench], None]


@dataclass(frozen=True)
class Row:
    """`script`: what goes wrong, request by request. `spans`: the Range of each request for the file that must be.

    `early`: the other slot stays untouched. `meanwhile` happens when the first bytes are in flash.
    """

    script: list[str]
    outcome: str
    spans: list[str] | None = None
    early: bool = False
    match: str = "*.bin"
    other_host: str = MIRROR
    meanwhile: Meanwhile | None = None


def _wifi_for_a_moment(bench: Bench) -> None:
    bench.board.drop_wifi(0.3)


def _wifi_for_good(bench: Bench) -> None:
    bench.rig.network.access_points.clear()
    bench.board.drop_wifi(0)


def _dns(bench: Bench) -> None:
    bench.rig.network.hosts.pop(HOST)


WHOLE, REST = "", "bytes=28672-"  # of 30,000 bytes that came, whole sectors are in flash
SLOW = "trickle:40000:1.2"
ROWS = {
    "DNS failure in mid-download": Row([f"{SLOW}+cut:70000"], "dns", meanwhile=_dns),
    "Wi-Fi lost for a moment in mid-download": Row([SLOW], INSTALLED, meanwhile=_wifi_for_a_moment),
    "Wi-Fi lost for good in mid-download": Row([SLOW], "wifi-not-found", meanwhile=_wifi_for_good),
    "cut": Row(["cut:30000"], INSTALLED, [WHOLE, REST]),
    "cut at the first byte": Row(["cut:0"], INSTALLED, [WHOLE, WHOLE]),
    "no Range, and cut half way again and again": Row(["no-range+cut:40000"] * 3, "dropped"),
    "cut again and again": Row(["cut:0"] * 3, "dropped", early=True),
    "reset": Row(["reset:30000"], INSTALLED, [WHOLE, REST]),
    "reset again and again": Row(["reset:0"] * 3, "dropped", early=True),
    "stall": Row(["stall:30000"], INSTALLED, [WHOLE, REST]),
    "stall again and again": Row(["stall:0"] * 3, "stalled", early=True),
    "trickle": Row(["trickle:160000"], INSTALLED, [WHOLE]),
    "trickle of headers": Row(["slow-headers:50"] * 3, "stalled", early=True),
    "something that is not TLS in mid-stream": Row(["garble:30000"], INSTALLED, [WHOLE, REST]),
    "wrong length, too small": Row(["short:10"], "size-mismatch", early=True),
    "wrong length, too large": Row(["long:10"], "size-mismatch", early=True),
    "too long": Row(["extra:10"], "size-mismatch", early=True),
    "too long, and no length": Row(["no-length+extra:10"], INSTALLED, [WHOLE]),
    "no length": Row(["no-length"], INSTALLED, [WHOLE]),
    "no length and cut": Row(["no-length+cut:30000"], INSTALLED, [WHOLE, REST]),
    "wrong length of the rest": Row(["cut:30000", "short:10"], INSTALLED, [WHOLE, REST, WHOLE]),
    "wrong byte": Row(["flip:50000"], INSTALLED, [WHOLE, WHOLE]),
    "wrong byte, and again": Row(["flip:50000"] * 2, "hash-mismatch", [WHOLE, WHOLE]),
    "wrong byte, and cut": Row(["flip:50000", "cut:30000"], INSTALLED, [WHOLE, WHOLE, REST]),
    "wrong byte, and gone": Row(["flip:50000", "status:404"], "http-status", [WHOLE, WHOLE]),
    "wrong byte in the head": Row(["flip:0"], "not-an-image", early=True),
    "Range ignored": Row(["cut:30000", "no-range"], INSTALLED, [WHOLE, REST]),
    "wrong Content-Range": Row(["cut:30000", "wrong-range"], INSTALLED, [WHOLE, REST, WHOLE]),
    "wrong Content-Range always": Row(["wrong-range"] * 3, "bad-range", early=True),
    "changed ETag half way": Row(["etag:30000"], INSTALLED, [WHOLE, REST]),
    "changed ETag, Range ignored": Row(["etag:30000", "cut:9000"], INSTALLED),
    "301": Row(["redirect:301"], INSTALLED, [WHOLE, WHOLE]),
    "302": Row(["redirect:302"], INSTALLED, [WHOLE, WHOLE]),
    "307": Row(["redirect:307"], INSTALLED, [WHOLE, WHOLE]),
    "302 of the rest": Row(["cut:30000", "redirect:302"], INSTALLED, [WHOLE, REST, REST]),
    "302 to another host": Row(["redirect:302:other-host"], INSTALLED, [WHOLE, WHOLE]),
    "302 to a host of another name": Row(
        ["redirect:302:other-host"], "cert-host", early=True, other_host=STRANGER
    ),
    "307 to http": Row(["redirect:307:http"], "redirect-to-http", early=True),
    "redirect loop": Row(["redirect-loop"], "too-many-redirects", early=True),
    "404": Row(["status:404"], "http-status", early=True),
    "429 with Retry-After": Row(["status:429:1"], INSTALLED, [WHOLE, WHOLE]),
    "500": Row(["status:500"], INSTALLED, [WHOLE, WHOLE]),
    "500 always": Row(["status:500"] * 3, "http-status", early=True),
    "503 with Retry-After": Row(["status:503:1"], INSTALLED, [WHOLE, WHOLE]),
    "503 with a Retry-After that is too long": Row(["status:503:61"], "http-status", [WHOLE], early=True),
    "503 in mid-download": Row(["cut:30000", "status:503:1"], INSTALLED, [WHOLE, REST, REST]),
    "chunked": Row(["chunked"], INSTALLED, [WHOLE]),
    "chunked and cut": Row(["chunked+cut:30000"], INSTALLED),
    "TLS alert": Row(["tls-alert"] * 3, "tls", early=True),
    "TLS alert in mid-download": Row(["cut:30000", "tls-alert"], INSTALLED, [WHOLE, REST]),
    "bad certificate": Row(["bad-cert"], "cert-untrusted", early=True),
    "bad certificate in mid-download": Row(["cut:30000", "bad-cert"], "cert-untrusted"),
    "connection refused": Row(["refuse"] * 3, "dropped", early=True),
    "connection refused in mid-download": Row(
        ["cut:30000", "refuse"], INSTALLED, [WHOLE, REST]
    ),
    "release file cut": Row(["cut:100"], INSTALLED, match="*.json"),
    "release file with a wrong byte": Row(["flip:500"], "envelope-not-json", early=True, match="*.json"),
    "release file chunked": Row(["chunked"], INSTALLED, match="*.json"),
}  # fmt: skip


BUSY = """
from ota import errors
from ota.install import retry
def waits(s):
    def busy():
        raise errors.OtaError("http-status", 503, s)
        yield
    found = []
    try:
        for step in retry.patiently(3, busy, lambda: 0):
            found.append(step.wait_ms)
    except errors.OtaError:
        return found
"""


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_fault(bench: Bench, row: Row) -> None:
    board, network = bench.board, bench.rig.network
    hosts, access_points = dict(network.hosts), dict(network.access_points)
    version, data = bench.publish()
    bench.server.other_host = row.other_host
    with rigs.repl(board) as link:
        bench.warm_up(link)
        running, entries, trace = board.slot, rigs.otadata(board), len(board.flash.trace)
        assert running and boots(board) == (running, State.VALID)
        other = "ota_1" if running == "ota_0" else "ota_0"
        kept = slot_bytes(board, running, len(data))
        if row.meanwhile:
            _when_writing(bench, other, trace, row.meanwhile)
        try:
            code, lost = bench.run(link, row.script, row.match)
        finally:
            network.hosts.update(hosts)
            network.access_points.update(access_points)
    spans = [e.span for e in bench.events if e.request.endswith(".bin") and e.status]
    if code == INSTALLED:
        confirmed(board, version)
        assert boots(board) == (other, State.VALID)
        assert board.slot == other
        assert slot_bytes(board, other, len(data)) == data
    else:
        assert rigs.otadata(board) == entries
        assert board.slot == running
        assert not (row.early and touched(board, other, trace))
    assert code == row.outcome
    assert bench.server.left == 0, "not all of the script has come to pass"
    assert slot_bytes(board, running, len(data)) == kept
    assert not touched(board, running, trace)
    assert row.spans is None or spans == row.spans
    assert abs(lost) <= LEAK


def test_waits_as_long_as_a_busy_server_asks(bench: Bench) -> None:
    with rigs.repl(bench.board) as link:
        waits = {s: link.value(f"waits({s})", BUSY) for s in (0, 20, 60)}
    for s, found in waits.items():
        first, second = max(500, s * 1000), max(1000, s * 1000)
        assert first <= found[0] < 2 * first
        assert second <= found[1] < 2 * second


def confirmed(board: Board, version: str) -> None:
    """Through the reset and the trial, which ends in another reset."""
    seen, boots = len(board.text), len(board.boots)
    board.reset()
    board.wait_text(f"ota: confirmed {version}", 30, since=seen)
    board.wait_boots(boots + 2)


def _when_writing(bench: Bench, slot: str, trace: int, then: Meanwhile) -> None:
    """`then` once the slot is written to: it changes the network only, never the flash."""

    def wait() -> None:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            if len(touched(bench.board, slot, trace)) > 4:
                then(bench)
                return
            time.sleep(0.02)

    threading.Thread(target=wait, daemon=True).start()


@pytest.mark.parametrize(
    ("ends", "code"),
    [(["refuse"] * 3, "dropped"), (["bad-cert"], "cert-untrusted"), (["status:404"], "http-status")],
    ids=["passing", "certificate", "404"],
)
def test_look_that_ends_in_mid_download_is_gone_on_from_by_the_next(ends: list[str], code: str, bench: Bench) -> None:
    version, data = bench.publish()
    with rigs.repl(bench.board) as link:
        link.run(SETUP)
        assert bench.run(link, ["cut:30000", *ends])[0] == code
        assert bench.run(link, [])[0] == INSTALLED
    spans = [e.span for e in bench.events if e.request.endswith(".bin") and e.status]
    assert spans == [REST]
    confirmed(bench.board, version)
    running = bench.board.slot
    assert running and slot_bytes(bench.board, running, len(data)) == data


@pytest.mark.parametrize("script", [["short:10"], ["flip:50000"] * 2, ["flip:0"]], ids="+".join)
def test_what_a_server_sends_never_blacklists_a_release(bench: Bench, script: list[str]) -> None:
    """P6: as often as it likes. Once it sends the right bytes, the board takes them."""
    version, data = bench.publish()
    with rigs.repl(bench.board) as link:
        link.run(SETUP)
        codes = {bench.run(link, script)[0] for _ in range(5)}
        assert len(codes) == 1 and codes <= {"size-mismatch", "hash-mismatch", "not-an-image"}
        failed = link.value("agent.status()['failed']")
        assert bench.run(link, [])[0] == INSTALLED
    assert failed == []
    other = "ota_1" if bench.board.slot == "ota_0" else "ota_0"
    assert slot_bytes(bench.board, other, len(data)) == data
    confirmed(bench.board, version)


def test_a_file_that_stays_wrong_comes_twice_in_the_first_pass_and_once_in_each_other(bench: Bench) -> None:
    bench.publish()
    wrong = ["flip:50000"] * 2
    with rigs.repl(bench.board) as link:
        link.run(SETUP)
        transfers = []
        for _ in range(3):
            assert bench.run(link, wrong)[0] == "hash-mismatch"
            transfers.append(sum(event.request.endswith(".bin") for event in bench.events))
        version, _ = bench.publish()  # nothing is known of that one's
        assert bench.run(link, ["flip:50000"])[0] == INSTALLED
    assert transfers == [2, 1, 1]
    confirmed(bench.board, version)
