"""Trust documents: which keys the board trusts, brought by the network, signed by keys that it trusts already.

As the root role of The Update Framework (theupdateframework.github.io/specification, 5.3): document N+1 counts only if the
threshold of document N's root keys has signed it, and the threshold of its own. None is passed over and none is taken twice,
so nothing that a network does can lower the version (P7). A document lies beside the channel, trust/N.json: an envelope
(release/envelope.py) of a type of its own, so that no release passes for one. Its payload: `schema`, `product`, `version`,
`keys` (keyid -> modulus, base64, big-endian), `root` and `release` as in keys.json, `ca` (PEM) where that changes."""

import binascii
import hashlib
import json
import os

from micropython import const

from ..console import say
from ..errors import OtaError, fits, require
from . import envelope, keys

PAYLOAD_TYPE = "application/vnd.micropython-ota.trust+json"
_DOCUMENTS = const(16)  # in one look
_KEYS = const(8)
_SIZE = const(384)  # bytes of a modulus
_SIGNERS = ("unknown-key", "too-few-signatures", "bad-signature", "trust-behind")
_NOT_THERE = ("403", "404", "410")  # 403: a bucket's answer, where its list is private


def newest(config: dict, refusal: OtaError):
    """The channel's release was refused; the board may lack newer keys. Steps that install each document after the board's
    own, until the server has no more: then the channel is to be asked once more. Raises `refusal` where there is no other
    document; OtaError trust-signature, trust-invalid, trust-write, and what the board trusts is as before; what
    link.fetch() raises."""
    if refusal.code not in _SIGNERS:
        raise refusal
    taken = 0
    while taken < _DOCUMENTS and (yield from _follow(config)):
        taken += 1
    if not taken:
        raise refusal


def _follow(config: dict):
    # Steps that install the document after the board's own, and return whether there is one. A generator for each: what it
    # holds, TLS too, is free for the next connection.
    from ..net import link, url  # the one thing here that is not about what was signed

    n = keys.load(config["keys"])[0] + 1
    try:
        response = yield from link.fetch(config, url.join(config["url"], f"trust/{n}.json"))
    except OtaError as e:
        if e.code != "http-status" or e.detail not in _NOT_THERE:
            raise
        return False
    _take((yield from response.read(envelope.MOST + 1)), n, config)
    say("trust", n)
    return True


def _take(raw: bytes, n: int, config: dict) -> None:
    try:
        _install(raw, n, config)
    except OtaError as e:
        raise OtaError("trust-signature" if e.code in _SIGNERS else "trust-invalid", f"{n} {e}")
    except OSError as e:
        raise OtaError("trust-write", e)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise OtaError("trust-invalid", n)


def _install(raw: bytes, n: int, config: dict) -> None:
    # Each file is whole before it takes its name, the keys' last: power may go anywhere.
    path = config["keys"]
    document = envelope.open_envelope(raw, keys.load(path, "root"), PAYLOAD_TYPE)
    held = _held(document, n, config["product"])
    root = held["root"]
    own = {keyid: int(held["keys"][keyid], 16) for keyid in root["keys"]}
    envelope.open_envelope(raw, (n, own, root["threshold"]), PAYLOAD_TYPE)
    _write(path + ".new", json.dumps(held))
    ca = document.get("ca")
    if ca and config["ca"]:  # with it and the old keys, the next look gets here again
        _write(config["ca"] + ".new", ca)
        os.rename(config["ca"] + ".new", config["ca"])
    os.rename(path + ".new", path)


def _write(path: str, text: str) -> None:
    with open(path, "w") as f:
        f.write(text)


def _held(document: dict, n: int, product: str) -> dict:
    # The document as keys.json has it, all of it checked.
    require(document["version"] == n, "version", document["version"])
    require(document["product"] == product, "product", document["product"])
    require(len(document["keys"]) <= _KEYS, "keys")
    require(fits(document.get("ca"), (str, None), 1, envelope.MOST), "ca")
    held: dict = {"version": n, "keys": {keyid: _modulus(keyid, text) for keyid, text in document["keys"].items()}}
    for role in ("root", "release"):
        named, threshold = set(document[role]["keys"]), document[role]["threshold"]
        require(named <= set(held["keys"]) and fits(threshold, (int,), 1, len(named)), role)
        held[role] = {"keys": list(named), "threshold": threshold}
    return held


def _modulus(keyid: str, text: str) -> str:
    # In hex. The name must be the Secure Boot V2 digest of the key: so none goes by two names. Source: ESP-IDF esp_rom
    # secure_boot.h (ets_secure_boot_sig_block_t): modulus, exponent, and two constants of Montgomery's, little-endian.
    raw = binascii.a2b_base64(text)
    n = int.from_bytes(raw, "big")
    require(len(raw) == _SIZE and raw[0] & 0x80 and n & 1, "modulus", keyid[:16])
    inverse = 1  # of -n, modulo 2**32
    for _ in range(5):  # Newton's iteration: twice as many bits each time
        inverse = inverse * (2 + n * inverse) & 0xFFFFFFFF
    parts = ((n, _SIZE), (65537, 4), (pow(2, 16 * _SIZE, n), _SIZE), (inverse, 4))
    digest = hashlib.sha256(b"".join([number.to_bytes(size, "little") for number, size in parts])).digest()
    require(digest.hex() == keyid, "keyid", keyid[:16])
    return raw.hex()
