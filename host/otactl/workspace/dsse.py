"""DSSE envelopes: a payload of some type, and signatures over both.

Source: github.com/secure-systems-lab/dsse, envelope.md and protocol.md. The type is signed with the payload, so that what
was signed as one thing never passes for another.
"""

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from otactl.errors import ReleaseError
from otactl.workspace import keys

MAX_SIZE = 8192  # bytes; boards read no more


def encoded(payload: Mapping[str, Any]) -> bytes:
    """The payload's bytes, as they are signed."""
    # no \u escapes: MicroPython makes no one character of a pair, and a product must be as in its config.json
    return json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def pae(kind: str, content: bytes) -> bytes:
    """DSSE's pre-authentication encoding: what is signed."""
    name = kind.encode()
    return b"DSSEv1 %d %s %d %s" % (len(name), name, len(content), content)


def sign(kind: str, content: bytes, signers: Iterable[rsa.RSAPrivateKey]) -> dict[str, bytes]:
    """keyid -> signature of each signer over a payload of the type `kind`."""
    message = pae(kind, content)
    return {keys.keyid(signer.public_key()): keys.sign(signer, message) for signer in signers}


def wrap(kind: str, content: bytes, signatures: Mapping[str, bytes]) -> bytes:
    """The envelope round a payload and its signatures, by keyid; it may be larger than boards read."""
    envelope = {
        "payload": base64.b64encode(content).decode(),
        "payloadType": kind,
        "signatures": [
            {"keyid": name, "sig": base64.b64encode(signature).decode()} for name, signature in signatures.items()
        ],
    }
    return json.dumps(envelope, indent=1).encode() + b"\n"


def unwrap(data: bytes, kind: str, what: str) -> tuple[bytes, list[tuple[str, bytes]]]:
    """The payload, which nobody has vouched for yet, and the signatures: (keyid, bytes).

    `what`: what is asked for, in words. Raises ReleaseError where it is no envelope, or of another type.
    """
    try:
        envelope = json.loads(data)
        found = envelope["payloadType"]
        content = base64.b64decode(envelope["payload"], validate=True)
        signatures = [(s["keyid"].lower(), base64.b64decode(s["sig"], validate=True)) for s in envelope["signatures"]]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ReleaseError(f"not a signed {what}: its JSON is damaged") from None
    if found != kind:
        raise ReleaseError(f"not a {what}, but a signed {str(found)[:64]!r}")
    return content, signatures


def signed_by(
    kind: str, content: bytes, signatures: Iterable[tuple[str, bytes]], trusted: Mapping[str, rsa.RSAPublicKey]
) -> set[str]:
    """The keyids of those `trusted` (keyid -> key) that have signed. A key counts once."""
    message = pae(kind, content)
    return {
        name for name, signature in signatures if name in trusted and keys.verify(trusted[name], signature, message)
    }
