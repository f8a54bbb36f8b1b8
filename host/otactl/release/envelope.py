"""Signed releases: a DSSE envelope (workspace/dsse.py) round a JSON payload.

The signature covers the payload's exact bytes and its type, so nothing is parsed as a release before a key vouched for it.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from otactl.errors import ReleaseError
from otactl.workspace import dsse, keys
from otactl.workspace.dsse import MAX_SIZE, encoded, pae

__all__ = ["MAX_SIZE", "PAYLOAD_TYPE", "encoded", "pae", "seal", "sign", "unseal", "wrap"]

PAYLOAD_TYPE = "application/vnd.micropython-ota.release+json"


def seal(payload: dict[str, Any], signers: Sequence[rsa.RSAPrivateKey]) -> bytes:
    """The envelope's bytes. Raises ReleaseError where a board would not read that much."""
    content = encoded(payload)
    return wrap(content, sign(content, signers))


def sign(content: bytes, signers: Sequence[rsa.RSAPrivateKey]) -> dict[str, bytes]:
    """keyid -> signature of each signer over a release's payload."""
    return dsse.sign(PAYLOAD_TYPE, content, signers)


def wrap(content: bytes, signatures: Mapping[str, bytes]) -> bytes:
    """The envelope round a payload and its signatures, by keyid. Raises ReleaseError where a board would not read that much."""
    data = dsse.wrap(PAYLOAD_TYPE, content, signatures)
    if len(data) > MAX_SIZE:
        raise ReleaseError(
            f"the release file would have {len(data)} bytes, boards read {MAX_SIZE}: "
            "publish fewer targets in one release"
        )
    return data


def unseal(data: bytes, trusted: Sequence[rsa.RSAPublicKey]) -> dict[str, Any]:
    """The payload, if one of `trusted` signed it. Raises ReleaseError."""
    content, signatures = dsse.unwrap(data, PAYLOAD_TYPE, "release")
    known = {keys.keyid(key): key for key in trusted}
    if dsse.signed_by(PAYLOAD_TYPE, content, signatures, known):
        return _payload(content)
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
