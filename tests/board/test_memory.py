"""P9: what the agent takes of the heap while it updates, measured on the virtual board over real TLS."""

import ast
import json

import apps
import rig as rigs
from otactl.board import agent
from otactl.board import deploy as deploying
from rig import NEW, Rig, image, started
from vboard.board import Board

# What the objects of one TLS connection take of the heap: P9 is about what comes above that.
OF_TLS = """
import gc, socket, tls
gc.collect()
before = gc.mem_alloc()
context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
secure = context.wrap_socket(socket.socket(), server_hostname="x", do_handshake_on_connect=False)
gc.collect()
print(gc.mem_alloc() - before)
secure.close()
del context, secure
"""
LIVE = """
import gc, json
from ota import agent, steps
from ota.install import job, pipeline, sectors, source, update
agent.check()  # names that a look leaves behind are there for good
block = bytearray(4096)
gc.collect()
base = gc.mem_alloc() - len(block)
most = {"download": 0, "verify": 0}
for step in update.Update(None, block).steps():
    if step.phase in most and not step.wait_ms and (step.done // 4096 % 8 == 1 or step.done == step.total):
        gc.collect()
        most[step.phase] = max(most[step.phase], gc.mem_alloc() - base)
print(json.dumps(most))
"""
LOCKED = """
import gc, micropython
from ota import agent
from ota.install import update
steps = update.Update(None, bytearray(4096)).steps()
def go(phase, until):
    while True:
        step = next(steps)
        if step.phase == phase and not step.wait_ms and step.done >= until:
            return
# Downloading: a block that comes in parts costs one small object a part, until the next collection.
go("download", 16384)
gc.collect()
gc.disable()
before, parts, done = gc.mem_alloc(), 0, 0
while done < 20:
    step = next(steps)
    if step.wait_ms:
        parts += 1
    else:
        done += 1
print((gc.mem_alloc() - before) // (parts + 20))
gc.enable()
go("verify", 16384)
def locked(blocks):
    for _ in range(blocks):
        micropython.heap_lock()
        try:
            step = next(steps)
        finally:
            micropython.heap_unlock()
    return step.done
print(locked(10))
"""

TWO_LOOKS = """
from ota import agent
blocks, made = [], agent._update
def update(tries, block=None):
    blocks.append(block)
    return made(tries, block)
agent._update = update
looks = 0
for wait_ms in agent._polling(None):
    looks += wait_ms == 1000
    if looks == 2:
        break
print(len(blocks), bool(blocks[0]) and blocks[0] is blocks[1])
"""


def live_peak(rig: Rig, board: Board, version: str, size: int) -> dict[str, int]:
    rig.publish(version, image(7, size=size))
    out: dict[str, int] = json.loads(rigs.ask(board, LIVE, 60).strip().splitlines()[-1])
    out["tls"] = int(rigs.ask(board, OF_TLS).strip())
    out["download"] -= out["tls"]
    return out


def test_working_memory_is_bounded_and_does_not_grow_with_the_image(rig: Rig) -> None:
    first, second = (
        started(rig.board()),
        started(rig.board()),
    )  # both have looked: they wait to be told
    for board in (first, second):
        board.wait_text("ota: up-to-date 1.0.0", 20)
    small = live_peak(rig, first, "1.1.0", 96 << 10)
    large = live_peak(rig, second, "1.2.0", 1500 << 10)
    print(
        f"\nP9: live heap above the loaded modules: {large['download']} B downloading (and {large['tls']} B for TLS), "
        f"{large['verify']} B verifying"
    )
    assert large["download"] <= 16 << 10
    assert large["verify"] <= 16 << 10
    # 343 blocks more: an object left behind by each would take 10 KB. The collector also keeps what an old word on the stack
    # happens to point at, which may be a whole module.
    assert abs(large["download"] - small["download"]) < 2048
    assert abs(large["verify"] - small["verify"]) < 2048


def test_neither_downloading_nor_verifying_a_block_allocates(rig: Rig) -> None:
    board = started(rig.board())
    rig.publish("1.1.0", image(7, size=200 << 10))
    each, verify = (line for line in rigs.ask(board, LOCKED, 60).split("\n") if line.strip().isdigit())
    assert int(each) <= 96  # bytes a part or a block: a memoryview, and what the progress line takes
    assert int(verify) == 16384 + 10 * 4096


def test_a_later_look_needs_no_whole_sector_of_a_heap_that_is_in_pieces(rig: Rig) -> None:
    board = started(rig.board())
    rigs.configure(board, interval_s=1, jitter_s=0)
    assert rigs.ask(board, TWO_LOOKS, 60).splitlines()[-1] == "2 True"


def test_update_completes_on_a_heap_of_152_kib(rig: Rig) -> None:
    rig.publish("1.1.0", NEW)
    board = started(rig.board(heap_kib=152))
    board.wait_text("ota: up-to-date 1.1.0", 60)


MODULES = """
import gc, sys
from ota import agent
from ota.errors import OtaError
{}
print(sorted(name for name in sys.modules if name[:3] == "ota"))
"""
ORDINARY_BOOT = MODULES.format("").replace("from ota import agent\nfrom ota.errors import OtaError\n", "")
PLAIN_UPDATE = MODULES.format(
    "agent.machine = type('', (), {'reset': staticmethod(lambda: None)})\nagent.update(lambda *_: None)"
)


# All of a look at the moment at which it has done its work, before any of it is let go.
LOOKED = """
import sys
from ota import agent, release
seen = []
go = release.let_go
def let_go(*names):
    seen.extend(name for name in sys.modules if name[:3] == "ota")
    go(*names)
release.let_go = let_go
agent.check()
release.let_go = go
print(sorted(set(seen)))
"""


LET_GO = ["ota.boot.settle", "ota.boot.decision", "ota.boot.remains"]  # once the start is over


def test_budgets_of_the_agent(rig: Rig) -> None:
    """DESIGN: .mpy bytes of all, of what a look and what a plain update have loaded at once, of what boot.py loads; heap gone after each."""
    sizes = {
        "ota." + name.removesuffix(".mpy").replace("/", ".").removesuffix(".__init__"): len(data)
        for name, data in agent.compiled().items()
    }
    sizes["ota"] = sizes.pop("ota.__init__")
    board = started(rig.board())
    rig.publish("1.1.0", NEW)
    board.wait_text("app: runs", 20)
    looked = ast.literal_eval(rigs.ask(board, LOOKED, 60).strip().splitlines()[-1])
    booted = [*ast.literal_eval(rigs.ask(board, ORDINARY_BOOT).strip()), *LET_GO]
    before, after = (int(rigs.ask(board, code)) for code in (LIVE_HEAP.format("pass"), LIVE_HEAP.format(LOOK)))
    loaded = ast.literal_eval(rigs.ask(board, PLAIN_UPDATE, 60).strip().splitlines()[-1])
    usual = {"wifi": {"ssid": "x"}, "trial": {"checks": [{"check": "wifi"}, {"check": "server"}]}}
    with_deltas, ordinary = (sum(map(len, agent.compiled({**usual, "deltas": on}).values())) for on in (True, False))
    everything, look, update, boot = (sum(sizes[n] for n in names) for names in (sizes, looked, loaded, set(booted)))
    print(
        f"\nbudgets: ordinary {ordinary} B of 65536, with deltas {with_deltas} of 71680, all {everything} of 88064, a look {look} of 34816, "
        f"then a plain update {update}, boot.py {boot} of 10240"
    )
    print(f"heap of 64 bits: {before} B with boot.py, {after} B after a look")
    assert ordinary <= 64 << 10
    assert with_deltas <= 70 << 10  # what `deploy` brings by the configuration of `init`
    assert everything <= 86 << 10  # no board has all of it
    assert look <= 34 << 10
    assert update <= 34 << 10
    assert boot <= 10 << 10


LIVE_HEAP = """
import gc
{}
gc.collect()
gc.collect()
print(gc.mem_alloc())
"""
LOOK = "from ota import agent\nagent.check()"


def test_part_that_is_not_configured_is_neither_installed_nor_imported(rig: Rig) -> None:
    board = started(rig.board())
    with rigs.repl(board) as link:
        have = link.value("_walk('/lib/ota')", deploying._ASK)
    assert {"checks/network.mpy", "checks/server.mpy", "net/wifi.mpy"} <= set(have)
    assert not {"checks/gpio.mpy", "checks/imports.mpy", "net/ethernet.mpy", "entries/ethernet.mpy"} & set(have)


HUNDRED = """
import gc, esp32
from ota import agent
def idf():
    return sum(heap[1] for heap in esp32.idf_heap_info(esp32.HEAP_DATA))
def looks(n):
    for _ in range(n):
        agent.check()
looks(3)  # all modules are in by then
gc.collect()
"""
MEASURE = "gc.collect()\nprint(gc.mem_alloc(), idf())"


def test_hundred_looks_leave_nothing_behind(rig: Rig) -> None:
    """P9: not a byte of the heap, no handle of NVS, no socket, nothing of the system's memory."""
    board = started(rig.board())
    with rigs.repl(board) as link:
        link.run(HUNDRED, timeout_s=60)
        first = link.run(MEASURE).split()
        assert board.soc
        handles = board.soc.nvs_handles
        link.run("looks(100)", timeout_s=300)
        assert link.run(MEASURE).split() == first
        assert board.soc.nvs_handles == handles


AT_THE_CONNECTION = """
import sys
from ota import agent
from ota.errors import OtaError
from ota.net import link
fetch = link.fetch
def told(config, url, **more):
    print(url.rsplit("/", 1)[1], *[name[4:] for name in sys.modules if name[:12] in ("ota.install.", "ota.release.")])
    return fetch(config, url, **more)
link.fetch = told
def go():
    try:
        agent.update(lambda *_: None, tries=1)
    except OtaError as e:
        print("ended", e.code)
"""
NOT_THERE = {f"install.{name}" for name in ("job", "firmware", "sectors", "source", "pipeline")}
NOT_THERE |= {f"release.{name}" for name in ("envelope", "signature", "keys", "fresh", "policy")}


def test_connection_of_a_look_opens_without_what_the_look_and_the_job_before_have_left(rig: Rig) -> None:
    """P9: a stock board stands still where TLS finds no room, and would until its next reset."""
    board = started(rig.board())
    board.wait_text("ota: up-to-date 1.0.0", 20)
    with rigs.repl(board) as link:
        link.run(AT_THE_CONNECTION)
        assert link.run("go()", timeout_s=60).split()[-1] == "up-to-date"
        rig.publish("1.1.0", NEW)
        file = rig.workspace.releases / "1.1.0" / "esp32.bin"
        file.write_bytes(NEW[:-1] + bytes([NEW[-1] ^ 1]))
        ended = [link.run("go()", timeout_s=60).splitlines() for _ in range(2)]
    for lines in ended:
        assert lines[-1] == "ended hash-mismatch"
        (loaded,) = [line.split()[1:] for line in lines if line.startswith("stable.json ")]
        assert not NOT_THERE & set(loaded)


def test_connection_of_a_look_opens_without_what_the_look_before_has_seen_of_the_application(rig: Rig) -> None:
    """P9: with it a stock board that runs an application had 8 KB less from its second look on."""
    board = started(rig.board())
    board.wait_text("ota: up-to-date 1.0.0", 20)
    apps.publish(rig, "1.1.0", {"app.py": b"def main(): pass"})
    board.reset()
    board.wait_text("ota: up-to-date 1.1.0", 60)
    with rigs.repl(board) as link:
        link.run(AT_THE_CONNECTION)
        looks = [link.run("go()", timeout_s=60).splitlines() for _ in range(2)]
    for lines in looks:
        assert lines[-1] == "ended up-to-date"
        assert not {"install.parts", "install.tree", "install.archive"} & set(lines[0].split())
