"""The parsers in MicroPython, on a virtual board's heap, held against what CPython made of the same bytes."""

import json
import random
import struct
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otactl.board import agent
from otactl.board.link import Link
from vboard.board import Board

from fuzz import loading

HEAP_KIB = 160  # of a program, as a stock ESP32 has it
_FILES = ("throwaway.json", "__init__.py", "parsers.py", "network.py", "vouched.py", "engines.py")
_BATCH = 40_000  # bytes of inputs that lie on the board at a time
_SHOWN = 160  # characters of an outcome that come back as they are; of a longer one its CRC-32
_HEAD = struct.Struct("<BH")  # of an input: number of its parser, bytes
_INPUTS = "/inputs"
# MicroPython's JSON takes more than CPython's, as line ends in strings: what CPython does not read is not compared.
_JSON = ("envelope", "payload", "config", "keys", "record", "trust", "engine")
_UNORDERED = ("config", "payload", "trust")  # of several mistakes another may come first: dicts have no order there

_SETUP = """
import binascii, gc, json, sys
import fuzz.network, fuzz.vouched, fuzz.engines
from fuzz import parsers
with open("/fuzz/throwaway.json") as f:
    trusted = json.load(f)
for keyid in trusted["release"]:
    parsers.RELEASE_KEYS[keyid] = int(trusted["release"][keyid], 16)
parsers.IMAGE_KEYS.extend(trusted["image"])
parsers.DEVICE.append(json.dumps(trusted["device"]).encode())
del trusted, f
NAMES = {names!r}
def one(number, data):
    try:
        return parsers.told(parsers.outcome(parsers.PARSERS[NAMES[number]], data))
    except MemoryError:
        return "no memory"
    except Exception as e:
        return "raised " + repr(e)
def let_go():
    for name in list(sys.modules):
        if name.startswith("ota.") and name != "ota.errors":
            room = sys.modules.get(name.rpartition(".")[0])
            if hasattr(room, name.rpartition(".")[2]):
                delattr(room, name.rpartition(".")[2])
            del sys.modules[name]
    gc.collect()
def go(shown):
    last = None
    with open({path!r}, "rb") as f:
        while True:
            head = f.read(3)
            if not head:
                break
            if head[0] != last:  # what one parser needs makes room for the next one
                let_go()
                last = head[0]
            out = one(head[0], f.read(head[1] | head[2] << 8))
            out = out if len(out) <= {most} else "crc %d" % binascii.crc32(out.encode())
            if shown:
                print(out)
"""
_HEAP = "gc.collect()\ngc.collect()\nprint(gc.mem_alloc())"


@dataclass(frozen=True, slots=True)
class Difference:
    """An input that the interpreters do not agree on, or that MicroPython does not bear."""

    name: str
    data: bytes
    here: str
    there: str

    def __str__(self) -> str:
        return f"{self.name}: {self.data[:80]!r}\n  CPython:     {self.here}\n  MicroPython: {self.there}"


def expected(parsers: Any, name: str, data: bytes) -> str:
    """What the board ought to print."""
    try:
        out: str = parsers.told(parsers.outcome(parsers.PARSERS[name], data))
    except Exception as e:
        out = "raised " + repr(e)
    return out if len(out) <= _SHOWN else f"crc {zlib.crc32(out.encode())}"


def mutated(inputs: list[tuple[str, bytes]], count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """`count` inputs made of these: bytes changed, left out, doubled, cut, or put in from another input."""
    rng = random.Random(seed)
    for _ in range(count):
        name, data = rng.choice(inputs)
        raw = bytearray(data)
        for _ in range(rng.choice((1, 1, 2, 4, 16))):
            at = rng.randrange(len(raw) + 1)
            other = rng.choice(inputs)[1]
            start = rng.randrange(len(other) + 1)
            raw[at : at + rng.choice((0, 1, 1, 3))] = rng.choice(
                (
                    b"",
                    rng.randbytes(1),
                    bytes([rng.choice(b'0-"[{\\:,.eE \n')]),
                    other[start : start + 8],
                    raw[at:][:20],
                )
            )
        yield name, bytes(raw)


class FuzzedBoard:
    """A board with the whole agent and the parsers, at its raw REPL. Inputs of one parser are to come together."""

    def __init__(self, link: Link, names: list[str]) -> None:
        self._link, self._names = link, names
        files = {f"/lib/ota/{name}": data for name, data in agent.compiled().items()}
        for name in _FILES:
            data = (loading.CORPUS.parent / name).read_bytes()
            if name.endswith(".py"):
                files[f"/fuzz/{name[:-3]}.mpy"] = agent._mpy("../fuzz/" + name, data)
            else:
                files["/fuzz/" + name] = data
        for folder in sorted({"/lib", *(path.rpartition("/")[0] for path in files)}):
            link.make_folder(folder)
        for path, data in files.items():
            link.put(path, data)
        link.run(_SETUP.format(names=names, path=_INPUTS, most=_SHOWN), timeout_s=60)

    def run(self, code: str) -> None:
        """Run code beside the parsers."""
        self._link.run(code)

    def give(self, inputs: list[tuple[str, bytes]]) -> None:
        """Put these inputs onto the board."""
        packed = b"".join(_HEAD.pack(self._names.index(name), len(data)) + data for name, data in inputs)
        self._link.put(_INPUTS, packed)

    def outcomes(self) -> list[str]:
        """What each input that was given comes to."""
        return self._link.run("go(True)", timeout_s=600).splitlines()

    def grown(self) -> int:
        """Bytes of the heap that each further run of what was given leaves behind, at the least."""
        found = []
        for _ in range(3):  # what is made once is made in the first; a dictionary may get its next size in the second
            self._link.run("go(False)", timeout_s=600)
            found.append(int(self._link.run(_HEAP)))
        return min(found[1] - found[0], found[2] - found[1])


def agree(name: str, data: bytes, here: str, there: str) -> bool:
    """Whether both outcomes of an input may be."""
    if there == "no memory":  # a record full of brackets: no network can write one
        return name == "record" and "no-memory" in here
    if there.startswith("raised"):
        return False
    if name == "encryption" and data[:1] and data[0] & 4 and not _is_json(data[1:]):
        return True
    if name in _JSON and not all(_is_json(part) for part in data.split(b"\0")):
        return True
    if name in _UNORDERED and here.startswith("['code'"):
        return here.split(",")[:2] == there.split(",")[:2]
    return here == there


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data, parse_constant=int)  # of NaN and its like int() makes nothing
    except (ValueError, RecursionError):
        return False
    return True


@contextmanager
def fuzzed_board(folder: Path, names: list[str]) -> Iterator[FuzzedBoard]:
    with Board(folder, heap_kib=HEAP_KIB) as board:
        board.power_on()
        board.wait_repl()
        with Link(str(board.port)) as link:
            yield FuzzedBoard(link, names)


def differences(board: FuzzedBoard, inputs: list[tuple[str, bytes]]) -> list[Difference]:
    """Run inputs in both interpreters."""
    board.give(inputs)
    found = board.outcomes()
    assert len(found) == len(inputs), f"{len(found)} outcomes of {len(inputs)} inputs: {found[-3:]}"
    with loading.in_place() as parsers:
        pairs = [(expected(parsers, name, data), out) for (name, data), out in zip(inputs, found, strict=True)]
    return [
        Difference(name, data, here, there)
        for (name, data), (here, there) in zip(inputs, pairs, strict=True)
        if not agree(name, data, here, there)
    ]


def batches(inputs: list[tuple[str, bytes]], names: list[str]) -> Iterator[list[tuple[str, bytes]]]:
    """Inputs in the order of their parsers, as many at a time as a board has room for."""
    batch: list[tuple[str, bytes]] = []
    size = 0
    for name, data in sorted(inputs, key=lambda one: names.index(one[0])):
        batch.append((name, data))
        size += len(data) + _HEAD.size
        if size > _BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def replay(names: list[str], grown: Path) -> list[str]:
    """Run all that is kept for these parsers on a board; print what came of it. Returns what was found."""
    inputs = [(name, data) for name in names for data in loading.seeds(name) + loading.seeds(name, grown)]
    inputs += list(mutated(inputs, 10 * len(inputs), 1))
    found: list[str] = []
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder, fuzzed_board(Path(folder), names) as board:
        for batch in batches(inputs, names):
            found += [str(one) for one in differences(board, batch)]
            left = board.grown()
            found += [f"{left} B of the heap are gone after {len(batch)} inputs"] if left > 0 else []
    for line in found[:20]:
        print(line)
    print(f"MicroPython, {HEAP_KIB} KiB: {len(inputs):,} inputs, {len(found)} findings")
    return found
