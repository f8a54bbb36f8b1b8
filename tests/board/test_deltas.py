"""Deltas on boards: what is fetched, what a damaged one comes to, what power that goes leaves."""

import random
import threading
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
import rig as rigs
from faultbench import INSTALLED, SETUP, Bench, opened
from near import near
from otactl.board import agent
from otactl.release.delta import encode
from otactl.release.delta.offer import Asked
from otactl.workspace.workspace import Workspace
from rig import HOST, OLD, SIZE, Rig, boots, image, slot_bytes, started, status
from vboard.board import Board
from vboard.flash.images import build_app
from vboard.flash.otadata import State

PARTS = {"install/base.mpy", "install/delta.mpy"}
SMALL = 152  # KiB of heap


def configured(rig: Rig, board: Board, what: str = "deltas") -> Board:
    """Boards of the workspace take `what`, and this one does."""
    settings = rig.workspace.root / "otactl.toml"
    text = settings.read_text()
    if what not in text:
        settings.write_text(text.replace("[board]\n", f"[board]\n{what} = true\n", 1))
        rig.workspace = Workspace.find(rig.workspace.root)
    rigs.configure(board, **{what: True})
    return board


def fetched(rig: Rig) -> list[str]:
    """The kinds of the files that boards have asked for, but for channels."""
    return [one.path.rpartition(".")[2] for one in rig.transfers if one.path and not one.path.endswith("json")]


def test_board_takes_the_delta_from_what_it_runs_and_nothing_else(rig: Rig) -> None:
    """Twice: from one slot to the other, and back. With the memory of an ESP32 without SPIRAM."""
    board = configured(rig, started(rig.board(heap_kib=SMALL)))
    first, running = near(OLD, 1), OLD
    for version, app, slot in (("1.1.0", first, "ota_1"), ("1.2.0", near(first, 2), "ota_0")):
        made = rig.publish(version, app, deltas=Asked())
        assert made.targets[0]["deltas"][0]["base"] in {sha256(running).hexdigest()}
        board.reset()
        board.wait_text(f"ota: confirmed {version}", 40)
        board.wait_text(f"ota: up-to-date {version}", 40)
        assert slot_bytes(board, slot, len(app)) == app
        assert boots(board) == (slot, State.VALID)
        running = app
    assert fetched(rig) == ["delta", "delta"]
    assert sum(one.done for one in rig.transfers if one.path.endswith("delta")) < len(OLD) // 10


def test_board_that_runs_another_image_takes_the_whole_one(rig: Rig) -> None:
    """Of a workspace that has published what this board never had."""
    board = configured(rig, started(rig.board()))
    stranger = rig.root / "stranger.bin"
    app = image(5)
    stranger.write_bytes(near(app, 1))
    made = rig.publish("1.1.0", app, deltas=Asked([stranger]))
    assert [one["base"] for one in made.targets[0]["deltas"]] == [sha256(stranger.read_bytes()).hexdigest()]
    board.reset()
    board.wait_text("ota: confirmed 1.1.0", 40)
    assert fetched(rig) == ["bin"]


@pytest.mark.parametrize(
    ("takes", "damaged", "files"),
    [
        (["compressed"], False, ["compressed"]),
        (["compressed"], True, ["compressed", "bin"]),
        (["deltas", "compressed"], False, ["compressed"]),  # no delta is from what it runs
        (["deltas"], False, ["bin"]),  # as a board that has never heard of compressed images
    ],
)
def test_board_takes_a_compressed_image_where_it_is_told_to(
    takes: list[str], damaged: bool, files: list[str], rig: Rig
) -> None:
    board = started(rig.board(heap_kib=SMALL))
    for what in ("compressed", *takes):  # all releases of this workspace have it
        configured(rig, board, what)
    rigs.configure(board, compressed="compressed" in takes)
    app = build_app("esp32", size=SIZE, filled=bytes(random.Random(6).choices(range(32), k=SIZE)))
    made = rig.publish("1.1.0", app, deltas=Asked())
    if damaged:
        path = rig.workspace.releases / made.targets[0]["compressed"]["url"]
        data = path.read_bytes()
        path.write_bytes(data[:5000] + bytes([data[5000] ^ 1]) + data[5001:])
    board.reset()
    board.wait_text("ota: confirmed 1.1.0", 40)
    assert slot_bytes(board, "ota_1", len(app)) == app
    assert boots(board) == ("ota_1", State.VALID)
    assert fetched(rig) == files


# --- what breaks ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, place: Workspace, template: Path) -> Iterator[Bench]:
    # more for TLS than stock boards have: there a connection that broke is not opened again beside a delta (docs/deltas.md)
    with opened(tmp_path_factory.mktemp("deltas"), place, template, idf_heap_kib=400) as made:
        configured(made.rig, made.board)
        yield made


# what goes wrong with the requests for the delta; what the console says of it; the files that are asked for
FAULTS = (
    (["cut:9000"], "", "delta delta"),
    (["cut:9000", "no-range"], "", "delta delta"),
    (["cut:9000", "reset:5"], "dropped body", "delta delta bin"),
    (["cut:10", "reset:10"], "dropped body", "delta delta bin"),
    (["status:404"], "http-status 404", "delta bin"),
    (["status:503"] * 2, "http-status 503", "delta delta bin"),
    (["flip:8"], "bad-delta header", "delta bin"),
    (["flip:17"], "bad-delta record", "delta bin"),
    (["flip:18"], "bad-delta chain", "delta bin"),
    (["flip:9000"], "bad-delta chain", "delta bin"),
    (["flip:999999"], "bad-delta chain", "delta bin"),
    (["extra:500"], "size-mismatch", "delta bin"),
)


@pytest.mark.parametrize(("script", "said", "files"), FAULTS, ids=["+".join(row[0]) for row in FAULTS])
def test_delta_that_breaks(script: list[str], said: str, files: str, bench: Bench) -> None:
    """The image comes whole in the same pass, and is the signed one."""
    version, app = publish_near(bench)
    lines = installs(bench, script, version, app, files)
    assert [line for line in lines if line.startswith(f"ota: delta {said}")] == lines[: bool(said)]


def test_base_that_is_damaged_makes_no_image_that_boots(bench: Bench) -> None:
    """The record's word for what runs is taken, and nothing else: what was made of it has the last one."""
    version, app = publish_near(bench)
    slot = bench.board.slot
    row = bench.board.table.find(slot or "")
    assert row
    place = row.offset + 50_000
    bench.board.flash.force(place, bytes(b ^ 1 for b in bench.board.flash.read(place, 16)))
    lines = installs(bench, [], version, app, "delta bin")
    assert [line[:21] for line in lines] == ["ota: delta wrong-base"]


def test_delta_of_another_image_never_boots(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """An encoder with a fault, whose work is signed: the hash of the image has the last word, and the whole one comes."""
    right = encode.make
    monkeypatch.setattr(encode, "make", lambda base, image: right(base, near(image, 99)))
    version, app = publish_near(bench)
    lines = installs(bench, [], version, app, "delta bin")
    assert lines == [f"ota: delta hash-mismatch {version}"]
    assert status(bench.board)["failed"] == []


def test_network_that_goes_in_mid_delta_leaves_what_has_come(bench: Bench) -> None:
    """What the whole image would meet as well is no fault of the delta: the next look goes on with it."""
    version, app = publish_near(bench)
    network, board = bench.rig.network, bench.board
    other = "ota_1" if board.slot == "ota_0" else "ota_0"
    kept, hosts = len(board.flash.trace), dict(network.hosts)

    def lose() -> None:
        board.wait(lambda: len(rigs.touched(board, other, kept)) > 4, 20, "the slot to be written")
        network.hosts.pop(HOST)

    lost = threading.Thread(target=lose, daemon=True)
    lost.start()
    with rigs.repl(board) as link:
        link.run(SETUP)
        code, _ = bench.run(link, ["trickle:20000:0.8+cut:14000"], match="*.delta")
        lost.join()
        assert code == "dns"
        assert link.value("record.load().offset", "from ota.boot import record") > 0
    network.hosts.update(hosts)
    assert installs(bench, [], version, app, "delta") == []


def publish_near(bench: Bench) -> tuple[str, bytes]:
    """The next release: its version, and its image, which is near the one that the board runs."""
    bench.next_image()
    version = f"2.{bench._count}.0"
    running = slot_bytes(bench.board, bench.board.slot or "", len(OLD))
    app = near(running, bench._count, changes=5000)
    bench.rig.publish(version, app, deltas=Asked())
    return version, app


def installs(bench: Bench, script: list[str], version: str, app: bytes, files: str) -> list[str]:
    """What the console says of deltas in an update that ends well; `files`: the kinds of the files that it asks for."""
    board, seen = bench.board, len(bench.board.text)
    with rigs.repl(board) as link:
        link.run(SETUP)
        code, _ = bench.run(link, script, match="*.delta")
    asked = [one.request.split()[1].rpartition(".")[2] for one in bench.events if one.request]
    assert code == INSTALLED
    assert [kind for kind in asked if kind != "json"] == files.split()
    lines = [line for line in board.text[seen:].splitlines() if "ota: delta" in line]
    before = len(board.boots)
    board.reset()
    board.wait_text(f"ota: confirmed {version}", 30, since=seen)
    board.wait_boots(before + 2)
    assert slot_bytes(board, boots(board)[0], len(app)) == app
    return [line[line.index("ota:") :] for line in lines]  # the raw REPL's own bytes come before the first


def test_reset_in_mid_delta_goes_on_where_it_was(rig: Rig) -> None:
    base = image(1, size=400 << 10)
    app = near(base, 1, changes=30_000)
    board = rig.board(heap_kib=SMALL)
    row = board.table.find("ota_0")
    assert row
    board.flash.force(row.offset, base)  # by a cable: the record does not know it
    configured(rig, started(board))
    path = rig.root / "base.bin"
    path.write_bytes(base)
    rig.publish("1.1.0", app, deltas=Asked([path]))
    rig.network.bytes_per_s = 60_000
    seen = len(board.text)
    board.reset()
    board.wait_text("ota: download 208896", 40, since=seen)
    board.power_off()
    before = len(board.flash.trace)
    rig.network.bytes_per_s = None
    board.power_on()
    board.wait_text("ota: confirmed 1.1.0", 60, since=seen)
    assert slot_bytes(board, "ota_1", len(app)) == app
    assert set(fetched(rig)) == {"delta"}
    row = board.table.find("ota_1")
    assert row
    first = min(
        op.address for op in board.flash.trace[before:] if row.offset <= op.address < row.end and op.kind == "erase"
    )
    assert first - row.offset >= 3 * 65536  # what was in flash was not written again


# --- memory, and what is installed where ----------------------------------------------------------------------------

LIVE = """
import gc
from ota import agent
most = 0
for step in agent._update(None).steps():
    if step.phase == "download" and not step.wait_ms and step.done // 4096 % 4 == 1:
        gc.collect()
        gc.collect()
        most = max(most, gc.mem_alloc())
print(most)
"""
MORE = 16 << 10  # bytes in use, of an interpreter of 64 bits: the code, and the buffers


def test_delta_takes_a_little_more_memory_than_a_whole_image(rig: Rig) -> None:
    """P9: both on the heap of a small chip."""
    most = []
    for deltas in (None, Asked()):
        board = configured(rig, started(rig.board(heap_kib=SMALL)))
        rig.publish(f"1.1.{len(most)}", near(OLD, 7 + len(most)), deltas=deltas)
        most.append(int(rigs.ask(board, LIVE, 60).split()[-1]))
    print(f"\nP9: {most[1] - most[0]} B more in use for a delta than for a whole image")
    assert fetched(rig) == ["bin", "delta"]
    assert most[1] - most[0] <= MORE


BESIDE = """
import gc
from ota import agent
held = [bytearray(1024) for _ in range({kib})]
agent.machine = type("", (), {{"reset": staticmethod(lambda: print("resets"))}})
try:
    agent.update(lambda *_: None, tries=1)
except Exception as e:
    print(e)
"""


@pytest.mark.parametrize(
    ("kib", "idf_heap_kib", "files"),
    [(2, None, ["delta"]), (10, None, ["bin"]), (60, 2048, ["delta"])],
    ids=["a small program", "a larger one", "a larger one with SPIRAM"],
)
def test_delta_is_left_alone_where_the_program_leaves_too_little_memory(
    rig: Rig, kib: int, idf_heap_kib: int | None, files: list[str]
) -> None:
    """Beside TLS: a heap that grows there takes the memory by which data come, and the connection stalls."""
    board = configured(rig, started(rig.board(heap_kib=512, idf_heap_kib=idf_heap_kib)))
    rig.publish("1.1.0", near(OLD, 1), deltas=Asked())
    told = rigs.ask(board, BESIDE.format(kib=kib), 60)
    assert ("ota: delta no-memory" in told, told.split()[-1]) == (files == ["bin"], "resets")
    assert fetched(rig) == files


def test_parts_are_deployed_unless_they_are_switched_off(place: Workspace) -> None:
    config = place.board_config()
    assert not PARTS & agent.compiled({**config, "deltas": False}).keys()
    asked = agent.compiled(config)
    assert asked.keys() >= PARTS
    assert sum(len(asked[name]) for name in PARTS) <= 6 << 10
