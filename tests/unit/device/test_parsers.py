"""Every parser of the agent on any bytes, and on good ones that were changed: tests/fuzz has the parsers and what others
say of the same bytes. Which inputs, is the same in each run; `make fuzz` looks further."""

import json
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from fuzz import loading, oracles
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

NAMES = list(loading.load().PARSERS)
SLOW = ("encryption", "p256", "sector")  # thousands of multiplications each
STEADY = settings(derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
# what breaks parsers, beside any bytes
ODD = [
    b"",
    b"\0",
    b"\r\n",
    b'"',
    b"{",
    b"[",
    b"]",
    b"-1",
    b"1e999",
    b"9" * 40,
    b"null",
    b"true",
    b"\xff\xff",
    b"\\ud800",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture(autouse=True, scope="module")
def parsers() -> Iterator[ModuleType]:
    with loading.in_place() as found:
        yield found


def outcome(name: str, data: bytes) -> list[Any]:
    """What a parser comes to, held against all that is known of it. Raises what no parser may raise."""
    found = loading.load()
    out: list[Any] = found.outcome(found.PARSERS[name], data)
    oracles.check(name, data, out)
    return out


@st.composite
def changed(draw: st.DrawFn, name: str) -> bytes:
    """A seed with some of its bytes taken out, changed, or others put in."""
    raw = bytearray(draw(st.sampled_from(loading.seeds(name))))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(raw)))
        raw[at : at + draw(st.integers(0, 4))] = draw(st.sampled_from(ODD) | st.binary(max_size=4))
    return bytes(raw)


@pytest.mark.parametrize("name", NAMES)
def test_any_bytes_end_in_a_value_or_in_a_documented_code(name: str) -> None:
    @settings(STEADY, max_examples=10 if name in SLOW else 60)
    @given(changed(name) | st.binary(max_size=200))
    def holds(data: bytes) -> None:
        outcome(name, data)

    holds()


@pytest.mark.parametrize("name", NAMES)
def test_seeds_are_kept_to(name: str) -> None:
    """What was found once, among them."""
    assert loading.seeds(name)
    assert {outcome(name, data)[0] for data in loading.seeds(name)} <= {"ok", "code"}


PLACES = {
    "payload": (
        "plain",
        ("schema", "product", "version", "sequence", "published", "targets", "url", "size", "signed_by"),
    ),
    "config": ("plain", ("url", "wifi", "ssid", "trial", "checks", "timeout_s", "pin", "interval_s", "function", "x")),
    "keys": ("one", ("x",)),
    "record": ("old", ("installed", "floor_sequence", "failed", "held", "releases")),
}


def put(found: Any, key: str, value: Any) -> bool:
    """Put `value` where `key` stands first, at any depth."""
    if isinstance(found, dict):
        if key in found:
            found[key] = value
            return True
        return any(put(inner, key, value) for inner in found.values())
    return isinstance(found, list) and any(put(inner, key, value) for inner in found)


@pytest.mark.parametrize("name", PLACES)
def test_any_value_in_any_place_of_a_document(name: str) -> None:
    seed, keys = PLACES[name]
    good = (loading.CORPUS / name / seed).read_bytes().partition(b"\0")[0]

    @settings(STEADY, max_examples=60)
    @given(st.sampled_from(keys), JSON)
    def holds(key: str, value: Any) -> None:
        document = json.loads(good)
        if not put(document, key, value) and isinstance(document, dict):
            document[key] = value
        outcome(name, json.dumps(document).encode())

    holds()
