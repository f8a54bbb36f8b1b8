"""Releases that wait for a signature made elsewhere: by an HSM, a CI secret, a second person.

releases/VERSION/payload.json is what is to be signed, payload.dsse the exact bytes that the signature is over (DSSE's
pre-authentication encoding), signatures.json what has come of several. The sequence is taken meanwhile.
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from otactl.errors import ReleaseError, UsageError
from otactl.files import read_named, write_atomic
from otactl.release import channels, encrypted, envelope, ledger
from otactl.words import reason
from otactl.workspace import keyring, keys
from otactl.workspace.workspace import Workspace

PAYLOAD, TO_SIGN, _SIGNATURES = "payload.json", "payload.dsse", "signatures.json"
_SIZE = keys.BITS // 8


@dataclass(frozen=True, slots=True)
class Pending:
    """`content`: the payload's bytes; `signatures`: those that are there already, by keyid."""

    version: str
    sequence: int
    content: bytes
    signatures: dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Attached:
    """`by`: the keyids that came to it now; `waits`: for so many more. At 0 the channel names the release."""

    version: str
    sequence: int
    channel: str
    by: list[str]
    waits: int


def require_room(content: bytes, signatures: int) -> None:
    """Raises ReleaseError where a release with so many signatures is more than a board reads."""
    envelope.wrap(content, {f"{number:064x}": bytes(_SIZE) for number in range(signatures)})


def has_room(content: bytes, signatures: int) -> bool:
    """Whether boards read a release with so many signatures."""
    try:
        require_room(content, signatures)
    except ReleaseError:
        return False
    return True


def write(place: Workspace, version: str, content: bytes, signatures: Mapping[str, bytes]) -> None:
    """Keep a release for its signers."""
    folder = place.releases / version
    _keep(folder, signatures)
    write_atomic(folder / TO_SIGN, envelope.pae(envelope.PAYLOAD_TYPE, content))
    write_atomic(folder / PAYLOAD, content)  # last: it says that the release waits


def every(place: Workspace) -> list[Pending]:
    """All that wait, the lowest sequence first. Raises ReleaseError where one is damaged."""
    found = [of(place, path.parent.name) for path in place.releases.glob(f"*/{PAYLOAD}")]
    return sorted((one for one in found if one), key=lambda one: one.sequence)


def of(place: Workspace, version: str) -> Pending | None:
    """The release of that version, if it waits. Raises ReleaseError where it is damaged."""
    folder = place.releases / version
    if not (folder / PAYLOAD).is_file() or (folder / channels.RELEASE).exists():
        return None
    try:
        content = (folder / PAYLOAD).read_bytes()
        sequence = int(json.loads(content)["sequence"])
        kept = json.loads((folder / _SIGNATURES).read_text()) if (folder / _SIGNATURES).exists() else {}
        signatures = {str(name): base64.b64decode(text, validate=True) for name, text in kept.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ReleaseError(
            f"{folder / PAYLOAD} is damaged ({reason(error)}): remove {folder}, and publish again"
        ) from None
    return Pending(version, sequence, content, signatures)


def advice(place: Workspace, version: str) -> list[str]:
    """A line for each other release that waits, while `version` was made."""
    return [
        f"{one.version} (sequence {one.sequence}) still waits for its signature: boards that take {version} go back to no "
        f"lower sequence, so attach it before {version} is in the channel, or publish it again"
        for one in every(place)
        if one.version != version
    ]


def attach(
    place: Workspace,
    version: str,
    *,
    signature: Path | None = None,
    by: Path | None = None,
    with_keys: Sequence[Path] = (),
) -> Attached:
    """Add a signature to a release that waits; once there are enough, the channel of `place` names it, last.

    `signature`: a file with its 384 bytes, or base64 of them; `by`: the public key that made it, where it shall be no other.
    `with_keys`: private keys to sign with here. Raises ReleaseError, UsageError, and nothing has changed.
    """
    private = [keys.load(path) for path in with_keys]
    with place.publishing():
        found = of(place, version)
        if found is None:
            raise _waits_not(place, version)
        ledger.require(place, json.loads(found.content), place.releases / version / PAYLOAD)
        role = keyring.release_role(place)
        fresh = envelope.sign(found.content, private)
        if signature:
            known = keyring.read(by) if by else list(role.keys.values())
            fresh |= {_signer(found, signature, known): signature_in(signature)}
        if strangers := [name for name in fresh if name not in role.keys]:
            raise ReleaseError(f"boards are not told to trust {strangers[0][:16]} for releases: see `otactl keys list`")
        message = envelope.pae(envelope.PAYLOAD_TYPE, found.content)
        together = {
            name: one
            for name, one in (found.signatures | fresh).items()
            if name in role.keys and keys.verify(role.keys[name], one, message)
        }
        waits = max(0, role.threshold - len(together))
        if waits:
            _keep(place.releases / version, together)
        else:
            _publish(place, found, together)
    return Attached(version, found.sequence, place.channel, list(fresh), waits)


def _waits_not(place: Workspace, version: str) -> UsageError:
    if (place.releases / version / channels.RELEASE).exists():
        return UsageError(
            f"{version} has its signatures already: `otactl releases promote {version} --to {place.channel}` lets a channel "
            "name it, where none does"
        )
    return UsageError(f"no release {version} waits for a signature: `otactl publish --payload-only` makes one")


def signature_in(file: Path) -> bytes:
    """The 384 bytes of a signature, raw or as base64. Raises UsageError."""
    data = read_named(file)
    if len(data) == _SIZE:
        return data
    try:
        decoded = base64.b64decode(b"".join(data.split()), validate=True)
    except binascii.Error:
        decoded = b""
    if len(decoded) != _SIZE:
        raise UsageError(f"{file} is no signature: {_SIZE} bytes as they are, or as base64; it has {len(data)}")
    return decoded


def _signer(found: Pending, signature: Path, known: Sequence[rsa.RSAPublicKey]) -> str:
    """The keyid of the key among `known` that made the signature. Raises ReleaseError."""
    message, raw = envelope.pae(envelope.PAYLOAD_TYPE, found.content), signature_in(signature)
    for key in known:
        if keys.verify(key, raw, message):
            return keys.keyid(key)
    raise ReleaseError(
        f"{signature} is no signature of {found.version} by a key that may sign it: sign the bytes of "
        f"{found.version}/{TO_SIGN} with RSA-PSS, SHA-256, a salt of 32 bytes"
    )


def _publish(place: Workspace, found: Pending, signatures: Mapping[str, bytes]) -> None:
    payload: dict[str, Any] = json.loads(found.content)
    for target in payload["targets"]:
        path = place.releases / target["url"]
        if not path.is_file() or sha256(path.read_bytes()).hexdigest() != encrypted.served(target)[1]:
            raise ReleaseError(f"{path} is missing or not what {found.version} was prepared with: bring it back first")
    newest = channels.current(place)
    if newest and newest["sequence"] >= found.sequence:
        raise ReleaseError(
            f"{place.channel} names {newest['version']} (sequence {newest['sequence']}) meanwhile, and boards go to no lower "
            f"one than that: publish the firmware of {found.version} again, under another version"
        )
    sealed = envelope.wrap(found.content, signatures)
    folder, history = place.releases / found.version, channels.history_of(place)
    write_atomic(folder / channels.RELEASE, sealed)
    channels.name(place, found.version, sealed, history)
    for name in (PAYLOAD, TO_SIGN, _SIGNATURES):
        (folder / name).unlink(missing_ok=True)


def _keep(folder: Path, signatures: Mapping[str, bytes]) -> None:
    if signatures:
        text = {name: base64.b64encode(one).decode() for name, one in signatures.items()}
        write_atomic(folder / _SIGNATURES, json.dumps(text, indent=1).encode() + b"\n")
