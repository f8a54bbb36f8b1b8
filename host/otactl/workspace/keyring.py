"""The keys of a workspace: the one that signs, and those that boards are told to trust.

An old private key is only ever renamed. A new public one reaches boards by `deploy`, over the cable, as everything that they
trust by: a release signed with a key that a board does not have yet is refused there (`unknown-key`).
"""

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from otactl.errors import UsageError
from otactl.files import read_named, write_atomic
from otactl.workspace import keys
from otactl.workspace import trust as trust_documents
from otactl.workspace.workspace import Workspace

_SHORT = 8  # digits of a keyid in a file's name


@dataclass(frozen=True, slots=True)
class Held:
    """One key: `file` that it is in, whether boards get it at the next deploy, whether it signs releases."""

    keyid: str
    file: Path
    trusted: bool
    signs: bool


@dataclass(frozen=True, slots=True)
class Role:
    """`keys`: those of the role, by keyid. `threshold`: how many of them have to sign."""

    keys: dict[str, rsa.RSAPublicKey]
    threshold: int


def held(place: Workspace) -> list[Held]:
    """The keys that boards are told to trust, and the one that signs though they are not. Raises UsageError."""
    signer = keys.keyid(keys.public_half(place.key_file)) if place.key_file.exists() else ""
    found: dict[str, Held] = {}
    for path in sorted(place.trusted.glob(f"*{keys.PUBLIC_SUFFIX}")):
        for key in keys.public(path):
            name = keys.keyid(key)
            found.setdefault(name, Held(name, path, trusted=True, signs=name == signer))
    for path in sorted(place.trusted.glob("*.pem")):
        name = keys.keyid(keys.public_half(path))
        alone = keys.is_trusted_alone(path)  # then deploy takes the public half from it
        if alone or name == signer or not keys.public_file(path).exists():
            found.setdefault(name, Held(name, path, trusted=alone, signs=name == signer))
    return list(found.values())


def signer(place: Workspace) -> rsa.RSAPrivateKey:
    """The key that signs. Raises UsageError where it is missing, or boards are told to trust only others."""
    key = keys.load(place.key_file)
    _require_trusted(place, key.public_key())
    return key


def check_signer(place: Workspace) -> None:
    """Raises as signer(), and asks for no passphrase: of an encrypted key the public half is believed."""
    _require_trusted(place, keys.public_half(place.key_file))


def unlock(place: Workspace) -> None:
    """Ask for the passphrase of the key that signs, where it has one, before bars move. Raises UsageError."""
    if place.key_file.exists() and keys.is_encrypted(place.key_file):
        keys.load(place.key_file)


def _require_trusted(place: Workspace, key: rsa.RSAPublicKey) -> None:
    if keys.keyid(key) not in release_role(place).keys:
        raise UsageError(
            f"{place.key_file} is not among the keys that boards trust ({place.trusted / '*'}{keys.PUBLIC_SUFFIX}): they "
            f"would refuse the release (unknown-key). Put the old key back, or `otactl keys trust {shlex.quote(str(place.key_file))}` and "
            "`otactl deploy` to each board by cable"
        )


def release_role(place: Workspace) -> Role:
    """Who may sign releases, by what boards are told. Raises UsageError."""
    found = trust_documents.current(place)
    return Role(found.of("release"), found.release.threshold)


def signers(place: Workspace, more: Sequence[Path] = (), *, enough: bool = True) -> list[rsa.RSAPrivateKey]:
    """The key that signs, and those in the files `more`. `enough`: as many as boards ask for.

    Raises UsageError where one of them may sign no release, or they are fewer than that.
    """
    role = release_role(place)
    found = {}
    for path in more:
        key = keys.load(path)
        if keys.keyid(key.public_key()) not in role.keys:
            raise UsageError(f"{path} may sign no release: boards are not told to trust it; see `otactl keys list`")
        found[keys.keyid(key.public_key())] = key
    if place.key_file.exists() or not found:
        key = signer(place)
        found = {keys.keyid(key.public_key()): key} | found
    if enough and len(found) < role.threshold:
        raise UsageError(
            f"boards ask for {role.threshold} signatures, here are {len(found)}: `otactl publish` prepares a release that "
            "the others sign, in their turn"
        )
    return list(found.values())


def new(place: Workspace) -> Held:
    """A new key to sign with. The old one is kept beside it under another name, and boards go on trusting it.

    Raises UsageError where the old key is damaged, or its new name is taken.
    """
    path = place.key_file
    with place.publishing():
        if path.exists():
            old = keys.load(path)
            beside = path.with_name(f"{path.stem}-{keys.keyid(old.public_key())[:_SHORT]}{path.suffix}")
            if beside.exists():
                raise UsageError(f"{beside} is in the way, {path} would get that name: move one of them")
            # its public half first: what boards trust must not get less, wherever this is broken off
            write_atomic(keys.public_file(beside), keys.for_board([old.public_key()]).encode())
            os.rename(path, beside)
        key = keys.generate(path)
    return Held(keys.keyid(key.public_key()), path, trusted=True, signs=True)


def trust(place: Workspace, file: Path) -> Held:
    """Have boards trust the keys in `file` too: a PEM, public or private, a *.pub.json, or a board's keys.json.

    Raises UsageError where that is no key which boards can verify with. Nothing but public keys is copied.
    """
    found = read(file)
    before = {one.keyid: one for one in held(place) if one.trusted}
    for key in found:
        name = keys.keyid(key)
        if name not in before:
            target = place.trusted / f"trusted-{name[:_SHORT]}{keys.PUBLIC_SUFFIX}"
            write_atomic(target, keys.for_board([key]).encode())
    name = keys.keyid(found[0])
    return next(one for one in held(place) if one.keyid == name)


def read(file: Path) -> list[rsa.RSAPublicKey]:
    """The public halves in a file that a person named: see trust(). Raises UsageError."""
    data = read_named(file)
    if b"PRIVATE KEY" in data:
        return [keys.load(file).public_key()]
    if b"-----BEGIN" not in data:
        found = keys.public(file)
        if not found:
            raise UsageError(f"{file} holds no key")
        return found
    try:
        key = serialization.load_pem_public_key(data)
    except ValueError as error:
        raise UsageError(f"{file} is not a PEM public key: {error}") from None
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size != keys.BITS:
        raise UsageError(f"{file} is not an RSA-{keys.BITS} key; boards verify no other kind")
    if key.public_numbers().e != keys.EXPONENT:
        raise UsageError(f"{file} has a public exponent other than {keys.EXPONENT}: boards refuse it")
    return [key]
