"""Encrypted images: what a release says of its header, and what a server gives as the file, to a board with a device key."""

import base64
import json
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import devicekeys
import pytest
from devicekeys import HEADER, DeviceKey
from rig import NEW

from attacks.bench import FILE, Bench, Row

DEVICE = "/etc/ota/device.json"
SOFTWARE = "any software on the board"
READER = "an image that who has no device key has chosen"
AGENT = "the agent's end without a word"
SECRET = "what the device key is, from points that are not on the curve"
WEAR = "the slot that does not run, again and again"
KNOWN = "an image in clear, for whoever listens"
SIZE_AT, IV_AT, SALT_AT, POINT_AT = 404, 388, 68, 4  # of the header
WRAPPED, RSA_BITS = slice(4, 388), 3072


@cache
def _key(scheme: str, name: str = "ours") -> DeviceKey:
    with TemporaryDirectory() as folder:
        return devicekeys.make(Path(folder), scheme, name)


def _flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]


def _offered(bench: Bench, header: object, file: bytes, scheme: object = "ecc256", **changes: Any) -> None:
    """A release of NEW that is well signed, with this header; the server has `file`."""
    text = base64.b64encode(header).decode() if isinstance(header, bytes) else header
    bench.put(DEVICE, _key("rsa3072" if scheme == "rsa3072" else "ecc256").file)
    bench.release(NEW, **{"target__encryption": {"scheme": scheme, "header": text}, **changes})
    (bench.rig.workspace.releases / FILE).write_bytes(file)


def _row(code: str, gains: str, begin: Callable[[Bench], None], **more: Any) -> Row:
    return Row(code, gains, begin, config={"encryption": {"key": DEVICE}}, parts=True, **more)


def _header_row(code: str, gains: str, make: Callable[[bytes], object], scheme: str = "ecc256", **more: Any) -> Row:
    """`make`: of the right header, what the release has instead."""

    def begin(bench: Bench) -> None:
        file = _key(scheme).encrypt(NEW)
        _offered(bench, make(file[:HEADER]), file, scheme)

    return _row(code, gains, begin, **more)


def _file_row(code: str, gains: str, make: Callable[[bytes], bytes], **more: Any) -> Row:
    """`make`: of the right file, what the server has instead."""

    def begin(bench: Bench) -> None:
        file = _key("ecc256").encrypt(NEW)
        _offered(bench, file[:HEADER], make(file))

    return _row(code, gains, begin, **more)


def _plain(bench: Bench, **changes: Any) -> None:
    bench.put(DEVICE, _key("ecc256").file)
    bench.release(NEW, **changes)


def _of_the_cipher_text(bench: Bench, *, size: bool) -> None:
    file = _key("ecc256").encrypt(NEW)
    told = {"target__size": len(file)} if size else {"target__sha256": sha256(file).hexdigest()}
    _offered(bench, file[:HEADER], file, **told)


def _garbage(bench: Bench) -> None:
    """Its size and hash are right, and so is the word that every app image has at its byte 32."""
    data = b"\0" * 32 + NEW[32:]
    file = _key("ecc256").encrypt(data)
    _offered(bench, file[:HEADER], file, target__sha256=sha256(data).hexdigest())


def _scheme(bench: Bench, scheme: object) -> None:
    file = _key("ecc256").encrypt(NEW)
    _offered(bench, file[:HEADER], file, scheme)


def _without_a_key(bench: Bench) -> None:
    _plain(bench, target__encryption={"scheme": "ecc256", "header": "AAAA"})


_PRIME = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF  # of P-256's field: SP 800-186, 3.2.1.3
_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B


def _beyond_the_field() -> bytes:
    """To the arithmetic it is the point with the smallest x."""
    for x in range(100):
        square = (x**3 - 3 * x + _B) % _PRIME
        y = pow(square, (_PRIME + 1) // 4, _PRIME)
        if y * y % _PRIME == square:
            return (x + _PRIME).to_bytes(32) + y.to_bytes(32)
    raise AssertionError("no point")


def _plus_the_modulus(bench: Bench) -> None:
    """To the arithmetic it is the same number."""
    p, q, *_ = json.loads(_key("rsa3072").file)["rsa3072"]
    file, number = b"", 1 << RSA_BITS
    while number >> RSA_BITS:  # as many as there are bytes for
        file = _key("rsa3072").encrypt(NEW)
        number = int.from_bytes(file[WRAPPED]) + p * q
    header = file[: WRAPPED.start] + number.to_bytes(384) + file[WRAPPED.stop : HEADER]
    _offered(bench, header, file, "rsa3072")


HEADERS = {
    "encrypted image: `encryption` taken out, where the board requires it": _row("encryption", KNOWN, _plain),
    "encrypted image: `encryption` null, where the board requires it": _row(
        "encryption", KNOWN, lambda b: _plain(b, target__encryption=None)
    ),
    "encrypted image: a number for `encryption`": _row("bad-release", AGENT, lambda b: _plain(b, target__encryption=5)),
    "encrypted image: false for `encryption`": _row(
        "bad-release", KNOWN, lambda b: _plain(b, target__encryption=False)
    ),
    "encrypted image: a scheme that there is not": _row("encryption", AGENT, lambda b: _scheme(b, "none")),
    "encrypted image: a list of 100 lists for a scheme": _row("encryption", AGENT, lambda b: _scheme(b, [[]] * 100)),
    "encrypted image: a line end in the scheme": _row(
        "encryption", "a line that `otactl` takes for the board's own", lambda b: _scheme(b, "\r\nota: x")
    ),
    "encrypted header: its magic number": _header_row("bad-release", READER, lambda h: _flipped(h, 0)),
    "encrypted header: its size": _header_row("bad-release", READER, lambda h: _flipped(h, SIZE_AT)),
    "encrypted header: cut": _header_row("bad-release", AGENT, lambda h: h[:100]),
    "encrypted header: cut to nothing": _header_row("bad-release", AGENT, lambda _: b""),
    "encrypted header: too long": _header_row("bad-release", AGENT, lambda h: h + b"\0"),
    "encrypted header: no base64": _header_row("bad-release", AGENT, lambda _: "%%%%"),
    "encrypted header: a number": _header_row("bad-release", AGENT, lambda _: 7),
    "encrypted header: a point that is not on the curve": _header_row(
        "encryption-key", SECRET, lambda h: _flipped(h, POINT_AT + 40)
    ),
    "encrypted header: a point of zeros": _header_row(
        "encryption-key", SECRET, lambda h: h[:POINT_AT] + bytes(64) + h[POINT_AT + 64 :]
    ),
    "encrypted header: a point of the curve, the field's prime added to its x": _header_row(
        "encryption-key", SECRET, lambda h: h[:POINT_AT] + _beyond_the_field() + h[POINT_AT + 64 :]
    ),
    "encrypted header: a byte of the wrapped key, RSA": _header_row(
        "encryption-key", READER, lambda h: _flipped(h, 200), "rsa3072"
    ),
    "encrypted header: a wrapped key of zeros, RSA": _header_row(
        "encryption-key", READER, lambda h: h[:4] + bytes(384) + h[388:], "rsa3072"
    ),
    "encrypted header: a wrapped key, and the modulus added to it, RSA": _row(
        "encryption-key", "two headers out of one", _plus_the_modulus
    ),
    "encrypted header: for another device's key, RSA": _header_row(
        "encryption-key", READER, lambda _: _key("rsa3072", "other").encrypt(NEW)[:HEADER], "rsa3072"
    ),
    # Of P-256 no padding tells: what comes out of the first block does, before anything is erased.
    "encrypted header: for another device's key, P-256": _header_row(
        "encryption-key", READER, lambda _: _key("ecc256", "other").encrypt(NEW)[:HEADER], reaches="file"
    ),
    "encrypted header: another salt": _header_row(
        "encryption-key", READER, lambda h: _flipped(h, SALT_AT), reaches="file"
    ),
    "encrypted header: another IV": _header_row("encryption-key", READER, lambda h: _flipped(h, IV_AT), reaches="file"),
}

FILES = {
    "encrypted image: the image in clear, as the file": _file_row(
        "encryption-key", KNOWN, lambda _: bytes(HEADER) + NEW, reaches="file"
    ),
    "encrypted image: encrypted for another device": _file_row(
        "encryption-key", READER, lambda _: _key("ecc256", "other").encrypt(NEW), reaches="file"
    ),
    "encrypted image: a byte of its first block": _file_row(
        "not-an-image", SOFTWARE, lambda f: _flipped(f, HEADER), reaches="file"
    ),
    "encrypted image: a byte of its last block": _file_row(
        "hash-mismatch", SOFTWARE, lambda f: _flipped(f, len(f) - 1), reaches="slot"
    ),
    "encrypted image: one bit of the plain text, which counter mode lets him choose": _file_row(
        "hash-mismatch", SOFTWARE, lambda f: _flipped(f, HEADER + 5000), reaches="slot"
    ),
    "encrypted image: cut": _file_row("size-mismatch", WEAR, lambda f: f[:-1], reaches="file"),
    "encrypted image: a byte longer": _file_row("size-mismatch", WEAR, lambda f: f + b"\0", reaches="file"),
    "encrypted image: its header missing": _file_row("size-mismatch", WEAR, lambda f: f[HEADER:], reaches="file"),
    "encrypted image: the size of the file, signed as that of the image": _row(
        "bad-release", AGENT, lambda b: _of_the_cipher_text(b, size=True)
    ),
    "encrypted image: the hash of the file, signed as that of the image": _row(
        "hash-mismatch", SOFTWARE, lambda b: _of_the_cipher_text(b, size=False), reaches="slot"
    ),
    "encrypted image: what comes out is no image": _row("not-an-image", SOFTWARE, _garbage, reaches="file"),
    "encrypted image: for a board that has no device key": Row("encryption", AGENT, _without_a_key),
}

ROWS = {**HEADERS, **FILES}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_encrypted(bench: Bench, row: Row) -> None:
    bench.attacked(row)
