"""The server's memory of boards: what they say, what is kept of it, and how it is shown. Over real sockets and real sqlite."""

import contextlib
import json
import os
import sqlite3
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from otactl.errors import UsageError
from otactl.fleet import look, store, table
from otactl.fleet.checkin import PHASES, CheckIn, parse
from otactl.fleet.names import Names
from otactl.fleet.store import Seen, Store
from otactl.release import envelope
from otactl.server.files import Transfer
from otactl.server.hub import Hub
from otactl.server.server import Server
from otactl.workspace import dsse
from otactl.workspace.workspace import Workspace

BOARD = "240ac4123456"
RUNS_2 = CheckIn(BOARD, "lamp", have=2, phase="confirmed", sequence=2)
FULL = f"id={BOARD};product=lamp;have=2;phase=failed;seq=3;why=check-wifi;up=731;heap=81234;rssi=-61"

word = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters=";"), max_size=64)
number = st.integers(-(10**9), 10**9)


@st.composite
def checkins(draw: st.DrawFn) -> CheckIn:
    count = st.integers(0, 0x7FFFFFFF)
    return CheckIn(
        draw(st.text("09az", min_size=1, max_size=32)),
        draw(word),
        draw(count),
        draw(st.sampled_from(PHASES)),
        draw(count),
        draw(word),
        *(draw(st.none() | number) for _ in range(3)),
    )


def header(said: CheckIn) -> str:
    facts = {"up": said.uptime, "heap": said.heap, "rssi": said.rssi}
    parts = [
        f"id={said.id}",
        f"product={said.product}",
        f"have={said.have}",
        f"phase={said.phase}",
        f"seq={said.sequence}",
    ]
    return ";".join(
        [*parts, f"why={said.reason}", *(f"{key}={value}" for key, value in facts.items() if value is not None)]
    )


@settings(max_examples=40)
@given(checkins())
def test_what_a_board_says_comes_through_whole(said: CheckIn) -> None:
    assert parse(header(said)) == said


@given(st.text() | st.text().map(lambda text: f"id=a;{text}") | st.text().map(lambda text: FULL.replace("lamp", text)))
def test_no_header_is_too_much(text: str) -> None:
    said = parse(text)
    assert said is None or (said.phase in PHASES and said.have >= 0 and said.id and said.id.isascii())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (FULL, CheckIn(BOARD, "lamp", 2, "failed", 3, "check-wifi", 731, 81234, -61)),
        ("id=a", CheckIn("a")),
        ("id=a;id=b;later=1", CheckIn("a")),
        ("id=a;have=-1;seq=x;up=;phase=dancing;why=two words", CheckIn("a")),
        ("id=a;have=99999999999", CheckIn("a")),
        ("have=1", None),
        ("id=../x", None),
        ("id=" + "a" * 33, None),
    ],
)
def test_what_is_not_of_its_kind_is_passed_over(text: str, said: CheckIn | None) -> None:
    assert parse(text) == said


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def kept(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    with Store(tmp_path / store.FILE, clock) as made:
        yield made


def happened(kept: Store) -> list[tuple[str, int, str]]:
    return [(event.event, event.sequence, event.reason) for _, event in kept.events()]


FAILED_3 = replace(RUNS_2, phase="failed", sequence=3, reason="check-wifi")
HELD_3 = replace(FAILED_3, phase="held")
ON_HOLD_3 = replace(RUNS_2, phase="idle", sequence=3, reason="on-hold")
RUNS_3 = replace(RUNS_2, have=3, sequence=3)


@pytest.mark.parametrize(
    ("said", "events"),
    [
        ([RUNS_2, RUNS_2], []),
        ([RUNS_2, RUNS_3], [("confirmed", 3, "")]),
        ([RUNS_2, replace(RUNS_2, have=0, phase="trial", sequence=3), RUNS_3], [("confirmed", 3, "")]),
        ([RUNS_2, FAILED_3, FAILED_3], [("rolled-back", 3, "check-wifi")]),
        ([RUNS_2, HELD_3, HELD_3, ON_HOLD_3], [("held", 3, "check-wifi")]),
        ([RUNS_2, ON_HOLD_3, HELD_3], [("held", 3, "on-hold"), ("held", 3, "check-wifi")]),  # it has tried once more
        # what it was refused since does not make it roll back, or confirm, once more
        (
            [RUNS_2, FAILED_3, replace(RUNS_2, phase="idle", sequence=4, reason="too-big"), FAILED_3],
            [("rolled-back", 3, "check-wifi"), ("refused", 4, "too-big")],
        ),
        ([RUNS_2, replace(RUNS_2, phase="idle", reason="dns"), RUNS_2], [("refused", 2, "dns")]),
        ([RUNS_2, replace(RUNS_2, have=7, phase="idle", sequence=0)], [("changed", 7, "")]),  # by cable
        ([RUNS_2, replace(RUNS_2, have=0, phase="idle", sequence=0)], []),  # nobody knows what runs now
    ],
)
def test_what_has_become_of_a_board(kept: Store, said: list[CheckIn], events: list[tuple[str, int, str]]) -> None:
    for one in said:
        kept.heard(one, "10.0.0.2", 2)
    assert happened(kept) == [("new", 2, ""), *events]


def test_a_board_on_trial_runs_what_was_confirmed_before(kept: Store) -> None:
    kept.heard(RUNS_2, "", 3)
    kept.heard(replace(RUNS_2, have=0, phase="trial", sequence=3), "", 3)
    assert kept.boards()[0].said.have == 2


def test_download_is_told_once_and_counted(kept: Store, clock: Clock) -> None:
    kept.heard(RUNS_2, "", 3)
    for done in (100, 200):
        kept.progress(BOARD, done, 1000)
    assert happened(kept) == [("new", 2, ""), ("offered", 3, ""), ("downloading", 3, "")]
    assert (kept.boards()[0].done, kept.boards()[0].size) == (200, 1000)
    kept.progress("stranger", 1, 2)  # who never looked
    assert len(kept.boards()) == 1


def test_made_up_boards_make_room_for_one_another(kept: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MOST_BOARDS", 3)
    for n in range(5):
        clock.now += 1
        kept.heard(CheckIn(f"b{n}"), "", 0)
    assert [seen.said.id for seen in kept.boards()] == ["b2", "b3", "b4"]
    assert {event.board for _, event in kept.events()} == {"b2", "b3", "b4"}


def test_a_file_of_before_keeps_what_it_knew_and_gets_the_index(tmp_path: Path) -> None:
    path = tmp_path / store.FILE
    with Store(path) as of_today:
        of_today.heard(RUNS_2, "10.0.0.2", 2)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("DROP INDEX boards_seen")
        db.commit()
    with Store(path) as kept, kept.reading() as db:
        assert [seen.said for seen in kept.boards()] == [RUNS_2]
        plan = db.execute("EXPLAIN QUERY PLAN SELECT id FROM boards ORDER BY last_seen LIMIT 1").fetchall()
    assert "boards_seen" in plan[0][-1]


def test_a_board_has_so_many_events_and_no_more(kept: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MOST_EVENTS", 5)
    for n in range(1, 20):
        kept.heard(replace(RUNS_2, have=n, sequence=n), "", 0)
    assert [event.sequence for _, event in kept.events(BOARD)] == [15, 16, 17, 18, 19]


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"not a database, " * 100, "remove it"), (None, "of version 99")],
)
def test_a_file_that_is_not_ours_is_told_of(tmp_path: Path, content: bytes | None, why: str) -> None:
    path = tmp_path / store.FILE
    if content:
        path.write_bytes(content)
    else:
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA user_version = 99")
        db.close()
    with pytest.raises(UsageError, match=why):
        Store(path)


def test_several_threads_and_another_process_s_store_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / store.FILE
    with Store(path) as one, Store(path) as other:

        def hear(kept: Store, start: int) -> None:
            for n in range(start, start + 25):
                kept.heard(CheckIn(f"b{n}"), "", 0)

        threads = [threading.Thread(target=hear, args=(kept, n * 25)) for n, kept in enumerate((one, one, other))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(one.boards()) == len(other.boards()) == 75


def seen(said: CheckIn, offered: int = 3, done: int = 0, size: int = 0, last: float = 1000.0) -> Seen:
    return Seen(said, "10.0.0.2", 0.0, last, offered, done, size)


@pytest.mark.parametrize(
    ("one", "state"),
    [
        (seen(RUNS_3), "current"),
        (seen(RUNS_2), "behind"),
        (seen(RUNS_2, done=1, size=9), "updating"),
        (seen(RUNS_2, done=9, size=9), "on-trial"),
        (seen(replace(RUNS_2, phase="writing", sequence=3, reason="stalled")), "updating"),
        (seen(replace(RUNS_2, phase="trial", sequence=3)), "on-trial"),
        (seen(FAILED_3), "rolled-back"),
        (seen(FAILED_3, offered=2), "rolled-back"),  # it is offered to nobody any more
        (seen(FAILED_3, offered=4), "behind"),
        (seen(replace(RUNS_2, phase="idle", sequence=3, reason="too-big")), "refused"),
        (
            seen(replace(RUNS_2, phase="idle", sequence=3, reason="connect")),
            "behind",
        ),  # it is back: no word for a person
        (seen(replace(RUNS_3, phase="idle", reason="connect")), "current"),
        (seen(ON_HOLD_3), "on-hold"),
        (seen(HELD_3), "on-hold"),
        (seen(HELD_3, offered=2), "on-hold"),
        (seen(HELD_3, offered=4), "behind"),
        (seen(RUNS_3, last=1000.0 - table.SILENT_S - 1), "silent"),
    ],
)
def test_what_a_board_is(one: Seen, state: str) -> None:
    assert table.state(one, 1000.0) == state


def test_all_in_one_line() -> None:
    said = [(RUNS_3, 28), (replace(RUNS_2, phase="trial", sequence=3), 1), (FAILED_3, 1), (HELD_3, 1)]
    rows = [
        table.row(seen(one), name="x", cohort="default", versions={2: "1.0.0", 3: "1.1.0"}, now=1000.0)
        for one, count in said
        for _ in range(count)
    ]
    assert table.headline(rows) == "28 on 1.1.0 · 1 on trial · 1 rolled back: check-wifi · 1 tries again"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "now"),
        (-5, "now"),
        (59, "59 s ago"),
        (60, "1 min ago"),
        (7300, "2 h ago"),
        (86400, "1 day ago"),
        (200000, "2 days ago"),
    ],
)
def test_since_when(seconds: float, words: str) -> None:
    assert table.ago(seconds) == words


def test_names_come_from_both_files_and_are_read_again(tmp_path: Path) -> None:
    roster, listed = tmp_path / "boards.toml", tmp_path / "boards.csv"
    roster.write_text('[[board]]\nname = "desk-1"\nmac = "24:0a:c4:12:34:56"\ncohort = "canary"\n')
    listed.write_text(
        "\ufeffmac,name,cohort\n24-0A-C4-12-34-56,other\n240ac4123457,desk-2,later\n# x\n\n240ac4123458,desk-3\n"
    )
    names = Names(tmp_path)
    known = [names.of(one) for one in (BOARD, "240AC4123457", "240ac4123458", "stranger")]
    assert known == [("desk-1", "canary"), ("desk-2", "later"), ("desk-3", "default"), ("stranger", "default")]
    listed.write_text("240ac4123457,desk-22\n")
    assert names.of("240ac4123457") == ("desk-22", "default")
    listed.write_text("240ac4123457,no name of a board\n")
    assert names.of("240ac4123457") == ("desk-22", "default")  # until it is mended
    assert "boards.csv, line 1: name = 'no name of a board' must be" in "".join(names.trouble.values())
    with pytest.raises(UsageError, match="line 1"):
        Names(tmp_path)
    listed.unlink()
    assert (names.of("240ac4123457"), names.trouble) == (("240ac4123457", "default"), {})


class Served:
    """A workspace with a release that nobody has signed, served with a memory."""

    def __init__(self, root: Path) -> None:
        (root / "otactl.toml").write_text('product = "lamp"\nurl = "http://127.0.0.1:8080"\n')
        (root / "releases" / "1.1.0").mkdir(parents=True)
        self.place = Workspace.find(root)
        self.release(3, "1.1.0")
        (root / "releases" / "1.1.0" / "esp32.bin").write_bytes(bytes(1000))
        self.store, self.told = Store(root / store.FILE), list[str]()
        self.seen: list[Transfer] = []
        hub = Hub(self.place, self.store, self.told.append)
        self.server = Server(self.place.releases, None, "127.0.0.1", 0, self.seen.append, rooms=[hub.room])

    def release(self, sequence: int, version: str) -> None:
        payload = json.dumps({"sequence": sequence, "version": version}).encode()
        self.place.channel_file.write_bytes(dsse.wrap(envelope.PAYLOAD_TYPE, payload, {}))

    def get(self, path: str, said: str = "", **headers: str) -> tuple[int, bytes]:
        asked = urllib.request.Request(f"http://127.0.0.1:{self.server.port}/{path}", headers=headers)
        if said:
            asked.add_header("Ota-Board", said)
        try:
            with urllib.request.urlopen(asked, timeout=10) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, b""

    def until(self, words: str) -> None:
        """Wait until a board's row is in that state."""
        give_up = time.monotonic() + 10
        while [row.state for row in self.rows()] != [words]:
            assert time.monotonic() < give_up, self.rows()
            time.sleep(0.01)

    def rows(self) -> list[table.Row]:
        return look.rows(self.place, self.store, self.store.now())


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path)
    with made.server, made.store:
        yield made


def test_who_says_nothing_is_served_and_not_kept(served: Served) -> None:
    assert served.get("stable.json") == (200, served.place.channel_file.read_bytes())
    assert served.get("stable.json", "product=lamp")[0] == 200
    assert served.get("1.1.0/esp32.bin", f"id={BOARD}")[0] == 200  # who never looked at the channel
    assert served.rows() == []


def test_a_look_and_a_download_are_kept(served: Served) -> None:
    assert served.get("stable.json", f"id={BOARD};have=2") == (200, served.place.channel_file.read_bytes())
    (row,) = served.rows()
    assert (row.state, row.newest, row.seen_board.peer) == ("behind", "1.1.0", "127.0.0.1")
    assert served.get("1.1.0/esp32.bin", f"id={BOARD}") == (200, bytes(1000))
    served.until("on-trial")
    served.release(4, "1.2.0")
    served.get("stable.json", f"id={BOARD};have=3;phase=confirmed;seq=3")
    assert (served.rows()[0].version, served.rows()[0].newest) == ("1.1.0", "1.2.0")  # no channel names 1.1.0 any more


def test_other_documents_and_folders_are_no_channels(served: Served) -> None:
    (served.place.releases / "trust").mkdir()
    (served.place.releases / "trust" / "2.json").write_text("{}")
    for path, status in (("trust/2.json", 200), ("none.json", 404), ("..%2fotactl.toml.json", 404), ("1.1.0", 404)):
        assert served.get(path, f"id={BOARD}")[0] == status
    assert served.rows() == []
    (served.place.releases / "beta.json").write_bytes(served.place.channel_file.read_bytes())
    assert served.get("beta.json", f"id={BOARD}")[0] == 200
    assert len(served.rows()) == 1


def test_what_is_offered_has_its_own_tag(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rollout may answer one board with another file than the channel's."""
    other = served.place.root / "other.json"
    other.write_bytes(served.place.channel_file.read_bytes() + b" ")
    monkeypatch.setattr("otactl.fleet.offer.envelope_for", lambda *_: other)
    said = f"id={BOARD}"
    assert served.get("stable.json", said) == (200, other.read_bytes())
    tags = []
    for one in (said, ""):
        asked = urllib.request.Request(f"http://127.0.0.1:{served.server.port}/stable.json", headers={"Ota-Board": one})
        with urllib.request.urlopen(asked, timeout=10) as answer:
            tags.append(answer.headers["ETag"])
            assert int(answer.headers["Content-Length"]) == len(answer.read())
    assert tags[0] != tags[1]
    assert [served.get("stable.json", said, **{"If-None-Match": tag})[0] for tag in tags] == [304, 200]


def test_a_memory_that_is_lost_keeps_nobody_from_his_update(served: Served) -> None:
    served.store.close()
    path = served.place.root / store.FILE
    for one in served.place.root.glob(f"{store.FILE}*"):
        one.unlink()
    path.write_bytes(b"no database at all, " * 400)
    assert served.get("stable.json", f"id={BOARD}")[0] == 200
    assert len(served.told) == 1
    assert "remove it" in served.told[0]
    path.unlink()


def test_a_damaged_list_of_names_is_told_of_once(served: Served) -> None:
    (served.place.root / "boards.csv").write_text("24:0a,x\n")
    for _ in range(2):
        assert served.get("stable.json", f"id={BOARD}")[0] == 200
    assert len(served.told) == 1
    assert "boards.csv, line 1" in served.told[0]
    os.unlink(served.place.root / "boards.csv")
