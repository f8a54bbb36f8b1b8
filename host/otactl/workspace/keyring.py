"""The keys of a workspace: what each may sign, which private halves are here, and the one that signs releases.

What boards trust is the newest trust document's to say (trust.py); where there is none yet, the folder keys/: each of its keys
with every role.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from otactl.errors import UsageError
from otactl.files import read_named
from otactl.workspace import keys, trust
from otactl.workspace.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Held:
    """One key. `roles`: what boards trust it for. `file`: where it is in keys/, its private half if that is here.

    `private`: whether it is. `signs`: it is the one that signs releases here.
    """

    keyid: str
    roles: tuple[str, ...]
    file: Path | None
    private: bool
    signs: bool

    @property
    def trusted(self) -> bool:
        return bool(self.roles)


@dataclass(frozen=True, slots=True)
class Role:
    """`keys`: those of the role, by keyid. `threshold`: how many of them have to sign."""

    keys: dict[str, rsa.RSAPublicKey]
    threshold: int


def held(place: Workspace) -> list[Held]:
    """The keys that boards are told to trust, then those of which the private half is here all the same. Raises UsageError."""
    now, private, name = trust.current(place), here(place), signing(place)
    files = _public_files(place)
    found = []
    for keyid in [*now.keys, *(one for one in private if one not in now.keys)]:
        roles = tuple(role for role in trust.ROLES if keyid in now.role(role).keyids)
        file = private.get(keyid) or files.get(keyid)
        found.append(Held(keyid, roles, file, private=keyid in private, signs=keyid == name))
    return found


def signing(place: Workspace) -> str:
    """The keyid of keys/release.pem; empty where there is none. Raises UsageError."""
    return keys.keyid(keys.public_half(place.key_file)) if place.key_file.exists() else ""


def release_role(place: Workspace) -> Role:
    """Who may sign releases, by what boards are told. Raises UsageError."""
    now = trust.current(place)
    return Role(now.of("release"), now.release.threshold)


def known(place: Workspace) -> list[rsa.RSAPublicKey]:
    """The keys that have signed releases of this workspace, those of today first. Of the others the public halves are kept
    in keys/, so that what they signed is still read here, whatever boards say to it. Raises UsageError.
    """
    found = dict(release_role(place).keys)
    for kind in (keys.PUBLIC_SUFFIX, keys.UNTRUSTED_SUFFIX):
        for path in sorted(place.trusted.glob(f"*{kind}")):
            found |= {keys.keyid(key): key for key in keys.public(path) if keys.keyid(key) not in found}
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
            f"{place.key_file} is not among the keys that boards trust for releases: they would refuse it (unknown-key). Put the "
            f"old key back, or `otactl keys add {shlex.quote(str(place.key_file))}`; `otactl keys list` shows what they trust"
        )


def signers(place: Workspace, more: Sequence[Path] = (), *, enough: bool = True) -> list[rsa.RSAPrivateKey]:
    """The key that signs, and those in the files `more` that may, too. `enough`: as many as boards ask for.

    Raises UsageError where none is here, or they are fewer than that.
    """
    role = release_role(place)
    found = {name: key for name, key in _loaded(more).items() if name in role.keys}
    if signing(place) in role.keys or not found:
        key = signer(place)
        found = {keys.keyid(key.public_key()): key} | found
    if enough and len(found) < role.threshold:
        raise UsageError(
            f"boards ask for {role.threshold} signatures, here are {len(found)}: name further keys, or let the others sign a "
            "release that `otactl publish` prepares"
        )
    return list(found.values())


def require_may_sign(place: Workspace, files: Sequence[Path]) -> None:
    """Raises UsageError where one of these keys is none that boards trust for releases."""
    role = release_role(place)
    for path in files:
        if keys.keyid(keys.public_half(path)) not in role.keys:
            raise UsageError(f"boards do not trust {path} for releases: see `otactl keys list`")


def can_sign(place: Workspace, more: Sequence[Path] = ()) -> bool:
    """Whether signers() finds as many as boards ask for. Raises UsageError."""
    role = release_role(place)
    found = {signing(place), *(keys.keyid(keys.public_half(path)) for path in more)}
    return len(found & set(role.keys)) >= role.threshold


def lying(place: Workspace) -> list[Path]:
    """The private keys in keys/ that may sign releases, but for the one that does. Raises UsageError."""
    role = release_role(place).keys
    return [path for name, path in here(place).items() if name in role and path != place.key_file]


def private(
    place: Workspace, wanted: Mapping[str, rsa.RSAPublicKey], more: Sequence[Path] = ()
) -> list[rsa.RSAPrivateKey]:
    """Those of the keys `wanted` whose private halves are in keys/, or in the files `more`. Raises UsageError."""
    found = _loaded(more)
    found |= {name: keys.load(path) for name, path in here(place).items() if name in wanted and name not in found}
    return [key for name, key in found.items() if name in wanted]


def _loaded(files: Sequence[Path]) -> dict[str, rsa.RSAPrivateKey]:
    return {keys.keyid(key.public_key()): key for key in map(keys.load, files)}


def here(place: Workspace) -> dict[str, Path]:
    """keyid -> the private key in keys/; the one that signs first. Raises UsageError."""
    files = [place.key_file] if place.key_file.exists() else []
    files += [path for path in sorted(place.trusted.glob("*.pem")) if path != place.key_file]
    found: dict[str, Path] = {}
    for path in files:
        found.setdefault(keys.keyid(keys.public_half(path)), path)
    return found


def _public_files(place: Workspace) -> dict[str, Path]:
    return {
        keys.keyid(key): path
        for path in sorted(place.trusted.glob(f"*{keys.PUBLIC_SUFFIX}"))
        for key in keys.public(path)
    }


def read(file: Path) -> list[rsa.RSAPublicKey]:
    """The public halves in a file that a person named: a PEM, public or private, a *.pub.json, a board's keys.json or a trust
    document. Raises UsageError where there is none that boards can verify with.
    """
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
    except ValueError:
        raise UsageError(
            f"{file} is not a PEM public key: `openssl pkey -in KEY.pem -pubout` writes that of a private one"
        ) from None
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size != keys.BITS:
        raise UsageError(f"{file} is not an RSA-{keys.BITS} key; boards verify no other kind")
    if key.public_numbers().e != keys.EXPONENT:
        raise UsageError(f"{file} has a public exponent other than {keys.EXPONENT}: boards refuse it")
    return [key]
