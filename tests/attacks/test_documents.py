"""Trust documents and thresholds: who says whom boards trust, and how many have to sign."""

import json
from collections.abc import Callable

import pytest
from otactl.release.envelope import PAYLOAD_TYPE, pae
from otactl.workspace import keys, trust
from trusting import altered, twice

from attacks import forgery
from attacks.bench import Bench, Row
from attacks.villain import Answer, endless, moved, ok, says

THEIRS = "boards that trust his key"
LOWER = "a key that was retired, trusted again"
FEWER = "boards that one thief's key is enough for"
CUT_OFF = "boards that reach no server any more, or his"
HELD_BACK = "a revocation that boards never hear of"

VERSION_2, TWO_NAMES = "/etc/ota/two.json", "/etc/ota/names.json"  # keys of boards that a row is about


def _answered(bench: Bench, answer: Answer, n: int = 2) -> None:
    """A release of his is in the channel, and `answer` is what a board gets that asks for trust document `n`."""
    bench.release(sign=bench.his_key)
    bench.answer(f"trust/{n}.json", answer)


def _document_row(code: str, gains: str, make: Callable[[Bench], bytes]) -> Row:
    """For a board of version 1, whose one key is ours, `a`: what it gets as document 2."""
    return Row(code, gains, lambda b: _answered(b, ok(make(b))))


def _next_row(code: str, gains: str, make: Callable[[Bench], bytes]) -> Row:
    """For a board of version 2, whose root keys are `a`, which the thief has, and `r`, and both must sign: document 3."""

    def begin(bench: Bench) -> None:
        bench.put(VERSION_2, trust.for_board(bench.ring.document(2, "ar", "a", 2)))
        _answered(bench, ok(make(bench)), 3)

    return Row(code, gains, begin, config={"keys": VERSION_2})


def _key_of_two_names(bench: Bench) -> bytes:
    ring, other = bench.ring, "ab" * 32
    modulus = json.loads(trust.content(ring.document(2, "a", "a")))["keys"][ring.keyid("a")]
    role = {"keys": [ring.keyid("a"), other], "threshold": 2}
    return ring.forged(
        ring.document(2, "a", "a"), "a", keys={ring.keyid("a"): modulus, other: modulus}, root=role, release=role
    )


def _of_two(bench: Bench, by: str, m: int = 2) -> bytes:
    """Document 3, by which his key is trusted, and `m` root keys of two have to sign."""
    return bench.ring.signed(bench.ring.document(3, "ax", "x", m), by)


def _forged_row(field: str, value: object, gains: str) -> Row:
    """Well signed by the one root key: a slip, or its thief."""
    return _document_row(
        "trust-invalid", gains, lambda b: b.ring.forged(b.ring.document(2, "a", "a"), "a", **{field: value})
    )


def _role(bench: Bench, threshold: object) -> bytes:
    role = {"keys": [bench.ring.keyid("a")], "threshold": threshold}
    return bench.ring.forged(bench.ring.document(2, "a", "a"), "a", release=role)


def _withheld(bench: Bench) -> None:
    bench.release(trust=2)


DOCUMENTS = {
    "trust document: signed by himself": _document_row(
        "trust-signature", THEIRS, lambda b: b.ring.signed(b.ring.document(2, "x", "x"), "x")
    ),
    "trust document: signed by himself, with our key among those of the role": _document_row(
        "trust-signature", THEIRS, lambda b: b.ring.signed(b.ring.document(2, "ax", "ax"), "x")
    ),
    "trust document: good, but for one date in it": _document_row(
        "trust-signature", THEIRS, lambda b: altered(b.ring.signed(b.ring.document(2, "a", "a"), "a"))
    ),
    "trust document: by the old root key, and not by its own": _document_row(
        "trust-signature", CUT_OFF, lambda b: b.ring.signed(b.ring.document(2, "r", "a"), "a")
    ),
    "trust document: rotated by one root key of two": _next_row(
        "trust-signature", THEIRS, lambda b: _of_two(b, "ax", 1)
    ),
    "trust document: one root key's signature twice": _next_row(
        "trust-signature", THEIRS, lambda b: twice(_of_two(b, "a", 1))
    ),
    "trust document: the threshold lowered by one root key of two": _next_row(
        "trust-signature", FEWER, lambda b: b.ring.signed(b.ring.document(3, "ar", "a", 1), "a")
    ),
    "trust document: too few of the new root keys": _next_row(
        "trust-signature", CUT_OFF, lambda b: b.ring.signed(b.ring.document(3, "xs", "a", 2), "arx")
    ),
    "trust document: a lower version, well signed, in the place of the next": _next_row(
        "trust-invalid", LOWER, lambda b: b.ring.signed(b.ring.document(2, "ar", "a", 2), "ar")
    ),
    "trust document: a version skipped": _document_row(
        "trust-invalid", LOWER, lambda b: b.ring.signed(b.ring.document(3, "a", "a"), "a")
    ),
    "trust document: of another product": _document_row(
        "trust-invalid", THEIRS, lambda b: b.ring.signed(b.ring.document(2, "a", "a", product="lamp"), "a")
    ),
    "trust document: a release, well signed": _document_row(
        "trust-invalid",
        THEIRS,
        lambda b: forgery.sealed(json.dumps(forgery.payload(1, version=2)).encode(), b.key),
    ),
    "trust document: one key under two names, both of which must sign": _document_row(
        "trust-invalid", FEWER, _key_of_two_names
    ),
    "trust document: a threshold of none": _document_row("trust-invalid", THEIRS, lambda b: _role(b, 0)),
    "trust document: a threshold that no keys can meet": _document_row("trust-invalid", CUT_OFF, lambda b: _role(b, 2)),
    "trust document: a threshold of true": _document_row("trust-invalid", THEIRS, lambda b: _role(b, True)),
    "trust document: CA certificates that are a number": _forged_row("ca", 5, CUT_OFF),
    "trust document: CA certificates that are a list": _forged_row("ca", ["x"], CUT_OFF),
    "trust document: no keys": _forged_row("keys", {}, CUT_OFF),
    "trust document: keys of 400 lists": _forged_row("keys", json.loads("[" * 400 + "]" * 400), "the agent's end"),
    "trust document: without end": Row(
        "trust-invalid",
        "the board's memory",
        lambda b: _answered(b, endless("HTTP/1.1 200 OK\r\n\r\n", b"{")),
    ),
    "trust document: a page": Row("trust-invalid", THEIRS, lambda b: _answered(b, ok("<html>"))),
    "trust document: a redirect to itself": Row(
        "too-many-redirects", "the board's time", lambda b: _answered(b, moved("/trust/2.json"))
    ),
    "trust document: a redirect to http": Row(
        "redirect-to-http", THEIRS, lambda b: _answered(b, moved("http://releases.test:8443/trust/2.json"))
    ),
    "trust document: kept back by the server": Row("trust-behind", HELD_BACK, _withheld),
    "trust document: an error in its place": Row(
        "http-status", HELD_BACK, lambda b: _answered(b, says("HTTP/1.1 500 x\r\n\r\n"))
    ),
}


# --- releases that two have to sign -------------------------------------------------------------------------------


def _signed(bench: Bench, *named: tuple[str, str]) -> None:
    """The next release in the channel, signed by these keys under the names of those."""
    content = json.dumps(forgery.payload(bench.next())).encode()
    ring, message = bench.ring, pae(PAYLOAD_TYPE, content)
    bench.channel(
        forgery.envelope(content, [forgery.signed(ring[key], message, ring.keyid(name)) for key, name in named])
    )


def _two_row(code: str, *named: tuple[str, str]) -> Row:
    """For a board whose release keys are `a`, which the thief has, and `r`, and both must sign."""

    def begin(bench: Bench) -> None:
        bench.put(VERSION_2, trust.for_board(bench.ring.document(2, "a", "ar", 1, 2)))
        _signed(bench, *named)

    return Row(code, FEWER, begin, config={"keys": VERSION_2})


def _capitals(bench: Bench) -> None:
    bench.put(VERSION_2, trust.for_board(bench.ring.document(2, "a", "ar", 1, 2)))
    content = json.dumps(forgery.payload(bench.next())).encode()
    message = pae(PAYLOAD_TYPE, content)
    both = [forgery.signed(bench.key, message, name) for name in (bench.keyid, bench.keyid.upper())]
    bench.channel(forgery.envelope(content, both))


def _two_names(bench: Bench) -> None:
    """A file of keys that somebody has written by hand, where one key has two names."""
    (modulus,) = json.loads(keys.for_board([bench.key.public_key()])).values()
    names = [bench.keyid, bench.ring.keyid("r")]
    role = {"keys": names, "threshold": 2}
    held = {"version": 2, "keys": dict.fromkeys(names, modulus), "root": role, "release": role}
    bench.put(TWO_NAMES, json.dumps(held))
    _signed(bench, ("a", "a"), ("a", "r"))


THRESHOLDS = {
    "threshold: one signature of two": _two_row("too-few-signatures", ("a", "a")),
    "threshold: one signature twice": _two_row("too-few-signatures", ("a", "a"), ("a", "a")),
    "threshold: one key's, and one under the other key's name": _two_row("bad-signature", ("a", "a"), ("a", "r")),
    "threshold: one key's, and that of a key that is not trusted": _two_row(
        "too-few-signatures", ("x", "x"), ("a", "a")
    ),
    "threshold: one key's, and its name in capitals": Row(
        "too-few-signatures", FEWER, _capitals, config={"keys": VERSION_2}
    ),
    "threshold: two signatures of one key that has two names": Row(
        "too-few-signatures", FEWER, _two_names, config={"keys": TWO_NAMES}
    ),
}

ROWS = {**DOCUMENTS, **THRESHOLDS}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_document(bench: Bench, row: Row) -> None:
    bench.attacked(row)
