"""What /metrics says, read back by a parser of Prometheus's text format."""

import asyncio
import http.client
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest
from otactl.cli.boards import ServeLog
from otactl.cli.display import Bars
from otactl.fleet import metrics
from otactl.fleet.checkin import CheckIn
from otactl.fleet.store import Seen
from otactl.fleet.table import STATES, Row, row
from otactl.server.files import Transfer
from otactl.server.metrics import Metrics
from otactl.server.sending import _Outgoing
from otactl.server.server import Server

NOW = 1_800_000_000.0
_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_VALUE = r'"(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(rf"({_NAME})(?:\{{((?:{_NAME}={_VALUE},?)*)\}})? (-?[0-9.]+(?:e[+-]?[0-9]+)?)\Z")
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def parsed(text: str) -> Samples:
    """Each sample by its name and labels. Fails where a line is none, a family is told twice, or a sample is out of its family."""
    found: Samples = {}
    family, families = "", set()
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, family, kind = line.split(" ")
            assert kind in ("counter", "gauge") and family not in families
            families.add(family)
            assert (kind == "counter") == family.endswith("_total")
        elif not line.startswith("# HELP "):
            match = SAMPLE.match(line)
            assert match and match[1] == family, line
            pairs = re.findall(rf"({_NAME})=({_VALUE})", match[2] or "")
            labels = tuple(
                (name, re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), v[1:-1])) for name, v in pairs
            )
            assert (family, labels) not in found, line
            found[family, labels] = float(match[3])
    return found


def board(n: int, have: int, *, name: str = "", offered: int = 2, **said) -> Row:
    seen = Seen(CheckIn(f"240ac4{n:06x}", "lamp", have, **said), "10.0.0.7", NOW - 60, NOW - 5, offered, 0, 0)
    return row(seen, name=name or f"desk-{n}", cohort="class", versions={1: "1.0.0", 2: "1.1.0"}, now=NOW)


def one(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((name, tuple(labels.items())))


def test_boards_are_counted_by_state_release_and_cohort() -> None:
    rows = [board(1, 2), board(2, 2), board(3, 1), board(4, 1, phase="failed", sequence=2, reason="check-wifi")]
    said = parsed(metrics.page(rows, metrics.Counts()))
    counted = {labels: n for (name, labels), n in said.items() if name == "ota_boards" and n}
    assert {tuple(dict(labels).values()): n for labels, n in counted.items()} == {
        ("current", "1.1.0", "class"): 2,
        ("behind", "1.0.0", "class"): 1,
        ("rolled-back", "1.0.0", "class"): 1,
    }
    states = {dict(labels)["state"] for (name, labels) in said if name == "ota_boards"}
    assert states == set(STATES)  # an alert on one that is nobody's must see a zero


def test_a_board_has_its_measures_and_what_it_does_not_tell_is_left_out() -> None:
    said = parsed(metrics.page([board(1, 2, uptime=731, rssi=-61)], metrics.Counts()))
    assert one(said, "ota_board_uptime_seconds", id="240ac4000001") == 731
    assert one(said, "ota_board_signal_dbm", id="240ac4000001") == -61
    assert one(said, "ota_board_heap_free_bytes", id="240ac4000001") is None
    assert one(said, "ota_board_seen_timestamp_seconds", id="240ac4000001") == NOW - 5


@pytest.mark.parametrize("name", ['desk"} 1\nota_boards{x="', "\\", 'a\\"b', "\n# TYPE evil counter", "ä, ö=1"])
def test_a_name_of_a_board_stays_a_label(name: str) -> None:
    said = parsed(metrics.page([board(1, 2, name=name, reason='"\\')], metrics.Counts()))
    (info,) = [dict(labels) for (family, labels) in said if family == "ota_board_info"]
    assert (info["name"], info["reason"]) == (name, '"\\')


def test_an_empty_fleet_is_a_page_too() -> None:
    said = parsed(metrics.page([], metrics.Counts()))
    assert one(said, "ota_taken_bytes_total") == 0


def test_the_server_counts_looks_files_and_what_is_refused(tmp_path: Path) -> None:
    (tmp_path / "stable.json").write_text("{}")
    (tmp_path / "1.1.0").mkdir()
    (tmp_path / "1.1.0" / "esp32.bin").write_bytes(bytes(50_000))
    made = Metrics(lambda: [board(1, 2)])
    with Server(tmp_path, None, "127.0.0.1", 0, made.watching(lambda _: None), rooms=[made.room]) as server:

        def get(path: str, **headers: str) -> http.client.HTTPResponse:
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
            connection.request("GET", path, headers={"Connection": "close", **headers})
            return connection.getresponse()

        tag = get("/stable.json").headers["ETag"]
        assert get("/stable.json", **{"If-None-Match": tag}).status == 304
        assert len(get("/1.1.0/esp32.bin").read()) == 50_000
        assert len(get("/1.1.0/esp32.bin", Range="bytes=40000-").read()) == 10_000
        assert get("/1.1.0/none.bin").status == 404
        assert get("/1.1.0/esp32.bin", Range="bytes=60000-").status == 416
        answer = get("/metrics")
        assert answer.headers["Content-Type"] == metrics.CONTENT_TYPE
        said = parsed(answer.read().decode())
    answers = {tuple(dict(labels).values()): n for (name, labels), n in said.items() if name == "ota_answers_total"}
    assert answers == {
        ("look", "200"): 1, ("look", "304"): 1,
        ("file", "200"): 1, ("file", "206"): 1, ("file", "404"): 1, ("file", "416"): 1,
    }  # fmt: skip
    assert one(said, "ota_taken_bytes_total") == 60_000
    assert one(said, "ota_downloads_total", end="whole") == 2
    assert one(said, "ota_boards", state="current", release="1.1.0", cohort="class") == 1


def test_a_slow_board_is_looked_after_ever_more_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    left = iter([60_000] * 12 + [0])

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    class Board(_Outgoing):
        def __init__(self) -> None:
            self._sent, self._taken, self._began, self._moved = 60_000, 0, 0.0, 1e12
            self._report = lambda taken, seconds: None
            self._transport = Open()

        def _pending(self) -> int:
            return next(left)

    class Open:
        def is_closing(self) -> bool:
            return False

    monkeypatch.setattr("otactl.server.sending.asyncio.sleep", sleep)
    asyncio.run(Board().until(0))
    assert pauses[0] == 0 and pauses == sorted(pauses)
    assert pauses[1] == 0.005 and pauses[-1] == 0.04  # four hundred boards: 10,000 looks a second, not 80,000
    waited = 0.0
    for pause in pauses[1:]:
        assert pause <= 0.005 + waited / 2 + 1e-9  # else a quick board would have run dry meanwhile
        waited += pause


def test_serve_lets_more_boards_download_at_once_than_a_shell_lets_it(tmp_path: Path) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= hard < 512:
        pytest.skip(f"this system lets no program open more than {hard} files")
    code = "import resource as r\nfrom otactl.server.limits import boards_at_once\n"
    code += "r.setrlimit(r.RLIMIT_NOFILE, (256, r.getrlimit(r.RLIMIT_NOFILE)[1]))\n"
    code += "print(boards_at_once(), *r.getrlimit(r.RLIMIT_NOFILE))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    boards, soft, _ = map(int, done.stdout.split())
    assert soft == (min(hard, 65536) if hard > 0 else 65536) and boards == (soft - 64) // 3


def test_a_terminal_shows_no_more_bars_than_a_person_can_read() -> None:
    """A bar for each of three hundred boards took more of a core than they did, and the slowest waited three times as long."""

    class Drawn(Bars):
        shown: ClassVar[set[str]] = set()

        def show(self, name: str, done: int, total: int) -> None:
            self.shown.add(name)

        def drop(self, name: str) -> None:
            self.shown.discard(name)

    bars = Drawn(quiet=True)
    log = ServeLog(bars)

    def takes(board: int, done: int) -> None:
        log(Transfer(f"10.0.{board}.1", "1.1.0/esp32.bin", 200, 0, done, 100, 1.0, over=done == 100))

    for board in range(300):
        takes(board, 10)
    assert bars.shown == {f"10.0.{board}.1 1.1.0/esp32.bin" for board in range(10)}
    takes(3, 100)
    takes(299, 20)
    assert len(bars.shown) == 10 and "10.0.299.1 1.1.0/esp32.bin" in bars.shown
    for board in range(300):
        takes(board, 100)
    assert bars.shown == set()
