"""Signed releases: DSSE envelopes (github.com/secure-systems-lab/dsse) round a JSON payload."""

import base64
import binascii
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from otactl import keys
from otactl.errors import ReleaseError

PAYLOAD_TYPE = "application/vnd.micropython-ota.release+json"
MAX_SIZE = 8192  # bytes; boards read no more


def pae(kind: str, body: bytes) -> bytes:
    """DSSE's pre-authentication encoding: what is signed."""
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(body), body)


def seal(payload: dict[str, Any], signers: list[rsa.RSAPrivateKey]) -> bytes:
    """The envelope's bytes. Raises ReleaseError where a board would not read that much."""
    body = json.dumps(payload, sort_keys=True, separators=(",", ":")).encode()
    message = pae(PAYLOAD_TYPE, body)
    envelope = {
        "payload": base64.b64encode(body).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [
            {
                "keyid": keys.keyid(signer.public_key()),
                "sig": base64.b64encode(keys.sign(signer, message)).decode(),
            }
            for signer in signers
        ],
    }
    data = json.dumps(envelope, indent=1).encode() + b"\n"
    if len(data) > MAX_SIZE:
        raise ReleaseError(f"the release file would have {len(data)} bytes, boards read {MAX_SIZE}: fewer targets")
    return data


def unseal(data: bytes, trusted: list[rsa.RSAPublicKey]) -> dict[str, Any]:
    """The payload, if one of `trusted` signed it. Raises ReleaseError."""
    try:
        envelope = json.loads(data)
        body = base64.b64decode(envelope["payload"], validate=True)
        message = pae(envelope["payloadType"], body)
        signatures = {s["keyid"]: base64.b64decode(s["sig"], validate=True) for s in envelope["signatures"]}
    except (ValueError, KeyError, TypeError, binascii.Error):
        raise ReleaseError("not a signed release: its JSON is damaged") from None
    for key in trusted:
        if (found := signatures.get(keys.keyid(key))) and keys.verify(key, found, message):
            payload: dict[str, Any] = json.loads(body)
            return payload
    raise ReleaseError("the release is not signed by this workspace's key")
