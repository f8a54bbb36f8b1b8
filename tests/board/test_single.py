"""The agent of boards without two slots: a stock ESP32 with one app, and an ESP8266. Judged by the files in flash and by what runs."""

import os
import random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import apps
import pytest
import rig as rigs
import singles
from otactl.board import single
from otactl.board.deploy import deploy
from otactl.board.link import Link
from otactl.board.moving import over
from otactl.errors import UsageError
from otactl.release.application import Asked
from powercut.oneslot import Base
from rig import Rig
from singles import APP
from vboard.board import Board

ONE = {"app.py": APP % b"one", "lib/data.bin": bytes(range(256)) * 12, "lib/__init__.py": b""}
TWO = {"app.py": APP % b"two"}
DEEP = {"app.py": APP % b"deep", "/".join("d" * 24) + "/x": b"", "x": b""}
MANY = {"app.py": APP % b"many"} | {f"many/{n:03}.bin": b"" for n in range(120)}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Rig, dict[str, Path]]]:
    root = tmp_path_factory.mktemp("singles")
    with singles.served(root / "place") as rig:
        yield rig, {kind: singles.template(rig, root / kind, kind) for kind in singles.KINDS}


@pytest.fixture
def rig(bench: tuple[Rig, dict[str, Path]]) -> Rig:
    bench[0].workspace.channel_file.unlink(missing_ok=True)
    return bench[0]


@pytest.fixture(params=singles.KINDS)
def board(request: pytest.FixtureRequest, rig: Rig, bench: tuple[Rig, dict[str, Path]]) -> Iterator[Board]:
    with singles.board(rig, bench[1][request.param], request.param) as made:
        yield made


def boots(board: Board, until: str, timeout_s: float = 40) -> str:
    """Switch the board on, or press its button; what it printed until then."""
    seen = len(board.text)
    if board.boots:
        board.reset()
    else:
        board.power_on()
    board.wait_text(until, timeout_s, since=seen)
    return board.text[seen:]


def takes(rig: Rig, board: Board, version: str, files: dict[str, bytes]) -> None:
    """And its program runs: what it says must not be taken for what the next boot's says."""
    apps.publish(rig, version, files)
    seen, taken = len(board.text), f"ota: up-to-date {version}"
    boots(board, taken)
    board.wait_text("app: ", 10, since=board.text.index(taken, seen))


ADDRESS = "import network\nprint(network.WLAN(network.STA_IF).config('mac').hex())"

TOLD = [
    ("downloading", 0, ""),
    ("confirmed", 0, ""),
    ("downloading", 1, ""),
    ("confirmed", 1, ""),
    ("downloading", 2, ""),
    ("rolled-back", 2, "app-import"),
]


def test_releases_take_turns_in_two_directories_and_their_server_hears_of_it(rig: Rig, board: Board) -> None:
    singles.heard(rig)
    takes(rig, board, "1.1.0", ONE)
    board.wait_text("app: one", 10)
    assert apps.trees(board) == {"a": ONE}
    takes(rig, board, "1.2.0", TWO)
    board.wait_text("app: two", 10)
    assert apps.trees(board) == {"a": ONE, "b": TWO}
    apps.publish(rig, "1.3.0", {"app.py": b"import nothing_like_it\n"})
    said = boots(board, "app: two")
    assert "ota: failed 1.3.0 app-import" in said and "ota: rolled-back 1.3.0 app-import" in said
    assert apps.trees(board)["b"] == TWO
    said = boots(board, "app: two")
    assert "ota: error failed-before" in said  # P6
    boots(board, "app: two")
    (one,), events = singles.heard(rig)
    told = one.said
    first = told.have - 1
    assert (told.phase, told.sequence - first, told.reason) == ("failed", 2, "app-import")
    assert told.id == rigs.ask(board, ADDRESS).strip()  # what boards.toml has
    small = board.table.find("nvs") is None  # an ESP8266: it has no memory to say more, nor to say it to a file
    assert (told.product, told.heap is None, told.uptime is None, told.rssi is None) == (
        "" if small else "demo",
        *[small] * 3,
    )
    passed_over = ("new", "offered", "downloading") if small else ("new", "offered")
    happened = [(event.event, event.sequence - first, event.reason) for event in events]
    assert [one for one in happened if one[0] not in passed_over] == [one for one in TOLD if one[0] not in passed_over]
    assert not [op for op in board.flash.trace if op.actor == "app"]


FAILS = {  # the program of a release -> why its trial ends
    "app-crashed": b"1 / 0\n",
    "app-import": b"from ota import no_such_name\n",
    "deadline": b"import time\nfrom ota import agent\nagent.boot.current._settled_ms = None\nwhile True: time.sleep(1)\n",
    "trial-restarts": b"import machine\nmachine.reset()\n",
}


@pytest.mark.parametrize("reason", FAILS)
def test_what_fails_its_trial_gives_way_to_what_was_confirmed(rig: Rig, board: Board, reason: str) -> None:
    takes(rig, board, "1.1.0", ONE)
    apps.publish(rig, "1.2.0", {"app.py": FAILS[reason]})
    said = boots(board, f"ota: rolled-back 1.2.0 {reason}", 60)
    assert said.count("ota: trial 1.2.0") == (8 if reason == "trial-restarts" else 1)
    board.wait_text("app: one", 10, since=len(board.text) - 200)
    assert apps.trees(board)["a"] == ONE
    assert "ota: error failed-before 1.2.0" in boots(board, "app: one")


# a program that works, and for some seconds leaves the agent's timer neither memory nor stack
GREEDY = {
    "memory": b"""
import time
kept = None
try:
    while True:
        kept = (kept,)
except MemoryError:
    pass
time.sleep_ms(2000)
kept = None
""",
    "stack": b"""
import time
def down(levels, ms):
    if levels:
        down(levels - 1, ms)
    else:
        time.sleep_ms(ms)
deepest = 0
try:
    while True:
        down(deepest, 0)
        deepest += 1
except RuntimeError:
    pass
time.sleep_ms(600)
for left in range(3, 10):
    down(deepest - left, 600)
""",
}


def test_trial_outlives_a_moment_without_memory_or_stack(rig: Rig, bench: tuple[Rig, dict[str, Path]]) -> None:
    """A timer that cannot note the end of a trial tries again: one that gave up would leave the board to its watchdog."""
    with singles.board(rig, bench[1]["esp8266"], "esp8266") as board:
        for n, (what, program) in enumerate(GREEDY.items()):
            apps.publish(rig, f"1.{n}.0", {"app.py": program})
            said = boots(board, f"ota: confirmed 1.{n}.0")
            assert said.count("ota: trial") == 1, what


BAD_SHA = "0" * 64
# a release that is not taken: its code, and what is wrong with it
REFUSED: dict[str, tuple[str, dict[str, object]]] = {
    "another archive": ("hash-mismatch", {"sha256": BAD_SHA}),
    "for another MicroPython": ("app-mpy", {"mpy": 5}),
    "more than there is room for": ("no-space", {"unpacked": 1 << 23}),
    "more bytes than are said": ("bad-archive", {"unpacked": 9}),
    "an archive that ends early": ("bad-archive", {"packed": apps.packed(ONE)[:-200]}),
    "more folders deep than a board can walk": ("bad-archive", {"packed": apps.packed(DEEP)}),
    "more blocks than there are": ("no-space", {"blocks": 5000}),
    "blocks that are no number": ("bad-release", {"blocks": "5"}),
    "a name that leads out": (
        "bad-archive",
        {"packed": apps.member("../app.py", b"1") + apps.member("TRAILER!!!", b"")},
    ),
}


def test_release_that_is_refused_changes_nothing(rig: Rig, board: Board) -> None:
    """One board meets all of them; what it runs stays as it is, and its server hears why."""
    singles.heard(rig)
    takes(rig, board, "1.1.0", ONE)
    for n, (what, (code, changes)) in enumerate(REFUSED.items()):
        apps.publish(rig, f"1.2.{n}", ONE if code != "hash-mismatch" else TWO, **changes)
        assert f"ota: error {code}" in boots(board, "app: one"), what
        assert apps.trees(board).get("a") == ONE, what
        assert "b" not in apps.trees(board), what
    rig.forge(rigs.NEW, version="1.3.0")
    assert "ota: error no-target" in boots(board, "app: one")
    apps.publish(rig, "1.4.0", MANY, boards=[rigs.ask(board, ADDRESS).strip()])
    envelope = rig.workspace.channel_file.read_bytes()
    rig.workspace.channel_file.write_bytes(
        envelope.replace(b'"sig":"', b'"sig":"AAAA').replace(b'"sig": "', b'"sig": "AAAA')
    )
    assert "ota: error bad-signature" in boots(board, "app: one")
    apps.publish(rig, "1.5.0", TWO, boards=["0" * 12])
    assert "ota: error no-target" in boots(board, "app: one")
    rig.workspace.channel_file.write_bytes(envelope)  # a draft for another board is no news of the channel
    assert "ota: switch 1.4.0" in boots(board, "ota: up-to-date 1.4.0")
    told = {event.reason for event in singles.heard(rig)[1] if event.event == "refused"}
    assert told == {code for code, _ in REFUSED.values()} | {"no-target", "bad-signature"}
    assert apps.trees(board) == {"a": ONE, "b": MANY}


def test_budgets_of_the_agent(bench: tuple[Rig, dict[str, Path]]) -> None:
    """.mpy bytes of all that such a board gets; of that, what lies in single/."""
    config = bench[0].workspace.board_config()
    for kind, most, most_own in (("esp32", 64 << 10, 10 << 10), ("esp8266", 24 << 10, 12800)):
        files = single.compiled(kind, config)
        own = sum(len(data) for name, data in files.items() if name.startswith("single/"))
        every = sum(map(len, files.values()))
        print(f"\nbudgets of {kind} without two slots: all {every} B of {most}, single/ {own} of {most_own}")
        assert every <= most
        assert own <= most_own


def test_application_starts_whatever_is_wrong_with_the_agent(rig: Rig, board: Board) -> None:
    """P11: what is called a or b is whole, so /boot.py may take either."""
    takes(rig, board, "1.1.0", ONE)
    with rigs.repl(board) as link:
        link.put("/lib/ota/single/record.mpy", b"M\x01\x00\x1f")
    assert "ota: error" in boots(board, "app: one")


def test_way_back_by_hand_and_what_status_tells(rig: Rig, board: Board) -> None:
    takes(rig, board, "1.1.0", ONE)
    takes(rig, board, "1.2.0", TWO)
    told = rigs.status(board)
    assert (told["running"], told["installed"]["version"], told["single"]) == ("b", "1.2.0", True)
    assert [slot["image"]["release"] for slot in told["slots"]] == ["1.1.0", "1.2.0"]
    seen = len(board.text)
    with rigs.repl(board) as link:
        link.start("from ota import agent\nagent.rollback()")
        board.wait_text("ota: confirmed 1.1.0", 30, since=seen)
    assert "ota: error failed-before 1.2.0" in boots(board, "app: one")
    assert apps.trees(board) == {"a": ONE, "b": TWO}


@pytest.mark.parametrize("copy", "0")
def test_record_of_an_esp8266_is_read_from_its_other_copy(
    rig: Rig, bench: tuple[Rig, dict[str, Path]], copy: str
) -> None:
    """Whichever is damaged, a whole release runs: the newer one counts, or the one before it."""
    with singles.board(rig, bench[1]["esp8266"], "esp8266") as board:
        takes(rig, board, "1.1.0", ONE)
        with rigs.repl(board) as link:
            link.run(f"f = open('/etc/ota/single{copy}', 'rb+')\nf.seek(30)\nf.write(b'#')\nf.close()")
        boots(board, "app: one")


def test_esp8266_that_is_told_to_speak_tls_is_refused(tmp_path: Path) -> None:
    place = rigs.make_workspace(tmp_path / "place")
    with singles.Board(tmp_path / "board", **singles.KINDS["esp8266"]) as board:
        board.power_on()
        board.wait_repl()
        with rigs.repl(board) as link:
            with pytest.raises(UsageError, match="tls-unverified"):
                deploy(link, place)
            assert link.value("os.listdir('/')", "import os") == ["boot.py"]


@pytest.mark.parametrize("kind", singles.KINDS)
def test_board_survives_a_power_cut(kind: str, tmp_path: Path) -> None:
    """A seeded slice of `python -m powercut.oneslot`."""
    with ExitStack() as opened:
        base = Base(kind, tmp_path, opened)
        assert not base.wrong(base.base.start, base.base)
        chosen = random.Random(f"20261127/{kind}").sample(base.cuts(1), 1)
        wrong = {f"{kind}@{cut}": faults for cut in chosen if (faults := base.judge(cut))}
    assert not wrong


def test_agent_that_unpacks_in_place_is_caught(tmp_path: Path) -> None:
    """The oracle of the power cuts sees a directory that is not whole."""
    with ExitStack() as opened:
        base = Base("esp32", tmp_path, opened, patch=b"from ota.single import record\nrecord.NEW = '/app-b'\n")
        found = [fault for cut in base.cuts(1) for fault in base.at(cut)]
    assert any("no whole tree" in fault for fault in found)


@pytest.mark.parametrize("board", list(singles.KINDS)[0 if os.environ.get("MATRICES") == "all" else 1 :], indirect=True)
def test_applications_come_by_cable(rig: Rig, board: Board, tmp_path: Path) -> None:
    """`deploy --app`: the record is the switch, so that it may be done again."""
    (tmp_path / "app.py").write_bytes(APP % b"first")
    boots(board, "app: own")
    with Link(str(board.port)) as link:
        assert over.move(link, rig.workspace, Asked(tmp_path)).place == "/app-a"
    assert "app: first" in boots(board, "app: ")
    (tmp_path / "app.py").write_bytes(APP % b"second")
    with Link(str(board.port)) as link:
        assert over.move(link, rig.workspace, Asked(tmp_path)).place == "/app-b"
    assert "app: second" in boots(board, "app: ")
    assert set(apps.trees(board)) == {"a", "b"}
    with Link(str(board.port)) as link:
        assert over.undo(link) == "/app-b"
    assert "app: own" in boots(board, "app: ")
    takes(rig, board, "1.1.0", ONE)
    assert apps.trees(board) == {"a": ONE}
