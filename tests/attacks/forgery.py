"""Envelopes and payloads that no tool of ours would make."""

import base64
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from otactl.release.envelope import PAYLOAD_TYPE, pae
from otactl.workspace import keys
from rig import NEW, forged

_RAW = "<raw>"


def payload(sequence: int, data: bytes = NEW, **changes: Any) -> dict[str, Any]:
    """A release for the boards of tests/rig.py, as its forged()."""
    return forged(data, sequence=sequence, **changes)


def body(sequence: int, field: str, text: str) -> bytes:
    """A payload's bytes whose `field` (target__NAME: its target's) is `text`, which need not be JSON."""
    made = payload(**{"sequence": sequence, field: _RAW})
    return json.dumps(made).replace(json.dumps(_RAW), text).encode()


def signed(key: rsa.RSAPrivateKey, message: bytes, keyid: str | None = None) -> dict[str, Any]:
    """An entry of `signatures`: `message` as it is, under another name if `keyid` gives one."""
    name = keys.keyid(key.public_key()) if keyid is None else keyid
    return {"keyid": name, "sig": base64.b64encode(keys.sign(key, message)).decode()}


def envelope(content: bytes, signatures: object, **changes: Any) -> bytes:
    """An envelope round `content` with these signatures, whatever they are."""
    made = {"payload": base64.b64encode(content).decode(), "payloadType": PAYLOAD_TYPE, "signatures": signatures}
    return json.dumps({**made, **changes}).encode()


def sealed(content: bytes, key: rsa.RSAPrivateKey) -> bytes:
    """An envelope round `content`, well signed."""
    return envelope(content, [signed(key, pae(PAYLOAD_TYPE, content))])
