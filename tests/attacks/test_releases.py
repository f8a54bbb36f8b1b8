"""Envelopes and payloads of an attacker's: what is served as the channel file."""

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from otactl.release.envelope import MAX_SIZE, PAYLOAD_TYPE, pae

from attacks import forgery
from attacks.bench import Bench, Row

SOFTWARE = "any software on the board"
AGENT = "the agent's end without a word: an error that nobody has foreseen"
HOST_TOOL = "a line that `otactl` takes for the board's own"
PAST_POLICY = "a release past the policy"
MEMORY = "the board's memory"


# --- what is signed by whom ---------------------------------------------------------------------------------------


def _signed_by(bench: Bench, key: rsa.RSAPrivateKey, keyid: str | None = None, message: bytes | None = None) -> None:
    """The next release, with one signature: by `key`, named `keyid`, of `message`; as it should be where not told."""
    content = json.dumps(forgery.payload(bench.next())).encode()
    message = pae(PAYLOAD_TYPE, content) if message is None else message
    bench.channel(forgery.envelope(content, [forgery.signed(key, message, keyid)]))


def _unsigned(bench: Bench, signatures: object) -> None:
    bench.channel(forgery.envelope(json.dumps(forgery.payload(bench.next())).encode(), signatures))


def _stripped_to(bench: Bench, sig: object) -> None:
    _unsigned(bench, [{"keyid": bench.keyid, "sig": sig}])


def _repeated(bench: Bench) -> None:
    content = json.dumps(forgery.payload(bench.next())).encode()
    wrong = forgery.signed(bench.his_key, pae(PAYLOAD_TYPE, content), bench.keyid)
    room = MAX_SIZE - len(forgery.envelope(content, []))
    bench.channel(forgery.envelope(content, [wrong] * (room // (len(json.dumps(wrong)) + 2))))


def _hundred_names(bench: Bench) -> None:
    _unsigned(bench, [{"keyid": bench.keyid, "sig": "AAAA"}] * 75)


def _of_the_installed(bench: Bench) -> None:
    good = json.loads(bench.rig.workspace.channel_file.read_bytes())
    _unsigned(bench, good["signatures"])


def _without_encoding(bench: Bench) -> None:
    content = json.dumps(forgery.payload(bench.next())).encode()
    bench.channel(forgery.envelope(content, [forgery.signed(bench.key, content)]))


def _of_another_type(bench: Bench) -> None:
    content = json.dumps(forgery.payload(bench.next())).encode()
    bench.channel(forgery.envelope(content, [forgery.signed(bench.key, pae("text/plain", content))]))


def _twice(bench: Bench, *, his_last: bool) -> None:
    """Two payloads in one envelope: the one that is installed, with its signature, and his."""
    good = bench.rig.workspace.channel_file.read_text().strip()
    his = base64.b64encode(json.dumps(forgery.payload(bench.next())).encode()).decode()
    his = f'"payload": "{his}"'
    bench.channel((good[:-1] + ", " + his + "}" if his_last else "{" + his + ", " + good[1:]).encode())


def _types_twice(bench: Bench) -> None:
    content = json.dumps(forgery.payload(bench.next())).encode()
    made = forgery.envelope(content, [forgery.signed(bench.key, pae("text/plain", content))]).decode()
    bench.channel(('{"payloadType": "text/plain", ' + made[1:]).encode())


SIGNED = {
    "key confusion: his signature under the name of our key": Row(
        "bad-signature", SOFTWARE, lambda b: _signed_by(b, b.his_key, b.keyid)
    ),
    "key confusion: his signature, our key's name in capitals": Row(
        "bad-signature", SOFTWARE, lambda b: _signed_by(b, b.his_key, b.keyid.upper())
    ),
    "key confusion: our signature under the name of his key": Row(
        "unknown-key", "nothing: a name decides which key is asked", lambda b: _signed_by(b, b.key, "ab" * 32)
    ),
    "key confusion: the name of our key with a space and a NUL": Row(
        "unknown-key", SOFTWARE, lambda b: _signed_by(b, b.his_key, " " + b.keyid + "\0")
    ),
    "stripped: no signature in the list": Row("unknown-key", SOFTWARE, lambda b: _unsigned(b, [])),
    "stripped: signatures null": Row("envelope-not-json", SOFTWARE, lambda b: _unsigned(b, None)),
    "stripped: an object in place of the list": Row(
        "envelope-not-json", SOFTWARE, lambda b: _unsigned(b, {"keyid": "x"})
    ),
    "stripped: our key's name, an empty signature": Row("bad-signature", SOFTWARE, lambda b: _stripped_to(b, "")),
    "stripped: our key's name, a signature of 384 zeros": Row(
        "bad-signature", SOFTWARE, lambda b: _stripped_to(b, base64.b64encode(bytes(384)).decode())
    ),
    "stripped: our key's name, a signature null": Row("bad-signature", SOFTWARE, lambda b: _stripped_to(b, None)),
    "duplicate: one bad signature as often as 8 KiB hold": Row("bad-signature", "a count of signatures", _repeated),
    "duplicate: our key's name 75 times": Row("bad-signature", "the board's time", _hundred_names),
    "duplicate: two payloads, his the last": Row("bad-signature", SOFTWARE, lambda b: _twice(b, his_last=True)),
    "duplicate: two payloads, his the first": Row(
        "up-to-date", "one payload verified, another believed", lambda b: _twice(b, his_last=False)
    ),
    "duplicate: two types, one of them signed": Row("bad-signature", SOFTWARE, _types_twice),
    "another message: the signature of the release that is installed": Row(
        "bad-signature", SOFTWARE, _of_the_installed
    ),
    "another message: the payload signed bare, without its type": Row(
        "bad-signature", "a signature that was made for something else", _without_encoding
    ),
    "another message: the payload signed as another type": Row(
        "bad-signature", "a signature that was made for something else", _of_another_type
    ),
}


# --- what no signature is asked for -------------------------------------------------------------------------------


def _type(bench: Bench, text: str) -> None:
    """An envelope whose type is this JSON."""
    bench.channel(forgery.envelope(b"{}", [], payloadType="<t>").replace(b'"<t>"', text.encode()))


def _named(bench: Bench, text: str) -> None:
    """An envelope whose signer's name is this JSON."""
    bench.channel(forgery.envelope(b"{}", [{"keyid": "<t>", "sig": "AA"}]).replace(b'"<t>"', text.encode()))


UNSIGNED = {
    "forged console: a line end and `ota: confirmed` in the type": Row(
        "envelope-type", HOST_TOOL, lambda b: _type(b, r'"x\r\nota: confirmed 9.9.9\r\n"')
    ),
    "forged console: a terminal's control codes in the type": Row(
        "envelope-type", "the terminal of who watches", lambda b: _type(b, r'"\u001b]0;x\u0007\u001b[2J"')
    ),
    "forged console: a line end in a key's name": Row(
        "unknown-key", HOST_TOOL, lambda b: _named(b, r'"\r\nota: confirmed"')
    ),
    "forged console: half a surrogate and a NUL in a key's name": Row(
        "unknown-key", AGENT, lambda b: _named(b, r'"\ud800\u0000\udfff"')
    ),
    "nesting: a type of 400 lists": Row("envelope-type", AGENT, lambda b: _type(b, "[" * 400 + "]" * 400)),
    "nesting: a signer's name of 3,900 lists": Row(
        "envelope-not-json", AGENT, lambda b: _named(b, "[" * 3900 + "]" * 3900)
    ),
    "nesting: 8,000 lists that never end": Row("envelope-not-json", AGENT, lambda b: b.channel(b"[" * 8000)),
    "nesting: 1,300 objects that never end": Row("envelope-not-json", AGENT, lambda b: b.channel(b'{"a":' * 1300)),
    "oversize: a text of 1 MB": Row("envelope-too-big", MEMORY, lambda b: _type(b, '"' + "x" * (1 << 20) + '"')),
    "oversize: a signer's name that is a number of 7,800 digits": Row(
        "envelope-not-json", AGENT, lambda b: _named(b, "9" * 7800)
    ),
    "not JSON: UTF-16": Row("envelope-not-json", AGENT, lambda b: b.channel("{}".encode("utf-16"))),
    "not JSON: bytes that are no text": Row(
        "envelope-not-json", AGENT, lambda b: b.channel(b'{"payloadType": "\xff\xfe\x80"}')
    ),
    "not JSON: a payload that is no base64": Row(
        "unknown-key", AGENT, lambda b: b.channel(forgery.envelope(b"", [], payload="\u20ac*!"))
    ),
}


# --- well signed: a thief of the key, or a slip -------------------------------------------------------------------


def _field(bench: Bench, name: str, text: str) -> None:
    bench.payload(forgery.body(bench.next(), name, text))


def _sequence_twice(bench: Bench, first: str, last: str) -> None:
    sequence = bench.next()
    bench.payload(forgery.body(sequence, "sequence", f'{first}, "sequence": {last}'))


def _field_row(name: str, text: str, gains: str, code: str = "bad-release") -> Row:
    return Row(code, gains, lambda b: _field(b, name, text))


PAYLOADS = {
    "oversize: a sequence of 2^31": _field_row("sequence", str(1 << 31), "a floor that NVS cannot hold"),
    "oversize: a sequence of 2^63": _field_row("sequence", str(1 << 63), "a floor that NVS cannot hold"),
    "oversize: a sequence of 1e400": _field_row("sequence", "1e400", "a sequence above all others"),
    "not a number: a sequence of NaN": _field_row(
        "sequence", "NaN", "a sequence that is neither lower nor higher", "schema"
    ),
    "not a number: a sequence of Infinity": _field_row("sequence", "Infinity", "a sequence above all others", "schema"),
    "not a number: a sequence of 1.0": _field_row("sequence", "1.0", PAST_POLICY),
    "not a number: a sequence of true": _field_row("sequence", "true", PAST_POLICY),
    'not a number: a sequence of "1"': _field_row("sequence", '"1"', PAST_POLICY),
    "negative: a sequence of -1": _field_row("sequence", "-1", PAST_POLICY),
    "negative: a size of -1": _field_row("target__size", "-1", "a write before the slot"),
    "negative: a size of -0": _field_row("target__size", "-0", "an image of nothing"),
    "oversize: a size of 2^32 + 1": _field_row("target__size", str((1 << 32) + 1), "a size that wraps round"),
    "not a number: a size of 1e5": _field_row("target__size", "1e5", PAST_POLICY),
    "negative: a security version of -1": _field_row("security_version", "-1", PAST_POLICY),
    "duplicate: two sequences, that of what is installed the last": Row(
        "older", "one number checked, another kept", lambda b: _sequence_twice(b, str(b.next()), "1")
    ),
    "duplicate: two sequences, a text the last": Row(
        "bad-release", "one number checked, another kept", lambda b: _sequence_twice(b, "1", '"1"')
    ),
    "nesting: a schema of 500 lists": _field_row("schema", "[" * 500 + "]" * 500, AGENT, "schema"),
    "nesting: targets of 250 lists": _field_row("targets", "[" * 250 + "]" * 250, AGENT),
    "another product: its name with a NUL behind": _field_row("product", r'"demo\u0000"', PAST_POLICY, "wrong-product"),
    "another product: half a surrogate": _field_row("product", r'"\ud800"', PAST_POLICY, "wrong-product"),
    "another product: a line end and `ota: confirmed`": _field_row(
        "product", r'"x\r\nota: confirmed 9"', HOST_TOOL, "wrong-product"
    ),
    "forged console: a version with a line end": _field_row("version", r'"1\r\nota: confirmed"', HOST_TOOL),
    "unknown kind: a line end in its name": _field_row(
        "target__kind", r'"x\r\nota: failed"', HOST_TOOL, "unknown-kind"
    ),
    "mix-and-match: a target of another chip": _field_row("target__chip", '"esp32c3"', SOFTWARE, "no-target"),
    "mix-and-match: no hash": Row("bad-release", SOFTWARE, lambda b: b.release(target__sha256=None)),
    "mix-and-match: the hash of nothing": Row("bad-release", SOFTWARE, lambda b: b.release(target__sha256="")),
}

ROWS = {**SIGNED, **UNSIGNED, **PAYLOADS}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_release(bench: Bench, row: Row) -> None:
    bench.attacked(row)
