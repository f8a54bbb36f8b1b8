"""Has a board do one update of the table, and counts what it did."""

import json
from dataclasses import dataclass

import rig as rigs
from rig import ADDRESS, HOST, Rig, started
from vboard.board import Board

from bench import chip, plain
from bench.cases import CASES, Case, Images

CHIP = "esp32s3"
_COMPARES = 1024  # bytes: what is read back to be hashed comes in larger pieces
# Counts reads, in calls and bytes, of what the slot holds, and the heap above the start.
_WATCHED = """
import gc, json, esp32
_reads = {{"compare": [0, 0], "check": [0, 0]}}
_readblocks = esp32.Partition.readblocks
def _counted(self, n, buf, *offset):
    of = _reads["compare" if len(buf) <= {small} else "check"]
    of[0] += 1
    of[1] += len(buf)
    _readblocks(self, n, buf, *offset)
esp32.Partition.readblocks = _counted
_heap, _steps = [0, 0], [0]
def _progress(*_):
    _steps[0] += 1
    if _steps[0] % 16 == 1:
        gc.collect()
        _heap[1] = max(_heap[1], gc.mem_alloc())
"""
_UPDATE = """
from ota import agent
from ota.install import job, sectors, source, pipeline, update
class _Machine:
    reset = staticmethod(lambda: None)
agent.machine = _Machine
agent.check()  # names that a look leaves behind are there for good
{patch}
for _of in _reads.values():
    _of[:] = 0, 0
gc.collect()
_heap[0] = gc.mem_alloc()
agent.update(_progress)
"""
_TELL = 'print("COUNTED", json.dumps([_reads, _heap]))\n'


@dataclass(frozen=True, slots=True)
class Measured:
    """What one update did. `wire`: bytes of files on the link; `heap`: bytes above the loaded modules at the most, None where
    nobody looked; `size`: of the image."""

    case: Case
    wire: int
    connections: int
    slot: chip.Flashed
    others: chip.Flashed
    compared: chip.Reads
    checked: chip.Reads
    heap: int | None
    size: int

    def phases(self, bytes_per_s: int) -> chip.Phases:
        """On a link of that rate. The plain updater neither hashes nor reads back."""
        hashed = 0 if self.case.plain else 2 * self.size  # as it comes, and as it is read back
        return chip.Phases(
            receive=self.wire / bytes_per_s,
            connect=0 if self.case.plain else self.connections * chip.HANDSHAKE_S,
            erase=self.slot.erase_s,
            program=self.slot.program_s,
            compare=self.compared.seconds,
            check=self.checked.seconds + (hashed * chip.HASH_KIB_S + self.size * chip.SET_BOOT_KIB_S) / 1024,
            notes=self.others.erase_s + self.others.program_s,
        )


def measure(rig: Rig, board: Board, case: Case, images: Images) -> Measured:
    """`board`: with the agent, its program not running anything of it. The slot is made to hold what the case says."""
    started(board)
    board.wait_text("ota: up-to-date", 30)  # it knows what runs
    slot = board.table.find("ota_1")
    assert slot
    new = case.to(images)
    there = case.there(images) if case.there else b""
    board.flash.force(slot.offset, there.ljust(slot.size, b"\xff"))
    began, sent = len(board.flash.trace), len(rig.transfers)
    watched = _WATCHED.format(small=_COMPARES)
    if case.plain:
        with plain.served(new) as port:
            rig.network.routes[ADDRESS, plain.PORT] = ("127.0.0.1", port)
            said = rigs.ask(board, watched + plain.PROGRAM.format(host=HOST, port=plain.PORT) + _TELL, 120)
        wire, connections = len(new), 1
    else:
        before = rig.workspace.channel_file.read_bytes()
        rig.publish(f"2.0.{CASES.index(case)}", new, **case.release)
        said = rigs.ask(board, watched + _UPDATE.format(patch=case.patch) + _TELL, 120)
        board.wait(lambda: len(rig.transfers) >= sent + 3, 10, "the server to count")
        rig.workspace.channel_file.write_bytes(before)  # the next case's board has nothing to do by itself
        transfers = rig.transfers[sent + 1 :]  # without the look before
        wire, connections = sum(t.done - t.start for t in transfers), len(transfers)
    assert board.flash.read(slot.offset, len(new)) == new
    trace = board.flash.trace[began:]
    reads, (start, most) = json.loads(said.rpartition("COUNTED ")[2])
    return Measured(
        case,
        wire,
        connections,
        chip.Flashed.of(trace, [slot]),
        chip.Flashed.of(trace, [row for row in board.table.rows if row != slot]),
        chip.Reads(*reads["compare"]),
        chip.Reads(*reads["check"]),
        most - start if most else None,
        len(new),
    )
