"""Has a board do one update of the table, and counts what it did."""

import json
from dataclasses import dataclass, replace

import deltas
import rig as rigs
from otactl.release.delta.offer import Asked
from rig import ADDRESS, HOST, Rig, started
from vboard.board import Board

from bench import chip, plain
from bench.cases import CASES, Case, Images

CHIP = "esp32s3"
_COMPARES = 1024  # bytes: what is read back to be hashed comes in larger pieces
# Counts reads, in calls and bytes, of what the slot holds, bytes that are hashed, and the heap above the start.
_WATCHED = """
import gc, hashlib, json, sys, esp32
_hashed, _sha256 = [0], hashlib.sha256
class _Hashlib:
    class sha256:
        def __init__(self, data=b""):
            self._of = _sha256()
            self.update(data)
        def update(self, data):
            _hashed[0] += len(data)
            self._of.update(data)
        def digest(self):
            return self._of.digest()
sys.modules["hashlib"] = _Hashlib
for _name in [name for name in sys.modules if name[:4] == "ota."]:
    if hasattr(sys.modules[_name], "hashlib"):
        sys.modules[_name].hashlib = _Hashlib
_reads = {{"compare": [0, 0], "check": [0, 0], "copy": [0, 0]}}
_readblocks = esp32.Partition.readblocks
_running = esp32.Partition(esp32.Partition.RUNNING).info()[4]
def _counted(self, n, buf, *offset):
    if self.info()[4] == _running:  # the base of a delta, whole sectors of it too
        of = _reads["copy"]
    else:
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
_hashed[0] = 0
gc.collect()
_heap[0] = gc.mem_alloc()
agent.update(_progress)
"""
_TELL = 'print("COUNTED", json.dumps([_reads, _heap, _hashed[0]]))\n'


@dataclass(frozen=True, slots=True)
class Measured:
    """What one update did. `wire`: bytes of files on the link; `hashed`: bytes; `heap`: bytes above the loaded modules at the most, None where
    nobody looked; `size`: of the image."""

    case: Case
    wire: int
    handshakes: int
    slot: chip.Flashed
    others: chip.Flashed
    compared: chip.Reads
    decoded: chip.Decoded
    hashed: int
    checked: chip.Reads
    heap: int | None
    size: int

    def phases(self, bytes_per_s: int) -> chip.Phases:
        """On a link of that rate."""
        return chip.Phases(
            receive=self.wire / bytes_per_s,
            connect=self.handshakes * chip.HANDSHAKE_S,
            erase=self.slot.erase_s,
            program=self.slot.program_s,
            decode=self.decoded.seconds,
            compare=self.compared.seconds,
            check=self.checked.seconds + (self.hashed * chip.HASH_KIB_S + self.size * chip.SET_BOOT_KIB_S) / 1024,
            notes=self.others.erase_s + self.others.program_s,
        )


def measure(rig: Rig, board: Board, case: Case, images: Images) -> Measured:
    """`board`: with the agent, off. The slots are made to hold what the case says."""
    place, channel = rig.workspace, rig.workspace.channel_file.read_bytes()
    number = CASES.index(case)
    rig.workspace = replace(place, board={**place.board, case.takes: True} if case.takes else place.board)
    try:
        if case.runs:
            _hold(board, "ota_0", case.runs(images))
            rig.publish(f"1.1.{number}", case.runs(images))
        started(board)
        board.wait_text("ota: up-to-date", 60)  # it knows what runs
        if case.takes:
            rigs.configure(board, **{case.takes: True})
        return _measured(rig, board, case, images, f"2.0.{number}")
    finally:
        rig.workspace = place
        rig.workspace.channel_file.write_bytes(channel)  # the next case's board has nothing to do by itself


def _hold(board: Board, label: str, data: bytes) -> None:
    slot = board.table.find(label)
    assert slot
    board.flash.force(slot.offset, data.ljust(slot.size, b"\xff"))


def _measured(rig: Rig, board: Board, case: Case, images: Images, version: str) -> Measured:
    slot = board.table.find("ota_1")
    assert slot
    new = case.to(images)
    _hold(board, "ota_1", case.there(images) if case.there else b"")
    began, sent = len(board.flash.trace), len(rig.transfers)
    watched, work = _WATCHED.format(small=_COMPARES), (0, 0)
    assert board.soc
    before = board.soc.heap.tls_opened
    if case.plain:
        with plain.served(new) as port:
            rig.network.routes[ADDRESS, plain.PORT] = ("127.0.0.1", port)
            said = rigs.ask(board, watched + plain.PROGRAM.format(host=HOST, port=plain.PORT) + _TELL, 120)
        wire, handshakes = len(new), 0
    else:
        rig.publish(version, new, deltas=Asked())
        said = rigs.ask(board, watched + _UPDATE.format(patch=case.patch) + _TELL, 240)
        board.wait(lambda: len(rig.transfers) >= sent + 3, 10, "the server to count")
        transfers = rig.transfers[sent + 1 :]  # without the look before
        assert len(transfers) == 2, transfers
        wire = sum(t.done - t.start for t in transfers)
        handshakes = board.soc.heap.tls_opened - before - 1
        if case.takes:
            name = transfers[-1].path
            assert name.endswith((".compressed", ".delta")), transfers
            work = deltas.work((rig.workspace.releases / name).read_bytes(), len(new))
    assert board.flash.read(slot.offset, len(new)) == new
    trace = board.flash.trace[began:]
    reads, (start, most), hashed = json.loads(said.rpartition("COUNTED ")[2])
    return Measured(
        case,
        wire,
        handshakes,
        chip.Flashed.of(trace, [slot]),
        chip.Flashed.of(trace, [row for row in board.table.rows if row != slot]),
        chip.Reads(*reads["compare"]),
        chip.Decoded(*work, chip.Reads(*reads["copy"])),
        hashed,
        chip.Reads(*reads["check"]),
        most - start if most else None,
        len(new),
    )
