"""What somebody else says of the bytes that a parser was given: other code, of other people where there is some.

An oracle raises AssertionError where the agent's outcome is not what it ought to be. Most are silent about what the agent
refused: that is its right, where nothing good is refused (the tests of each part hold that).
"""

import base64
import datetime
import email.utils
import fnmatch
import json
import re
import urllib.parse
from collections.abc import Callable
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from devicekeys import hkdf
from otactl.board.codes import CODES
from otactl.workspace import keys
from vboard.flash.otadata import Entry, State, slot_of

from fuzz import loading

MOST_DETAIL = 80  # characters: it goes on a console, and in part into the record
_SINCE_2000 = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
_HTTP_DATE = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} 20\d\d \d\d:\d\d:\d\d GMT", re.ASCII)
_RFC_3339 = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_SHA256 = Prehashed(hashes.SHA256())


def check(name: str, data: bytes, outcome: list[Any]) -> None:
    """Hold an outcome of parser `name` against what is known of all outcomes, and against its oracle."""
    if outcome[0] == "code":
        _, code, detail = outcome
        assert code in CODES, f"no documented code: {code}"
        assert len(detail) <= MOST_DETAIL, f"{len(detail)} characters of detail: {code}"
        assert (detail.isascii() and detail.isprintable()) or not detail, f"what a console would not print: {detail!r}"
    if name in ORACLES:
        ORACLES[name](data, outcome)


def _verifies_pss(n: int, signature: bytes, digest: bytes, algorithm: Any = _SHA256) -> bool:
    try:
        key = rsa.RSAPublicNumbers(65537, n).public_key()
        key.verify(signature, digest, padding.PSS(padding.MGF1(hashes.SHA256()), 32), algorithm)
    except (InvalidSignature, ValueError):
        return False
    return True


def _verifies_p256(x: int, y: int, r: int, s: int, digest: bytes) -> bool:
    try:
        key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
        key.verify(encode_dss_signature(r, s), digest, ec.ECDSA(_SHA256))
    except (InvalidSignature, ValueError):
        return False
    return True


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except ValueError:
        return b""


def envelope(data: bytes, outcome: list[Any]) -> None:
    """What opens has been signed, byte by byte, by a key that is trusted."""
    if outcome[0] != "ok":
        return
    trusted, found = loading.load().RELEASE_KEYS, json.loads(data)
    kind, body = found["payloadType"], base64.b64decode(found["payload"])
    message = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(body), body)
    assert any(
        _verifies_pss(trusted[one["keyid"].lower()], _decoded(one["sig"]), message, hashes.SHA256())
        for one in found["signatures"]
        if one["keyid"].lower() in trusted and isinstance(one["sig"], str)
    )


def config(data: bytes, outcome: list[Any]) -> None:
    """What has passed passes again, and is the same."""
    if outcome[0] == "ok":
        again = loading.agent("config").check(json.loads(json.dumps(outcome[1])))
        assert again == outcome[1]


def payload(data: bytes, outcome: list[Any]) -> None:
    """What a look goes on with is of the right kind and size."""
    if outcome[0] != "ok":
        return
    version, published, sequence, security, chip, url, size, sha256 = outcome[1]
    assert version.isascii() and version.isprintable() and len(version) <= 32 and len(published) <= 40
    assert type(sequence) is type(security) is type(size) is int
    assert sequence >= 3 and security >= 1 and chip == "esp32" and 0 < size <= 1 << 20 and len(url) <= 512
    assert len(bytes.fromhex(sha256)) == 32


def otadata(data: bytes, outcome: list[Any]) -> None:
    """The virtual board's bootloader reads the same."""
    entries, states = outcome[1]
    raw = data[1:].ljust(64, b"\xff")
    there = [Entry.from_bytes(raw[at : at + 32]) for at in (0, 32)]
    count = 2 + (data[0] if data else 0) % 15
    good = [one for one in there if one.crc_ok and not one.blank]
    assert [seq for seq, _ in entries] == [one.seq if one in good else 0 for one in there]
    newest = {slot_of(one.seq, count): one for one in sorted(good, key=lambda one: one.seq) if one.seq}
    words = {State.NEW: "new", State.PENDING_VERIFY: "pending", State.VALID: "valid"}
    for index, state in states:
        if newest[index].state in words and [one.seq for one in good].count(newest[index].seq) == 1:
            assert state == words[State(newest[index].state)]
    assert {index for index, _ in states} == newest.keys()


def sector(data: bytes, outcome: list[Any]) -> None:
    """What is taken has one good signature at least; both schemes' numbers are little-endian there."""
    if outcome[0] != "ok":
        return
    digest, raw = loading.load().DIGEST, data[1:].ljust(4096, b"\xff")

    def number(at: int, size: int) -> int:
        return int.from_bytes(raw[at : at + size], "little")

    assert any(
        _verifies_pss(number(at + 36, 384), raw[at + 812 : at + 1196][::-1], digest)
        or _verifies_p256(*(number(at + place, 32) for place in (37, 69, 101, 133)), digest)
        for at in (0, 1216, 2432)
    )


def signature(data: bytes, outcome: list[Any]) -> None:
    n = int.from_bytes(data[:384], "big")
    known = n.bit_length() == 3072 and n & 1  # of other numbers cryptography makes no key
    if known or outcome[1]:
        assert outcome[1] == _verifies_pss(n, data[384:], loading.load().DIGEST)


def p256(data: bytes, outcome: list[Any]) -> None:
    numbers = [int.from_bytes(data[at : at + 32], "big") for at in (0, 32, 64, 96)]
    assert outcome[1] == _verifies_p256(*numbers, loading.load().DIGEST)


def encryption(data: bytes, outcome: list[Any]) -> None:
    """What opens is the key that the sender has wrapped; no point beside the curve opens anything."""
    device, flags, header = (
        json.loads(loading.load().DEVICE[0]),
        (data[0] if data else 0),
        data[1:600].ljust(512, b"\0"),
    )
    if flags & 4 or outcome[1] == "bad-release":
        return
    if flags & 1:
        x, y = (int.from_bytes(header[at : at + 32], "big") for at in (4, 36))
        try:
            sender = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
        except ValueError:
            assert outcome[:2] == ["code", "encryption-key"]
            return
        ours = ec.derive_private_key(device["ecc256"], ec.SECP256R1())
        assert outcome == ["ok", [hkdf(ours.exchange(ec.ECDH(), sender), header[68:100]), header[388:404]]]
    elif outcome[0] == "ok":
        p, q, *_ = device["rsa3072"]
        d = pow(65537, -1, (p - 1) * (q - 1))
        block = pow(int.from_bytes(header[4:388], "big"), d, p * q).to_bytes(384, "big")
        assert (block[:2], block[2:].index(0), block[352:]) == (b"\0\2", 349, outcome[1][0])


def trust(data: bytes, outcome: list[Any]) -> None:
    """What is taken has keys of the names that Secure Boot V2 gives them, and thresholds that these can meet."""
    if outcome[0] != "ok":
        return
    found = json.loads(data)
    for (version, named, threshold), role in zip(outcome[1], ("release", "root"), strict=False):
        assert version == 2 == found["version"] and 1 <= threshold <= len(named) <= 8
        assert set(named) == set(found[role]["keys"]) and found["product"] == "demo"
        for keyid in named:
            n = int.from_bytes(base64.b64decode(found["keys"][keyid]), "big")
            assert keys.keyid(rsa.RSAPublicNumbers(65537, n).public_key()) == keyid


def glob(data: bytes, outcome: list[Any]) -> None:
    pattern, _, text = data[:128].decode("latin-1").partition("\n")
    as_shell = pattern[:64].replace("[", "[[]")
    assert outcome[1] == bool(re.fullmatch(fnmatch.translate(as_shell), text[:64], re.DOTALL))


def url(data: bytes, outcome: list[Any]) -> None:
    """What is asked for is what others understand by the address; refused is what they do not agree on."""
    if outcome[0] != "ok":
        return
    joined, (secure, host, port, path) = outcome[1]
    other = urllib.parse.urlsplit(joined)
    assert (other.scheme, (other.hostname or "").lower()) == ("https" if secure else "http", host.lower())
    assert (other.port or (443 if secure else 80)) == port
    assert other.username is None and not set(host + path) & set(" \r\n\t")
    assert path == (other.path or "/") + ("?" + other.query if "?" in path else "")


def date(data: bytes, outcome: list[Any]) -> None:
    text = data.decode("latin-1")
    try:
        if _HTTP_DATE.fullmatch(text):
            moment = email.utils.parsedate_to_datetime(text)
        elif _RFC_3339.fullmatch(text):
            moment = datetime.datetime.fromisoformat(text)
        else:
            return
    except ValueError:  # 31 February, which is 3 March here
        return
    assert outcome[1] == (moment - _SINCE_2000).total_seconds()


def dns(data: bytes, outcome: list[Any]) -> None:
    for address in outcome[1] or ():
        assert all(str(int(part)) == part and int(part) < 256 for part in address.split("."))
        assert address.count(".") == 3


def http(data: bytes, outcome: list[Any]) -> None:
    """A body is no longer than was told, and than is asked for."""
    if outcome[0] == "ok":
        where, status, start, length, total, _, _, body = outcome[1]
        assert status in (200, 206) and where.startswith(("http://", "https://"))
        told = not data[0] & 32  # by the server: else the caller knew, and a chunked body may be another
        assert len(body) <= 8193 and (length is None or len(body) == min(length, 8193) or not told)
        assert status == 206 or start == 0
        assert total is None or length is None or start + length == total


ORACLES: dict[str, Callable[[bytes, list[Any]], None]] = {
    "envelope": envelope, "config": config, "payload": payload, "otadata": otadata, "sector": sector,
    "signature": signature, "p256": p256, "trust": trust, "encryption": encryption, "glob": glob, "url": url, "date": date, "dns": dns, "http": http,
}  # fmt: skip
