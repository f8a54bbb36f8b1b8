"""Trust documents: which keys boards trust, for what, and how many of them have to sign.

As the root role of The Update Framework (theupdateframework.github.io/specification, 5.3): document N+1 is signed by the
threshold of document N's root keys and by that of its own, and boards take them one after the other. 1 is what a first
deployment brings: the keys of the folder keys/, each with every role, of which one signs alone. The newest document is kept
in keys/trust.json; boards find all of them at releases/trust/N.json. The agent's half is release/trust.py.
"""

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from otactl.errors import ReleaseError, UsageError
from otactl.files import write_atomic
from otactl.words import counted
from otactl.workspace import dsse, keys
from otactl.workspace.workspace import Workspace

PAYLOAD_TYPE = "application/vnd.micropython-ota.trust+json"
MOST_KEYS = 8
MAX_SIZE = dsse.MAX_SIZE  # bytes that boards read
ROLES = ("root", "release")
_KEPT = "trust.json"  # in the folder of the keys
_SIZE = keys.BITS // 8
_MAX_INT = 0x7FFFFFFF
_WHAT = "trust document"


@dataclass(frozen=True, slots=True)
class Role:
    """`threshold` of the keys `keyids` have to sign."""

    keyids: tuple[str, ...]
    threshold: int = 1


@dataclass(frozen=True, slots=True)
class Trust:
    """One document. `keys`: by their keyids. `ca`: PEM, None where boards keep the CA certificates that they have.

    `published`: RFC 3339, UTC; empty in version 1, which is no document.
    """

    version: int
    product: str
    keys: Mapping[str, rsa.RSAPublicKey]
    root: Role
    release: Role
    ca: str | None = None
    published: str = field(default="", compare=False)

    def role(self, name: str) -> Role:
        """ "root" or "release"."""
        return self.root if name == "root" else self.release

    def of(self, name: str) -> dict[str, rsa.RSAPublicKey]:
        """The keys of a role, by their keyids."""
        return {keyid: self.keys[keyid] for keyid in self.role(name).keyids}

    def next_version(self, **changes: Any) -> "Trust":
        """The document after this one, with other fields changed. The CA certificates go along only where they change.

        Raises UsageError where it makes no sense; keys that have no role any more are left out.
        """
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        made = replace(self, **({"ca": None} | changes | {"version": self.version + 1, "published": now}))
        used = {*made.root.keyids, *made.release.keyids}
        made = replace(made, keys={name: key for name, key in made.keys.items() if name in used})
        if fault := _fault(made):
            raise UsageError(f"trust document {made.version}: {fault}")
        return made


def first(place: Workspace) -> Trust:
    """What boards trust by the folder keys/ alone. Raises UsageError."""
    found = {keys.keyid(key): key for key in keys.trusted(place.trusted)}
    every = Role(tuple(found))
    return Trust(1, place.product, found, every, every)


def load(place: Workspace) -> Trust | None:
    """The newest document, None where there is none yet. Raises UsageError where it is damaged.

    One that boards can get already is the newest, also where the run that published it could not keep it: two documents of
    one number would part the boards.
    """
    found = _kept_one(place)
    while (served := folder(place) / f"{found.version + 1 if found else 2}.json").exists():
        try:
            found = verify(served.read_bytes(), found or first(place))
        except (OSError, ReleaseError, UsageError):  # somebody else's
            break
    return found


def _kept_one(place: Workspace) -> Trust | None:
    path = kept(place)
    try:
        return read(path.read_bytes()) if path.exists() else None
    except (OSError, ReleaseError) as error:
        raise UsageError(
            f"{path} is damaged ({error}): copy the file of the highest number in {folder(place)} there"
        ) from None


def current(place: Workspace) -> Trust:
    """The newest document, or version 1. Raises UsageError."""
    return load(place) or first(place)


def kept(place: Workspace) -> Path:
    """Where the workspace has its newest document."""
    return place.trusted / _KEPT


def folder(place: Workspace) -> Path:
    """Where boards find all of them."""
    return place.releases / "trust"


def content(trust: Trust) -> bytes:
    """The payload's bytes; with dsse.pae(PAYLOAD_TYPE, …) about them they are what is signed."""
    payload: dict[str, Any] = {
        "schema": 1,
        "product": trust.product,
        "version": trust.version,
        "published": trust.published,
        "keys": {name: base64.b64encode(_modulus(key)).decode() for name, key in trust.keys.items()},
    }
    for name in ROLES:
        payload[name] = {"keys": list(trust.role(name).keyids), "threshold": trust.role(name).threshold}
    return dsse.encoded(payload | ({"ca": trust.ca} if trust.ca else {}))


def sign(trust: Trust, signers: Iterable[rsa.RSAPrivateKey], sealed: bytes | None = None) -> bytes:
    """The document with these signatures, and those that are in `sealed` already: of this very document, half signed."""
    whole, signatures = content(trust), {}
    if sealed:
        whole, before = dsse.unwrap(sealed, PAYLOAD_TYPE, _WHAT)
        signatures = dict(before)
    return dsse.wrap(PAYLOAD_TYPE, whole, signatures | dsse.sign(PAYLOAD_TYPE, whole, signers))


def missing(sealed: bytes, before: Trust) -> dict[str, Role]:
    """Whose signatures a document lacks yet: "before" of the root keys of document `before`, "own" of its own: the keys that
    have not signed, and how many of these have to. Empty: boards take it. Raises ReleaseError."""
    whole, signatures = dsse.unwrap(sealed, PAYLOAD_TYPE, _WHAT)
    found = {}
    for name, trust in (("before", before), ("own", read(sealed))):
        signed = dsse.signed_by(PAYLOAD_TYPE, whole, signatures, trust.of("root"))
        lacking = trust.root.threshold - len(signed)
        if lacking > 0:
            found[name] = Role(tuple(one for one in trust.root.keyids if one not in signed), lacking)
    return found


def verify(sealed: bytes, before: Trust) -> Trust:
    """The document, if a board that has `before` would take it. Raises ReleaseError."""
    if len(sealed) > MAX_SIZE:
        raise ReleaseError(
            f"the trust document would have {len(sealed)} bytes, boards read {MAX_SIZE}: trust fewer keys, or fewer CAs"
        )
    found = read(sealed)
    if found.version != before.version + 1:
        raise ReleaseError(
            f"trust document {found.version} does not follow {before.version}: boards take each in its turn"
        )
    if found.product != before.product:
        raise ReleaseError(f"a trust document of {found.product}, not of {before.product}")
    lacks = missing(sealed, before)
    for name, whose in (("before", f"root keys of version {before.version}"), ("own", "its own root keys")):
        if name in lacks:
            names = ", ".join(keyid[:16] for keyid in lacks[name].keyids)
            raise ReleaseError(
                f"trust document {found.version} lacks {lacks[name].threshold} more signature(s) of the {whose} ({names})"
            )
    return found


def seal(trust: Trust, before: Trust, signers: Iterable[rsa.RSAPrivateKey]) -> bytes:
    """The document, signed, as boards that have `before` take it. Raises ReleaseError."""
    sealed = sign(trust, signers)
    verify(sealed, before)
    return sealed


def publish(place: Workspace, sealed: bytes, before: Trust | None = None) -> Trust:
    """Let boards find the next document, and keep it as the newest. `before`: what they have (default: the newest).

    Raises ReleaseError where they would refuse it, UsageError; then nothing has changed.
    """
    found, ca = verify(sealed, before or current(place)), newest_ca(place)
    folder(place).mkdir(parents=True, exist_ok=True)
    write_atomic(folder(place) / f"{found.version}.json", sealed)
    if found.ca or ca:
        write_atomic(_kept_ca(place), (found.ca or ca or "").encode())
    write_atomic(kept(place), sealed)
    return found


def newest_ca(place: Workspace) -> str | None:
    """The CA certificates that the last document brought that had any, PEM, as kept here: who has the server can put others among
    the documents. None: none did, or it was before these were kept. Raises UsageError."""
    newest = load(place)
    if newest and newest.ca:
        return newest.ca
    try:
        return _kept_ca(place).read_text() if newest else None
    except FileNotFoundError:
        return None


def forget(place: Workspace) -> None:
    """There is no document any more: what boards trust is for the folder keys/ to say."""
    for path in (kept(place), _kept_ca(place)):
        path.unlink(missing_ok=True)


def _kept_ca(place: Workspace) -> Path:
    return place.trusted / "trust-ca.crt"


def entry(place: Workspace) -> dict[str, int]:
    """What a release says of the newest document, so that boards look for it. Raises UsageError."""
    found = load(place)
    return {"trust": found.version} if found else {}


def read(sealed: bytes) -> Trust:
    """A document, whoever has signed it. Raises ReleaseError."""
    whole, _ = dsse.unwrap(sealed, PAYLOAD_TYPE, _WHAT)
    try:
        raw = json.loads(whole)
        if raw["schema"] != 1:
            raise ReleaseError(f"a trust document of schema {raw['schema']!r}: install a newer otactl")
        roles = {name: Role(tuple(raw[name]["keys"]), raw[name]["threshold"]) for name in ROLES}
        moduli = {name: int.from_bytes(base64.b64decode(text, validate=True)) for name, text in raw["keys"].items()}
        public = {name: rsa.RSAPublicNumbers(keys.EXPONENT, n).public_key() for name, n in moduli.items()}
        found = Trust(
            raw["version"], raw["product"], public, roles["root"], roles["release"], raw.get("ca"), raw["published"]
        )
        fault = _fault(found)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ReleaseError(f"a trust document that is damaged: {error!r}") from None
    if fault:
        raise ReleaseError(f"trust document {found.version}: {fault}")
    return found


def for_board(trust: Trust) -> str:
    """keys.json, as the agent's release/keys.py reads it."""
    if trust.version == 1:
        return keys.for_board(trust.keys.values())
    held: dict[str, Any] = {
        "version": trust.version,
        "keys": {name: _modulus(key).hex() for name, key in trust.keys.items()},
    }
    for name in ROLES:
        held[name] = {"keys": list(trust.role(name).keyids), "threshold": trust.role(name).threshold}
    return json.dumps(held, indent=1) + "\n"


def _modulus(key: rsa.RSAPublicKey) -> bytes:
    return key.public_numbers().n.to_bytes(_SIZE, "big")


def _fault(trust: Trust) -> str:
    """What boards would not take, in words; empty: nothing."""
    if not (type(trust.version) is int and 2 <= trust.version <= _MAX_INT):
        return f"a version is a number from 2 to {_MAX_INT}"
    if not 0 < len(trust.keys) <= MOST_KEYS:
        return f"{len(trust.keys)} keys: 1 to {MOST_KEYS}"
    for name, key in trust.keys.items():
        if key.key_size != keys.BITS or keys.keyid(key) != name:
            return f"a key does not belong to its keyid {name[:16]}…"
    for name in ROLES:
        role = trust.role(name)
        if set(role.keyids) - set(trust.keys) or len(set(role.keyids)) < len(role.keyids):
            return f"the role {name} names a key that is not there, or one twice"
        if not (type(role.threshold) is int and 1 <= role.threshold <= len(role.keyids)):
            return f"{role.threshold} of {counted(len(role.keyids), 'key')} cannot sign for the role {name}: give it more keys first"
    return _fault_of_ca(trust.ca) if trust.ca else ""


def _fault_of_ca(pem: str) -> str:
    try:
        x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        return "`ca` holds no certificates as PEM"
    return ""
