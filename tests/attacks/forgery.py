"""Envelopes and payloads that no tool of ours would make."""

import base64
import json
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from otactl.release import channels
from otactl.release.envelope import PAYLOAD_TYPE, pae
from otactl.workspace import keys
from rig import NEW

_RAW = "<raw>"


def payload(sequence: int, data: bytes = NEW, **changes: Any) -> dict[str, Any]:
    """A release for the boards of tests/rig.py. target__NAME changes its target; a change of None takes it away."""
    target: dict[str, Any] = {
        "kind": "firmware",
        "chip": "esp32",
        "url": "forged/esp32.bin",
        "size": len(data),
        "sha256": sha256(data).hexdigest(),
    }
    made: dict[str, Any] = {
        "schema": 1,
        "product": "demo",
        "version": "6.6.6",
        "sequence": sequence,
        "security_version": 0,
        "published": channels.now(),
        "targets": [target],
    }
    for name, value in changes.items():
        where, key = (target, name[8:]) if name.startswith("target__") else (made, name)
        where[key] = value
        if value is None:
            del where[key]
    return made


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
