"""One TLS connection for envelope and image: where it is kept, and what servers do to one that is. Counted by the board: each
connection is a handshake. A fault of it costs a connection, and nothing else."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import rig as rigs
from faultbench import INSTALLED, LEAK, SETUP, Bench, opened
from otactl.board.link import Link
from otactl.workspace.workspace import Workspace
from rig import HOST, Rig, slot_bytes, started
from vboard.board import Board

SPIRAM = 2048  # KiB of IDF heap


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, place: Workspace, template: Path) -> Iterator[tuple[Bench, Link]]:
    """One session for all rows: a board that is not reset takes each release into the same slot."""
    with opened(tmp_path_factory.mktemp("kept"), place, template, idf_heap_kib=SPIRAM) as made:
        made.publish()
        with rigs.repl(made.board) as link:
            made.warm_up(link)
            assert made.run(link, [])[0] == INSTALLED
            link.run(
                "from ota.boot import record" + TOLD
            )  # what these two take for the first time is not lost by a row
            yield made, link


def handshakes(board: Board) -> int:
    assert board.soc
    return board.soc.heap.tls_opened


TOLD = """
kept = record.load()
print(kept.job["version"], kept.job["reason"], kept.state["failed"], kept.state["refused"])
del kept
"""
WHOLE, REST = "", "bytes=28672-"
# what goes wrong, request by request, the envelope's first; connections; the Range of each request for the image
ROWS = {
    "kept": (["keep"], 1, [WHOLE]),
    "kept, and the image breaks off": (["keep", "cut:30000"], 2, [WHOLE, REST]),
    "kept, and the image breaks off, and so on": (["keep", "cut:30000", "cut:0"], 3, [WHOLE, REST, REST]),
    "kept, and the image is at another host": (["redirect:302:other-host", "keep"], 3, [WHOLE]),
    "kept, and the image is sent for elsewhere": (["keep", "redirect:302:other-host"], 2, [WHOLE, WHOLE]),
    "closed once the envelope has come": (["keep:close"], 2, [WHOLE]),
    "reset while the release is judged": (["keep:reset"], 2, [WHOLE]),
    "an answer before anybody has asked": (["keep:answer"], 2, [WHOLE]),
    "an answer that is no HTTP": (["keep:nonsense"], 2, [WHOLE]),
    "no answer any more": (["keep:silent"], 2, [WHOLE]),
    "Connection: close": (["ok"], 2, [WHOLE]),
    "HTTP/1.0": (["keep+http-1.0"], 2, [WHOLE]),
    "chunked": (["keep+chunked"], 2, [WHOLE]),
    "a body that ends with the connection": (["keep:close+no-length"], 2, [WHOLE]),
}  # fmt: skip


@pytest.mark.parametrize(("script", "connections", "spans"), ROWS.values(), ids=ROWS)
def test_server_that_keeps_the_connection(
    script: list[str], connections: int, spans: list[str], bench: tuple[Bench, Link]
) -> None:
    made, link = bench
    board = made.board
    version, data = made.publish()
    before = handshakes(board)
    code, lost = made.run(link, script, match="*")
    assert code == INSTALLED
    assert handshakes(board) - before == connections
    assert [e.span for e in made.events if e.request.endswith(".bin") and e.status] == spans
    answered = [e.headers for e in made.events if e.status]
    assert all(("ota-board" in headers) == headers["host"].startswith(HOST) for headers in answered)
    assert slot_bytes(board, "ota_1", len(data)) == data
    assert link.run(TOLD).split() == [version, "None", "[]", "None"]
    assert abs(lost) <= LEAK


def test_error_is_the_answer_and_not_asked_for_again(bench: tuple[Bench, Link]) -> None:
    made, link = bench
    made.publish()
    before = handshakes(made.board)
    assert made.run(link, ["keep", "status:404"], match="*")[0] == "http-status"
    assert handshakes(made.board) - before == 1
    assert [(e.span, e.status) for e in made.events if e.request.endswith(".bin")] == [(WHOLE, 404)]


def test_job_that_broke_goes_on_over_the_kept_connection(bench: tuple[Bench, Link]) -> None:
    made, link = bench
    _, data = made.publish()
    assert made.run(link, ["ok", "cut:30000", "status:404"], match="*")[0] == "http-status"
    before = handshakes(made.board)
    assert made.run(link, ["keep"], match="*")[0] == INSTALLED
    assert handshakes(made.board) - before == 1
    assert [e.span for e in made.events if e.request.endswith(".bin")] == [REST]
    assert slot_bytes(made.board, "ota_1", len(data)) == data


def test_stock_board_keeps_none(rig: Rig) -> None:
    """Beside a connection an ESP32 without SPIRAM has no room to judge a release."""
    board = started(rig.board())
    board.wait_text("ota: up-to-date", 20)
    rig.publish("1.1.0", rigs.NEW)
    before = handshakes(board)
    assert rigs.ask(board, SETUP + "go()", 60).split()[-1] == INSTALLED
    assert handshakes(board) - before == 2


LOOKS = """
import esp32, gc
from ota import agent, release
from ota.errors import OtaError
from ota.net import connection
kept, keep = [0], connection.keep
def counted(*what):
    kept[0] += 1
    keep(*what)
connection.keep = counted
def idf():
    return sum(heap[1] for heap in esp32.idf_heap_info(esp32.HEAP_DATA))
def looks(n):
    for _ in range(n):
        if hasattr(release, "unchanged"):
            release.unchanged.keep(None)  # so that it is whole
        try:
            agent.update(tries=1)
        except OtaError as e:
            if e.code != "up-to-date":
                raise
looks(3)
gc.collect()
"""
MEASURE = "gc.collect()\nprint(gc.mem_alloc(), idf())"
MANY = 100 if os.environ.get("MATRICES") == "all" else 5


def held(link: Link, looks: int) -> tuple[int, int]:
    """Bytes that Python has taken and that the system's heap lacks after so many looks, and one more: the least of two counts."""
    python, lacking = [], []
    for n in (looks, 1):
        link.run(f"looks({n})", timeout_s=300)
        taken, free = map(int, link.run(MEASURE).split())
        python.append(taken)
        lacking.append(-free)
    return min(python), min(lacking)


def test_looks_that_keep_their_connection_leave_nothing_behind(rig: Rig) -> None:
    """P9: each has an envelope that comes by a connection that is kept, and let go, as there is nothing to install."""
    board = started(rig.board(idf_heap_kib=SPIRAM))
    board.wait_text("ota: up-to-date", 20)
    with rigs.repl(board) as link:
        link.run(LOOKS, timeout_s=60)
        first = held(link, 1)
        now = held(link, MANY)
        # The collector takes a number for a pointer now and then; a hundred looks (`make matrices`) may add no more than five.
        assert now[0] <= first[0] + 128 and now[1] <= first[1]
        assert link.run("print(kept[0])").split() == [str(MANY + 6)]
