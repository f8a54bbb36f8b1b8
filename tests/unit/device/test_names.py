"""device/ota/net/names.py: what answers of a DNS server come to."""

import importlib
import random
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

DEVICE = Path(__file__).resolve().parents[3] / "device"
QUESTION = b"\x08releases\x04test\0\0\1\0\1"
POINTER = b"\xc0\x0c"
Addresses = Callable[[bytes, int], list[str]]


@pytest.fixture
def addresses(monkeypatch: pytest.MonkeyPatch) -> Iterator[Addresses]:
    monkeypatch.setitem(sys.modules, "micropython", SimpleNamespace(const=lambda number: number))
    package = ModuleType("ota")
    package.__path__ = [str(DEVICE / "ota")]
    monkeypatch.setitem(sys.modules, "ota", package)
    yield importlib.import_module("ota.net.names")._addresses
    for name in [name for name in sys.modules if name.startswith("ota.")]:
        sys.modules.pop(name)


def record(kind: int, data: bytes, name: bytes = POINTER) -> bytes:
    return name + struct.pack("!HHIH", kind, 1, 60, len(data)) + data


def packet(*records: bytes, told: int | None = None) -> bytes:
    count = len(records) if told is None else told
    return struct.pack("!HHHHHH", 7, 0x8180, 1, count, 0, 0) + QUESTION + b"".join(records)


A = record(1, bytes([10, 0, 0, 9]))
ANSWERS = {
    "one address": (packet(A), ["10.0.0.9"]),
    "two addresses": (packet(A, record(1, bytes([192, 168, 1, 255]))), ["10.0.0.9", "192.168.1.255"]),
    "an alias, then the address": (
        packet(record(5, b"\x03cdn\x04test\0"), record(1, bytes(4), b"\x03cdn\x04test\0")),
        ["0.0.0.0"],
    ),
    "an IPv6 address": (packet(record(28, bytes(16))), []),
    "no answer": (packet(), []),
    "more records promised than come": (packet(A, told=9), ["10.0.0.9"]),
    "cut off in an address": (packet(A)[:-2], []),
    "cut off in a name": (packet(record(1, bytes(4), b"\x3fabc"))[:45], []),
    "a pointer to itself": (packet(record(1, bytes([1, 2, 3, 4]), b"\xc0\x1f")), ["1.2.3.4"]),
}


@pytest.mark.parametrize(("answer", "found"), ANSWERS.values(), ids=ANSWERS)
def test_answer(addresses: Addresses, answer: bytes, found: list[str]) -> None:
    assert addresses(answer, 12 + len(QUESTION)) == found


def test_bytes_of_anything_raise_nothing(addresses: Addresses) -> None:
    """A seeded sample."""
    rng = random.Random(5)
    for _ in range(2000):
        whole = bytearray(packet(A, A, record(5, b"\x03cdn\0")))
        for _ in range(rng.randrange(1, 6)):
            whole[rng.randrange(12 + len(QUESTION), len(whole))] = rng.randrange(256)
        for address in addresses(bytes(whole[: rng.randrange(40, len(whole) + 1)]), 12 + len(QUESTION)):
            assert len([part for part in address.split(".") if 0 <= int(part) < 256]) == 4
