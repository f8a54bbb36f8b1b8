"""Trust documents for tests: good ones, and those that the host's library would never sign."""

import base64
import json
from functools import lru_cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from otactl.workspace import dsse, keys, trust
from otactl.workspace.trust import Role, Trust


@lru_cache
def private(name: str) -> rsa.RSAPrivateKey:
    """A key of that name: the same for all tests of a process."""
    return rsa.generate_private_key(public_exponent=keys.EXPONENT, key_size=keys.BITS)


class Ring:
    """Keys by names of one letter; `known`: those that are there already."""

    def __init__(self, product: str = "demo", **known: rsa.RSAPrivateKey) -> None:
        self._product, self._known = product, known

    def __getitem__(self, name: str) -> rsa.RSAPrivateKey:
        return self._known.get(name) or private(name)

    def keyid(self, name: str) -> str:
        return keys.keyid(self[name].public_key())

    def role(self, names: str, threshold: int = 1) -> Role:
        return Role(tuple(self.keyid(name) for name in names), threshold)

    def document(self, version: int, root: str, release: str, m: int = 1, n: int = 1, **more: Any) -> Trust:
        """Document `version`: `m` of the keys `root`, one letter each, and `n` of the keys `release`."""
        every = {self.keyid(name): self[name].public_key() for name in dict.fromkeys(root + release)}
        fields = {"product": self._product, "published": "2026-11-27T00:00:00Z"} | more
        return Trust(version=version, keys=every, root=self.role(root, m), release=self.role(release, n), **fields)

    def signed(self, document: Trust, by: str) -> bytes:
        """The document's envelope, signed by these keys and held against nothing."""
        return trust.sign(document, [self[name] for name in by])

    def forged(self, document: Trust, by: str, kind: str = trust.PAYLOAD_TYPE, **changes: Any) -> bytes:
        """The same with fields of its payload changed; None takes one away."""
        payload = json.loads(trust.content(document)) | changes
        content = json.dumps({name: value for name, value in payload.items() if value is not None}).encode()
        return dsse.wrap(kind, content, dsse.sign(kind, content, [self[name] for name in by]))


def twice(envelope: bytes) -> bytes:
    """An envelope with each of its signatures once more."""
    raw = json.loads(envelope)
    return json.dumps(raw | {"signatures": raw["signatures"] * 2}).encode()


def altered(envelope: bytes) -> bytes:
    """An envelope whose payload is not the one that was signed."""
    raw = json.loads(envelope)
    payload = json.loads(base64.b64decode(raw["payload"]))
    content = json.dumps(payload | {"published": "2027-01-01T00:00:00Z"}).encode()
    return json.dumps(raw | {"payload": base64.b64encode(content).decode()}).encode()
