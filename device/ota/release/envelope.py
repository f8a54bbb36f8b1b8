"""A signed envelope. It is DSSE (github.com/secure-systems-lab/dsse, protocol.md): the signature covers the payload's
exact bytes, so nothing is parsed as a release before a known key has vouched for it."""

import binascii
import hashlib
import json

from ..config import fits
from ..errors import OtaError, require
from . import signature

MOST = 8192  # bytes
PAYLOAD_TYPE = "application/vnd.micropython-ota.release+json"
# What JSON of an attacker's may end in: nesting without end takes all the memory or all the stack.
_BAD_JSON = (ValueError, TypeError, KeyError, AttributeError, IndexError, RuntimeError, MemoryError)


def open_envelope(raw: bytes, keys: "dict[str, int]") -> dict:
    """The payload of an envelope that one of `keys` (keyid -> modulus) signed. Raises OtaError: envelope-too-big,
    envelope-not-json, envelope-type, unknown-key, bad-signature, schema."""
    require(len(raw) <= MOST, "envelope-too-big", len(raw))
    try:
        envelope = json.loads(raw)
        kind = envelope["payloadType"]
        body = binascii.a2b_base64(envelope["payload"])
        signatures = [(s["keyid"].lower(), s["sig"]) for s in envelope["signatures"]]
    except _BAD_JSON:
        raise OtaError("envelope-not-json")
    require(kind == PAYLOAD_TYPE, "envelope-type")  # what it is instead nobody has signed
    del envelope
    digest = hashlib.sha256(f"DSSEv1 {len(kind)} {kind} {len(body)} ".encode() + body).digest()
    refusal = OtaError("unknown-key", signatures[0][0][:16] if signatures else "none")
    for keyid, sig in signatures:  # one good one will do: an old key's may stand beside a new's
        if keyid in keys:
            refusal = OtaError("bad-signature", keyid[:16])
            try:
                if signature.verify_pss(keys[keyid], digest, binascii.a2b_base64(sig)):
                    return _payload(body)
            except (ValueError, TypeError):
                pass  # not base64: as good as wrong
    raise refusal


def _payload(body: bytes) -> dict:
    try:
        payload = json.loads(body)
        require(fits(payload["schema"], (int,), 1, 1), "schema", payload["schema"])
        return payload
    except _BAD_JSON:
        raise OtaError("schema", "none")
