"""Parsers of the agent on good input, made by others: what comes out is what went in."""

import base64
import datetime
import email.utils
import json
import struct
import urllib.parse
from collections.abc import Iterator
from functools import cache
from types import ModuleType
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from fuzz import loading
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from vboard.flash.otadata import Entry, State

from .conftest import ReleaseKey, seal

STEADY = settings(
    derandomize=True, database=None, deadline=None, max_examples=60, suppress_health_check=list(HealthCheck)
)
SINCE_2000 = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
MOMENTS = st.datetimes(
    datetime.datetime(2000, 1, 1), datetime.datetime(2099, 12, 31), timezones=st.just(datetime.UTC)
).map(lambda moment: moment.replace(microsecond=0))
HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture(autouse=True, scope="module")
def parsers() -> Iterator[ModuleType]:
    with loading.in_place() as found:
        yield found


def parsed(name: str, data: bytes) -> Any:
    found = loading.load()
    return found.PARSERS[name](data)


@settings(STEADY)
@given(
    st.binary(max_size=600),
    st.lists(st.integers(1, 90), max_size=12),
    st.integers(0, 3),
    st.sampled_from(["", ";a=b", " "]),
)
def test_a_chunked_body_is_what_was_sent(body: bytes, sizes: list[int], pieces: int, extension: str) -> None:
    """However it is cut into chunks, and however these come."""
    sent, at = b"", 0
    for size in [*sizes, len(body)]:
        part = body[at : at + size]
        sent += b"%x%s\r\n%s\r\n" % (len(part), extension.encode(), part) if part else b""
        at += size
    whole = bytes([pieces]) + HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + sent + b"0\r\n\r\n"
    assert parsed("http", whole)[-1] == body


@settings(STEADY)
@given(st.binary(max_size=600), st.integers(0, 3), st.booleans(), st.binary(max_size=40))
def test_a_body_with_a_length_is_that_long(body: bytes, pieces: int, told: bool, more: bytes) -> None:
    """What comes behind it is another's; without a length all is the body's."""
    length = b"Content-Length: %d\r\n" % len(body) if told else b""
    got = parsed("http", bytes([pieces]) + HEAD + length + b"\r\n" + body + more)
    assert got[-1] == (body if told else body + more)


@settings(STEADY)
@given(MOMENTS)
@example(datetime.datetime(2024, 2, 29, 23, 59, 59, tzinfo=datetime.UTC))
def test_a_date_is_what_was_written(moment: datetime.datetime) -> None:
    seconds = (moment - SINCE_2000).total_seconds()
    assert parsed("date", email.utils.format_datetime(moment, usegmt=True).encode()) == seconds
    assert parsed("date", moment.isoformat().replace("+00:00", "Z").encode()) == seconds


@cache
def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@settings(STEADY, max_examples=20)
@given(MOMENTS, MOMENTS)
def test_a_certificate_s_dates_are_those_that_it_was_made_with(
    one: datetime.datetime, other: datetime.datetime
) -> None:
    since, until = sorted((one, other))
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a")])
    made = (
        x509.CertificateBuilder(name, name, _key().public_key(), 1)
        .not_valid_before(since)
        .not_valid_after(until)
        .sign(_key(), hashes.SHA256())
    )
    told = [int((moment - SINCE_2000).total_seconds()) if moment.year < 2050 else None for moment in (since, until)]
    if until.year >= 2050:  # the two are of different kinds, or both of another than is looked for
        told = [None, None]
    assert parsed("certificate", made.public_bytes(serialization.Encoding.DER)) == told


LABEL = st.from_regex(r"[a-z0-9]{1,12}", fullmatch=True)


@settings(STEADY)
@given(LABEL, st.lists(LABEL, max_size=3), st.lists(LABEL, min_size=1, max_size=3), st.booleans())
def test_a_reference_is_joined_as_others_join_it(host: str, folders: list[str], ref: list[str], root: bool) -> None:
    base, there = f"https://{host}.test:8443/" + "/".join([*folders, "stable.json"]), "/" * root + "/".join(ref)
    joined, (secure, _, port, path) = parsed("url", f"{base}\n{there}".encode())
    assert joined == urllib.parse.urljoin(base, there)
    assert (secure, port, path) == (True, 8443, urllib.parse.urlsplit(joined).path)


ADDRESS = st.tuples(*[st.integers(0, 255)] * 4)


@settings(STEADY)
@given(st.lists(ADDRESS | st.binary(max_size=20), max_size=8), st.booleans())
def test_addresses_of_an_answer_are_all_found(records: list[Any], pointers: bool) -> None:
    """Among records of other types."""
    packet = struct.pack("!BHHHHHH", 3, 0, 0x8180, 1, len(records), 0, 0)
    for one in records:
        kind, data = (1, bytes(one)) if isinstance(one, tuple) else (16, one)
        packet += (b"\xc0\x0c" if pointers else b"\x08releases\x04test\0") + struct.pack("!HHIH", kind, 1, 9, len(data))
        packet += data
    found = [".".join(map(str, one)) for one in records if isinstance(one, tuple)]
    assert parsed("dns", packet) == found


STATES = {State.NEW: "new", State.PENDING_VERIFY: "pending", State.VALID: "valid", State.ABORTED: "aborted"}


@settings(STEADY)
@given(st.integers(1, 0xFFFFFFFE), st.sampled_from(list(STATES)), st.integers(2, 16))
def test_an_entry_of_otadata_is_what_was_written(seq: int, state: State, slots: int) -> None:
    raw = Entry.make(seq, state).to_bytes()
    entries, states = parsed("otadata", bytes([slots - 2]) + raw)
    assert entries[0] == (seq, STATES[state])
    assert states == [((seq - 1) % slots, STATES[state])]


@settings(STEADY, max_examples=8)
@given(st.binary(min_size=1, max_size=64))
def test_what_cryptography_signs_is_good_and_its_neighbour_is_not(secret: bytes) -> None:
    private = ec.derive_private_key(int.from_bytes(secret, "big") + 1, ec.SECP256R1())
    r, s = decode_dss_signature(private.sign(loading.load().DIGEST, ec.ECDSA(Prehashed(hashes.SHA256()))))
    q = private.public_key().public_numbers()

    def verified(*numbers: int) -> bool:
        return bool(parsed("p256", b"".join(number.to_bytes(32, "big") for number in numbers)))

    assert verified(q.x, q.y, r, s)
    assert not verified(q.x, q.y, r, s ^ 1)
    assert not verified(q.x, q.y ^ 1, r, s)


@cache
def _release_key() -> ReleaseKey:
    return ReleaseKey(rsa.generate_private_key(65537, 3072), "ab" * 32)


@settings(STEADY, max_examples=12)
@given(st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=20), max_size=5), st.integers(0, 400))
def test_an_envelope_opens_as_it_was_sealed_and_not_with_a_byte_changed(content: dict[str, Any], at: int) -> None:
    key, envelope = _release_key(), loading.agent("release.envelope")
    body = json.dumps({**content, "schema": 1}).encode()
    sealed = seal(body, key)
    assert envelope.open_envelope(json.dumps(sealed).encode(), (1, {key.keyid: key.modulus}, 1)) == json.loads(body)
    raw = bytearray(body)
    raw[at % len(raw)] ^= 1
    sealed["payload"] = base64.b64encode(raw).decode()
    with pytest.raises(loading.agent("errors").OtaError, match="bad-signature"):
        envelope.open_envelope(json.dumps(sealed).encode(), (1, {key.keyid: key.modulus}, 1))
