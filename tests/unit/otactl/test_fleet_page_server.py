"""The page's server side, over real sockets: who may look and act, what a browser is told, what is sent when."""

import asyncio
import contextlib
import csv
import http.client
import io
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import segno
from otactl.fleet import store
from otactl.fleet.checkin import CheckIn
from otactl.fleet.store import Event, Seen
from otactl.server.page import export, label, slots
from otactl.server.page.feed import Feed, running
from otactl.server.page.guard import HEADERS
from otactl.server.page.page import Page, new_token
from otactl.server.server import Server
from otactl.workspace.workspace import Workspace

TOKEN = "the-token-of-this-test"
BOARD = "240ac4123456"
VERSIONS = {1: "1.0.0", 2: "1.1.0"}


class Client:
    """One request a connection; the server is `serve --http`."""

    def __init__(self, place: Workspace, port: int) -> None:
        self.place, self.port = place, port

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[http.client.HTTPResponse, str]:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as there:
            there.request(method, path, headers=headers)
            answer = there.getresponse()
            return answer, answer.read().decode() if path != "/events" else ""


@pytest.fixture
def client(place: Workspace) -> Iterator[Client]:
    with store.Store(place.root / store.FILE) as kept:
        kept.heard(CheckIn(BOARD, "lamp", 1, "confirmed", 1), "192.0.2.7", 1)
        place = replace(place, url="https://releases.example:8443")
        page = Page(place, kept, TOKEN)
        with Server(place.releases, None, "127.0.0.1", 0, lambda seen: None, rooms=[page.room]) as server:
            yield Client(place, server.port)


PATHS = [
    "/", f"/board/{BOARD}", "/wall", "/labels", "/events", "/page/page.css", "/page/list.js", "/page/signs.svg",
    "/api/fleet", f"/api/board/{BOARD}", f"/api/label/{BOARD}.svg", "/api/boards.csv", "/api/boards.json",
]  # fmt: skip


def test_every_answer_carries_the_policy(client: Client) -> None:
    for path in PATHS:
        for method in ("GET", "HEAD") if path != "/events" else ("HEAD",):
            answer, _ = client.ask(path, method)
            assert answer.status == 200, path
            assert {name: answer.headers[name] for name in HEADERS} == HEADERS, path
    for path in (
        "/page/no.js",
        "/page/..%2Fpage.py",
        "/page/page.py",
        "/api/board/nobody",
        f"/api/label/{'x' * 33}.svg",
    ):
        answer, _ = client.ask(path)
        assert (answer.status, answer.headers["Content-Security-Policy"]) == (404, HEADERS["Content-Security-Policy"])


class _Markup(HTMLParser):
    """What a policy without 'unsafe-inline' keeps a browser from."""

    def __init__(self) -> None:
        super().__init__()
        self.inline: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        words = dict(attrs)
        self.inline += [name for name in words if name == "style" or name.startswith("on")]
        self.inline += [tag] if tag == "style" or (tag == "script" and "src" not in words) else []
        self.sources += [words[name] or "" for name in ("src", "href") if name in words]


def test_page_has_nothing_that_its_policy_forbids() -> None:
    found = Path(export.__file__).parent / "web"
    for file in found.glob("*.html"):
        markup = _Markup()
        markup.feed(file.read_text())
        assert markup.inline == [], file.name
        assert [one for one in markup.sources if not re.match(r"/(?!/)|#", one)] == [], file.name
    for file in found.glob("*.js"):
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "http:"):
            assert word not in file.read_text().replace("http://www.w3.org/2000/svg", ""), file.name


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8443", 200),
        ("[::1]:8443", 200),
        ("192.168.1.20", 200),
        ("localhost:1234", 200),
        ("releases.example", 200),
        ("RELEASES.example.:8443", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example", 421),
        ("releases.example@evil.example", 421),
        ("[evil", 421),
        ("", 421),
    ],
)
def test_names_that_it_is_looked_at_by(client: Client, host: str, status: int) -> None:
    """Another name may lead here by DNS rebinding; an address cannot."""
    assert client.ask("/api/fleet", Host=host)[0].status == status
    assert client.ask("/page/page.css", Host=host)[0].status == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer another"}, 401),
        ({"Authorization": f"Basic {TOKEN}"}, 401),
        ({"Authorization": "Bearer t\xf6ken"}, 401),
        ({"Authorization": f"Bearer {TOKEN}", "Origin": "https://evil.example"}, 403),
        ({"Authorization": f"Bearer {TOKEN}", "Origin": "null"}, 403),
        ({"Authorization": f"Bearer {TOKEN}", "Host": "evil.example"}, 421),
        ({"Authorization": f"Bearer {TOKEN}"}, 409),  # nothing is being rolled out
        ({"Authorization": f"Bearer {TOKEN}", "Origin": "http://127.0.0.1:{port}"}, 409),
    ],
)
def test_who_may_act(client: Client, headers: dict[str, str], status: int) -> None:
    filled = {name: value.replace("{port}", str(client.port)) for name, value in headers.items()}
    for action in ("pause", "abort?version=1.1.0"):
        assert client.ask(f"/api/rollout/{action}", "POST", **filled)[0].status == status
    assert client.ask("/api/rollout/pause", **filled)[0].status in (404, 421)  # a link does nothing


def test_release_files_come_before_the_page(client: Client) -> None:
    files = ["board/esp32.bin", "page/page.css", "api/fleet", "wall", "events"]
    for path in files:
        there = client.place.releases / path
        there.parent.mkdir(exist_ok=True)
        there.write_text("a release")
        answer, _ = client.ask(f"/{path}", "HEAD", Host="any.example")
        assert (answer.status, answer.headers["Content-Length"]) == (200, "9"), path
        assert path == "events" or client.ask(f"/{path}", Host="any.example")[1] == "a release"
    (client.place.releases / "stable.json").write_text("{}")
    answer, text = client.ask("/stable.json", Host="any.example")
    assert (answer.status, text, "Content-Security-Policy" in answer.headers) == (200, "{}", False)


def test_tokens_are_not_guessed() -> None:
    assert len({new_token() for _ in range(100)}) == 100
    assert all(len(new_token()) >= 22 for _ in range(100))


def test_trouble_with_its_files_is_told(client: Client) -> None:
    (client.place.root / "boards.toml").write_text("[[board]\n")
    _, text = client.ask("/api/fleet")
    assert "boards.toml" in json.loads(text)["trouble"]
    answer, text = client.ask(f"/api/board/{BOARD}")
    assert (answer.status, "boards.toml" in text) == (500, True)


def test_table_for_spreadsheets_computes_nothing() -> None:
    board = dict.fromkeys(export._COLUMNS, "x") | {
        "seen": 0,
        "why": '=HYPERLINK("http://evil.example")',
        "name": "@x",
        "rssi": -61,
    }
    heads, row = csv.reader(io.StringIO(export.as_csv([board])))
    found = dict(zip(heads, row, strict=True))
    assert (found["why"], found["name"]) == ('\'=HYPERLINK("http://evil.example")', "'@x")
    assert (found["rssi"], found["seen"]) == ("-61", "1970-01-01T00:00:00Z")


def test_label_holds_the_address_of_the_board() -> None:
    drawn = ET.fromstring(label.code("https://releases.example:8443/", BOARD))
    back, dark = drawn.iter("{http://www.w3.org/2000/svg}path")
    wanted = segno.make_qr(f"https://releases.example:8443/board/{BOARD}", error="m")
    assert drawn.get("viewBox") == "0 0 {0} {0}".format(wanted.symbol_size(border=4)[0])
    assert (back.get("fill"), dark.get("stroke")) == ("#fff", "#000")
    assert label.address("https://x", 'a/"b') == "https://x/board/a%2F%22b"


def seen(phase: str, have: int = 1, sequence: int = 2, done: int = 0, size: int = 0, offered: int = 2) -> Seen:
    return Seen(CheckIn(BOARD, "lamp", have, phase, sequence), "192.0.2.7", 0, 0, offered, done, size)


@pytest.mark.parametrize(
    ("said", "runs", "other"),
    [
        (seen("idle", sequence=0), ("1.0.0", "runs", None), ("", "not told", None)),
        (seen("idle", have=0), ("", "runs", None), ("", "not told", None)),
        (seen("idle", done=50, size=200), ("1.0.0", "runs", None), ("1.1.0", "being written", 25)),
        (seen("writing"), ("1.0.0", "runs", None), ("1.1.0", "being written", None)),
        (seen("ready"), ("1.0.0", "runs", None), ("1.1.0", "written, tried at the next start", None)),
        (seen("trial", have=1), ("1.1.0", "runs, on trial", None), ("1.0.0", "to go back to", None)),
        (seen("trial", have=2), ("1.1.0", "runs, on trial", None), ("1.0.0", "to go back to", None)),
        (seen("confirmed", have=2), ("1.1.0", "runs, confirmed", None), ("1.0.0", "to go back to", None)),
        (seen("confirmed", have=2, offered=9, done=1, size=2), ("1.1.0", "runs, confirmed", None), ("sequence 9", "being written", 50)),
        (seen("failed"), ("1.0.0", "runs", None), ("1.1.0", "failed its trial", None)),
        (seen("held"), ("1.0.0", "runs", None), ("1.1.0", "is tried again", None)),
    ],
)  # fmt: skip
def test_slots_are_drawn_as_far_as_they_are_told(said: Seen, runs: tuple, other: tuple) -> None:
    events = [
        Event(3, BOARD, "offered", 2, ""),
        Event(2, BOARD, "confirmed", said.said.have, ""),
        Event(1, BOARD, "new", 1, ""),
    ]
    drawn = slots.drawn(said, VERSIONS, events)
    assert [(one.release, one.what, one.percent) for one in drawn] == [runs, other]
    assert [one.runs for one in drawn] == [True, False]


def test_feed_sends_what_has_changed() -> None:
    async def told(feed: Feed, *snapshots: dict) -> list[dict]:
        follows = feed.follow()
        found = []
        for snapshot in snapshots:
            feed.take(snapshot)
            found.append(json.loads(await anext(follows)))
        await follows.aclose()
        return found

    a, b, b2 = {"id": "a", "x": 1}, {"id": "b", "x": 1}, {"id": "b", "x": 2}
    found = asyncio.run(
        told(
            Feed(dict),
            {"top": 1, "boards": [a, b]},
            {"top": 1, "boards": [a, b2]},
            {"top": 2, "boards": [a, b2]},
            {"top": 2, "boards": [b2]},
        )
    )
    assert found == [
        {"whole": True, "top": 1, "boards": [a, b]},
        {"whole": False, "boards": [b2]},
        {"whole": False, "top": 2, "boards": []},
        {"whole": True, "top": 2, "boards": [b2]},  # one has gone
    ]


def test_feed_reads_once_for_all_who_look_and_never_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otactl.server.page.feed.POLL_S", 0.01)
    reads = []

    def read() -> dict:
        reads.append(len(reads))
        if len(reads) == 2:
            raise RuntimeError("a fault of ours ends nothing")
        return {"boards": [{"id": "a", "n": len(reads)}]}

    async def story() -> tuple[int, int, int]:
        feed = Feed(read)
        async with running(feed):
            await asyncio.sleep(0.05)
            unseen = len(reads)
            viewers = [feed.follow() for _ in range(20)]
            for _ in range(3):
                await asyncio.gather(*(anext(one) for one in viewers))
            looked = len(reads)
            for one in viewers:
                await one.aclose()
            await asyncio.sleep(0.05)
            left = len(reads)
            await asyncio.sleep(0.05)
            last = feed.follow()
            await anext(last)
            ends = asyncio.ensure_future(anext(last, "over"))
            while len(reads) == left:
                await asyncio.sleep(0.01)
            await feed.close()
            while await ends != "over":
                ends = asyncio.ensure_future(anext(last, "over"))
            return unseen, looked, left

    unseen, looked, left = asyncio.run(story())
    assert unseen == 0
    assert looked <= 8  # 20 viewers with 3 words each
    assert left <= looked + 1
