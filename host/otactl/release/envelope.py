"""Signed releases: a DSSE envelope round a JSON payload.

Source: github.com/secure-systems-lab/dsse, envelope.md and protocol.md. The signature covers the
payload's exact bytes and its type, so nothing is parsed as a release before a key vouched for it.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from otactl.errors import ReleaseError
from otactl.workspace import keys

PAYLOAD_TYPE = "application/vnd.micropython-ota.release+json"
MAX_SIZE = 8192  # bytes; boards read no more


def pae(kind: str, body: bytes) -> bytes:
    """DSSE's pre-authentication encoding: what is signed."""
    name = kind.encode()
    return b"DSSEv1 %d %s %d %s" % (len(name), name, len(body), body)


def encoded(payload: dict[str, Any]) -> bytes:
    """The payload's bytes, as they are signed."""
    # no \u escapes: MicroPython makes no one character of a pair, and a product must be as in its config.json
    return json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def seal(payload: dict[str, Any], signers: Sequence[rsa.RSAPrivateKey]) -> bytes:
    """The envelope's bytes. Raises ReleaseError where a board would not read that much."""
    content = encoded(payload)
    return wrap(content, sign(content, signers))


def sign(content: bytes, signers: Sequence[rsa.RSAPrivateKey]) -> dict[str, bytes]:
    """keyid -> signature of each signer over a release's payload."""
    message = pae(PAYLOAD_TYPE, content)
    return {keys.keyid(signer.public_key()): keys.sign(signer, message) for signer in signers}


def wrap(content: bytes, signatures: Mapping[str, bytes]) -> bytes:
    """The envelope round a payload and its signatures, by keyid. Raises ReleaseError where a board would not read that much."""
    envelope = {
        "payload": base64.b64encode(content).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [
            {"keyid": name, "sig": base64.b64encode(signature).decode()} for name, signature in signatures.items()
        ],
    }
    data = json.dumps(envelope, indent=1).encode() + b"\n"
    if len(data) > MAX_SIZE:
        raise ReleaseError(
            f"the release file would have {len(data)} bytes, boards read {MAX_SIZE}: "
            "publish fewer targets in one release"
        )
    return data


def unseal(data: bytes, trusted: Sequence[rsa.RSAPublicKey]) -> dict[str, Any]:
    """The payload, if one of `trusted` signed it. Raises ReleaseError."""
    try:
        envelope = json.loads(data)
        kind = envelope["payloadType"]
        body = base64.b64decode(envelope["payload"], validate=True)
        signatures = [(s["keyid"], base64.b64decode(s["sig"], validate=True)) for s in envelope["signatures"]]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ReleaseError("not a signed release: its JSON is damaged") from None
    if kind != PAYLOAD_TYPE:
        raise ReleaseError(f"not a release, but a signed {str(kind)[:64]!r}")
    known = {keys.keyid(key): key for key in trusted}
    message = pae(kind, body)
    for name, signature in signatures:
        if name in known and keys.verify(known[name], signature, message):
            return _payload(body)
    if any(name in known for name, _ in signatures):
        raise ReleaseError("the release's signature is wrong: it was altered after it was signed")
    raise ReleaseError("the release is not signed by a key of this workspace")


def _payload(body: bytes) -> dict[str, Any]:
    try:
        payload = json.loads(body)
    except ValueError:
        payload = None
    if not isinstance(payload, dict):
        raise ReleaseError("the signed payload is no release: it is not a JSON object")
    return payload
