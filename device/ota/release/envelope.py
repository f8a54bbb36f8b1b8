"""A signed envelope. It is DSSE (github.com/secure-systems-lab/dsse, protocol.md): the signature covers the payload's
exact bytes, so nothing is parsed as a release before a known key has vouched for it."""

import binascii
import hashlib
import json

from ..errors import OtaError, fits, require
from . import signature

MOST = 8192  # bytes
PAYLOAD_TYPE = "application/vnd.micropython-ota.release+json"
# What JSON of an attacker's may end in: nesting without end takes all the memory or all the stack.
_BAD_JSON = (ValueError, TypeError, KeyError, AttributeError, IndexError, RuntimeError, MemoryError)


def open_envelope(raw: bytes, trusted: tuple, kind: str = PAYLOAD_TYPE) -> dict:
    """The payload of an envelope that enough keys signed of `trusted`. Raises OtaError, as the two have it that this is made of."""
    body, signatures = read(raw, kind)
    return vouched(body, signatures, trusted, kind)


def read(raw: bytes, kind: str = PAYLOAD_TYPE) -> tuple:
    """Body and signatures of an envelope, for vouched(). Raises OtaError: envelope-too-big, envelope-not-json, envelope-type."""
    require(len(raw) <= MOST, "envelope-too-big", len(raw))
    try:
        envelope = json.loads(raw)
        told = envelope["payloadType"]
        body = binascii.a2b_base64(envelope["payload"])
        signatures = [(s["keyid"].lower(), s["sig"]) for s in envelope["signatures"]]
    except _BAD_JSON:
        raise OtaError("envelope-not-json")
    require(told == kind, "envelope-type")  # what it is instead nobody has signed
    return body, signatures


def vouched(body: bytes, signatures: list, trusted: tuple, kind: str = PAYLOAD_TYPE) -> dict:
    """The payload that lies in `body`, if enough keys signed it of `trusted`, which is as keys.load() gives it. A key counts once,
    whatever names it goes by; an old key's signature may stand beside a new's. Raises OtaError: unknown-key, bad-signature,
    too-few-signatures, schema; trust-behind where a release names a newer trust document than that of `trusted`."""
    version, keys, threshold = trusted
    digest = hashlib.sha256(f"DSSEv1 {len(kind)} {kind} {len(body)} ".encode() + body).digest()
    refusal = OtaError("unknown-key", signatures[0][0][:16] if signatures else "none")
    good = []  # the keys that signed: each counts once, whatever names it goes by
    for keyid, sig in signatures:
        n = keys.get(keyid)
        if n and n not in good:
            refusal = OtaError("bad-signature", keyid[:16])
            try:
                if signature.verify_pss(n, digest, binascii.a2b_base64(sig)):
                    good.append(n)
                    refusal = OtaError("too-few-signatures", len(good))
            except (ValueError, TypeError):
                pass  # not base64: as good as wrong
    if len(good) < threshold:
        raise refusal
    return _payload(body, version)


def _payload(body: bytes, version: int) -> dict:
    try:
        payload = json.loads(body)
        newest = payload.get("trust", 1)
        require(fits(payload["schema"], (int,), 1, 1), "schema", payload["schema"])
    except _BAD_JSON:
        raise OtaError("schema", "none")
    require(fits(newest, (int,), 1, version), "trust-behind", newest)
    return payload
