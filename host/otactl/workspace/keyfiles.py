"""How the files of keys/ change: a private key is only ever renamed, and what lies beside it says whether boards trust it.

What they trust is the newest trust document's to say (trust.py); the names are for where there is none, and for a person.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa

from otactl.errors import UsageError
from otactl.files import write_atomic
from otactl.workspace import keyring, keys, trust
from otactl.workspace.workspace import Workspace

_SHORT = 8  # digits of a keyid in a file's name


def new(place: Workspace, secret: bytes | None = None) -> Path:
    """A new key to sign with, which boards get by cable: for where no trust document can be signed. The old one is kept beside
    it under another name, and boards go on trusting it.

    Raises UsageError where the old key is damaged, or its new name is taken.
    """
    path = place.key_file
    with place.publishing():
        if path.exists():
            old = keys.load(path)
            beside = _free(place, keys.keyid(old.public_key()))
            # its public half first: what boards trust must not get less, wherever this is broken off
            write_atomic(keys.public_file(beside), keys.for_board([old.public_key()]).encode())
            os.rename(path, beside)
        keys.generate(path, secret)
    return path


def add(place: Workspace, found: Sequence[rsa.RSAPublicKey]) -> None:
    """Have boards trust these keys too from the next deploy on: for where no trust document can be signed."""
    before = {one.keyid for one in keyring.held(place) if one.trusted}
    for key in found:
        name = keys.keyid(key)
        if name not in before:
            target = place.trusted / f"trusted-{name[:_SHORT]}{keys.PUBLIC_SUFFIX}"
            write_atomic(target, keys.for_board([key]).encode())


def stage(place: Workspace, secret: bytes | None) -> tuple[Path, rsa.RSAPublicKey]:
    """A new key for releases, beside the one that signs: until boards can know it it has no effect. See settle()."""
    path = place.trusted / "release-new.pem"
    for left in (path, keys.untrusted_file(path)):  # by a run that was broken off: no document names it
        left.unlink(missing_ok=True)
    key = keys.make(path, secret).public_key()
    beside = _aside(place, keys.keyid(key))
    _rename(path, beside)
    return beside, key


def settle(place: Workspace, made: Path | None = None) -> Path | None:
    """Once a trust document is published: the new key `made`, or one that was staged before, signs from now on, where the one
    that signed may no longer. Its files say what is trusted. Returns where `made` is now. Raises UsageError.
    """
    if trust.current(place).version == 1:
        return made
    role, here, now = keyring.release_role(place), keyring.here(place), keyring.signing(place)
    staged = [name for name, path in here.items() if name in role.keys and path.name.startswith("release-")]
    chosen = next((name for name in staged if here[name] == made), None)
    if now not in role.keys:
        chosen = chosen or next(iter(staged), None)
    if now and (chosen or now not in role.keys):
        _rename(place.key_file, _free(place, now))
    if chosen:
        _keep_public_half_of_lost(place)
        _rename(here[chosen], place.key_file)
        made = place.key_file if here[chosen] == made else made
    _sort_public_halves(place)
    return made


def retire_all(place: Workspace) -> None:
    """No key of the folder is trusted by its file any longer, and none signs. Raises UsageError."""
    if name := keyring.signing(place):
        _rename(place.key_file, _free(place, name))
    for path in place.trusted.glob("*.pem"):
        if not keys.untrusted_file(path).exists():
            write_atomic(keys.untrusted_file(path), keys.for_board([keys.public_half(path)]).encode())
    _keep_public_half_of_lost(place)
    for path in place.trusted.glob(f"*{keys.PUBLIC_SUFFIX}"):
        path.unlink() if path == keys.public_file(place.key_file) else os.replace(path, _untrusted(path))


def _untrusted(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(keys.PUBLIC_SUFFIX) + keys.UNTRUSTED_SUFFIX)


def _keep_public_half_of_lost(place: Workspace) -> None:
    """Of a signing key that is not here: what it has signed is still to be read."""
    beside = keys.public_file(place.key_file)
    for key in keys.public(beside) if beside.exists() else []:
        aside = keys.untrusted_file(_aside(place, keys.keyid(key)))
        write_atomic(aside, keys.for_board([key]).encode())


def _rename(path: Path, to: Path) -> None:
    """A private key, and the public half beside it first: it is known by that."""
    for kind in (keys.public_file, keys.untrusted_file):
        if kind(path).exists():
            os.replace(kind(path), kind(to))
    os.rename(path, to)


def _sort_public_halves(place: Workspace) -> None:
    """Beside each private key its public half, under the name that says whether boards trust it; so also of the others."""
    known = trust.current(place).keys
    for name, path in keyring.here(place).items():
        kinds = keys.public_file(path), keys.untrusted_file(path)
        right, wrong = kinds if name in known else kinds[::-1]
        write_atomic(right, keys.for_board([keys.public_half(path)]).encode())
        wrong.unlink(missing_ok=True)
    beside = {kind(path) for path in keyring.here(place).values() for kind in (keys.public_file, keys.untrusted_file)}
    for path in place.trusted.glob(f"*{keys.PUBLIC_SUFFIX}"):
        if path not in beside and not {keys.keyid(key) for key in keys.public(path)} & set(known):
            os.rename(path, _untrusted(path))


def _aside(place: Workspace, keyid: str) -> Path:
    return place.key_file.with_name(f"{place.key_file.stem}-{keyid[:_SHORT]}{place.key_file.suffix}")


def _free(place: Workspace, keyid: str) -> Path:
    """Where the key that signed is put aside. Raises UsageError where something else is there."""
    beside = _aside(place, keyid)
    if beside.exists():
        raise UsageError(f"{beside} is in the way, {place.key_file} would get that name: move one of them")
    return beside
