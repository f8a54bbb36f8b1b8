"""Changes of what boards trust: the next trust document, signed by root keys, published, and what it means for releases.

One job in four steps, each of which can be done again where it was broken off: the document is signed, it is published, the
key that signs from now on takes its place, the channels are signed anew.
"""

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa

from otactl.errors import UsageError
from otactl.release import ledger, resign
from otactl.release.resign import Signed
from otactl.workspace import ceremony, keyfiles, keyring, keys, trust
from otactl.workspace.trust import Role, Trust
from otactl.workspace.workspace import Workspace

ROLES = {"root": ("root",), "release": ("release",), "both": ("root", "release")}


@dataclass(frozen=True, slots=True)
class Changed:
    """What came of it. `missing`: who has to sign `document` yet (trust.missing), empty once boards can get it.

    `made`: a new private key. `releases`: what became of them.
    """

    before: Trust
    trust: Trust
    document: Path
    missing: dict[str, Role]
    made: Path | None = None
    releases: Signed = field(default_factory=Signed)


def by_cable_only(place: Workspace, with_keys: Sequence[Path] = ()) -> bool:
    """Whether no board would believe a change made here: there is no trust document yet, and none of the keys that they trust
    is at hand. Raises UsageError.
    """
    if trust.load(place):
        return False
    no_key = not any([*place.trusted.glob("*.pem"), *place.trusted.glob(f"*{keys.PUBLIC_SUFFIX}")])
    return no_key or not keyring.private(place, trust.first(place).of("root"), with_keys)


def add(place: Workspace, found: Sequence[rsa.RSAPublicKey], role: str, with_keys: Sequence[Path] = ()) -> Changed:
    """Give keys a role. Raises UsageError, and nothing has changed."""
    ledger.begin(place)
    before = trust.current(place)
    after = before
    for key in found:
        after = _given(after, key, ROLES[role])
    if after == before:
        raise UsageError(f"{keys.keyid(found[0])[:16]} has that role already: nothing to do")
    return change(place, before, after, with_keys)


def new(
    place: Workspace, role: str, *, secret: bytes | None, out: Path | None, with_keys: Sequence[Path] = ()
) -> Changed:
    """A new key with a role. One that signs releases takes the place of keys/release.pem, which is kept and stays trusted.

    The first root key of its own makes the others keys for releases alone: who steals one of them cannot say whom boards
    trust. `out`: where a root key is written to, a stick. Raises UsageError.
    """
    ledger.begin(place)
    before = trust.current(place)
    made, key = _make(place, role, out, secret)
    after = _given(before, key, ROLES[role])
    first = before.version == 1 or len(before.root.keyids) == 1
    if role == "root" and first and before.root == before.release:
        after = replace(after, root=Role((keys.keyid(key),)))
    return change(place, before, after, with_keys, made=made)


def rotate(
    place: Workspace, role: str | None, *, secret: bytes | None, out: Path | None, with_keys: Sequence[Path] = ()
) -> Changed:
    """A new key in the place of the one at hand, which is retired: the one that signs, in all its roles, or that of `role`.

    Raises UsageError where it is not clear which one is meant.
    """
    ledger.begin(place)
    before = trust.current(place)
    old = _replaceable(place, before, role, with_keys)
    return _replace(place, before, old, ROLES[role or "both"], secret=secret, out=out, with_keys=with_keys)


def revoke(
    place: Workspace, prefix: str, *, secret: bytes | None, out: Path | None, with_keys: Sequence[Path] = ()
) -> Changed:
    """Retire a key in all its roles, for good. Where it was the last one for releases a new one takes its place.

    Raises UsageError.
    """
    before = trust.current(place)
    old = _named(before, prefix)
    if before.root.keyids == (old,) and before.release.keyids != (old,):
        raise UsageError(f"{old[:16]} is the only root key: `otactl keys rotate --role root` puts another in its place")
    if before.release.keyids == (old,):
        return _replace(place, before, old, ROLES["both"], secret=secret, out=out, with_keys=with_keys)
    return change(place, before, _retired(before, old, ROLES["both"]), with_keys)


def threshold(place: Workspace, role: str, number: int, with_keys: Sequence[Path] = ()) -> Changed:
    """How many keys of a role have to sign. Raises UsageError."""
    ledger.begin(place)
    before = trust.current(place)
    held = before.role(role)
    if held.threshold == number:
        raise UsageError(f"the threshold of {role} is {number} already: nothing to do")
    return change(place, before, _with_role(before, role, Role(held.keyids, number)), with_keys)


def start_over(place: Workspace, secret: bytes | None) -> Changed:
    """One new key with both roles and no document, where the root keys are lost: boards get it by cable, and lose all that
    they trusted. Private keys are kept under other names. Raises UsageError.
    """
    before = trust.current(place)
    with place.publishing():
        keyfiles.retire_all(place)
        trust.forget(place)
        shutil.rmtree(trust.folder(place), ignore_errors=True)
        keys.generate(place.key_file, secret)
    done = resign.resign(place)
    return Changed(before, trust.current(place), place.key_file, {}, place.key_file, done)


def change(
    place: Workspace,
    before: Trust,
    wanted: Trust,
    with_keys: Sequence[Path] = (),
    *,
    made: Path | None = None,
    ca: str | None = None,
) -> Changed:
    """The document after `before` with the keys and roles of `wanted`, signed with the root keys at hand: finished, or kept
    for the next signer. `ca`: the certificates that boards are to have from then on, PEM. Raises UsageError.
    """
    require_nothing_waits(place)
    try:
        after = before.next_version(keys=wanted.keys, root=wanted.root, release=wanted.release, ca=ca)
        signers = keyring.private(place, ceremony.roots(after, before), [*with_keys, *([made] if made else [])])
        sealed = trust.sign(after, signers)
    except BaseException:
        if made:  # no document names it
            for path in (made, keys.public_file(made), keys.untrusted_file(made)):
                path.unlink(missing_ok=True)
        raise
    return _finish(place, before, sealed, None, with_keys, made)


def sign(
    place: Workspace,
    file: Path,
    with_keys: Sequence[Path] = (),
    *,
    signature: bytes | None = None,
    by: Sequence[rsa.RSAPublicKey] = (),
) -> Changed:
    """Sign a document that waits, with the root keys at hand or one made elsewhere; finish it once there are enough."""
    before = trust.current(place)
    sealed = ceremony.read(file, before)
    found = trust.read(sealed)
    roots = ceremony.roots(found, before)
    if signature:
        sealed = ceremony.attach(sealed, signature, by or roots.values())
    return _finish(
        place, before, trust.sign(found, keyring.private(place, roots, with_keys), sealed), file, with_keys, None
    )


def _finish(
    place: Workspace, before: Trust, sealed: bytes, file: Path | None, with_keys: Sequence[Path], made: Path | None
) -> Changed:
    lacking = trust.missing(sealed, before)
    if lacking:
        return Changed(before, trust.read(sealed), ceremony.keep(place, sealed, file), lacking, made)
    with place.publishing():
        found = trust.publish(place, sealed)
        ceremony.forget(place, found.version)
        made = keyfiles.settle(place, made)
    document = trust.folder(place) / f"{found.version}.json"
    return Changed(before, found, document, {}, made, resign.resign(place, with_keys))


def require_nothing_waits(place: Workspace) -> None:
    """Raises UsageError where a document waits for signatures: the next one would take its number."""
    if waits := ceremony.partial(place):
        raise UsageError(
            f"{waits} waits for signatures: `otactl keys sign {waits}`, or remove it, before the next change"
        )


def _with_role(one: Trust, name: str, role: Role) -> Trust:
    return replace(one, root=role) if name == "root" else replace(one, release=role)


def _given(one: Trust, key: rsa.RSAPublicKey, roles: Iterable[str]) -> Trust:
    name = keys.keyid(key)
    one = replace(one, keys={**one.keys, name: key})
    for role in roles:
        held = one.role(role)
        one = _with_role(one, role, Role(tuple(dict.fromkeys([*held.keyids, name])), held.threshold))
    return one


def _retired(one: Trust, keyid: str, roles: Iterable[str]) -> Trust:
    for role in roles:
        held = one.role(role)
        one = _with_role(one, role, Role(tuple(name for name in held.keyids if name != keyid), held.threshold))
    return one


def _replace(
    place: Workspace,
    before: Trust,
    old: str,
    roles: Iterable[str],
    *,
    secret: bytes | None,
    out: Path | None,
    with_keys: Sequence[Path],
) -> Changed:
    had = [role for role in roles if old in before.role(role).keyids]
    made, key = _make(place, "root" if had == ["root"] else "release", out, secret)
    after = _given(_retired(before, old, had), key, had)
    return change(place, before, after, with_keys, made=made)


def _make(place: Workspace, role: str, out: Path | None, secret: bytes | None) -> tuple[Path, rsa.RSAPublicKey]:
    """A new key that has no effect yet. Raises UsageError."""
    require_nothing_waits(place)  # before a key is made for nothing
    if role != "root":
        return keyfiles.stage(place, secret)
    path = out or place.trusted / "root.pem"
    if out and _is_shared(place, out):
        raise UsageError(f"{out} is in the workspace, where git takes it along: name a file outside, on a stick")
    if path.exists():
        raise UsageError(f"{path} is there already, and a key is never overwritten: name another file with --out")
    make = keys.generate if out else keys.make
    return path, make(path, secret).public_key()


def _is_shared(place: Workspace, out: Path) -> bool:
    folder = out.resolve().parent
    return folder.is_relative_to(place.root.resolve()) and folder != place.trusted.resolve()


def _replaceable(place: Workspace, before: Trust, role: str | None, with_keys: Sequence[Path]) -> str:
    """The keyid of the key that is at hand, or the only one of its role."""
    held = before.root.keyids if role == "root" else before.release.keyids
    here = [keys.keyid(keys.public_half(path)) for path in with_keys] if role == "root" else []
    here += [keyring.signing(place)]
    meant = [one for one in here if one in held] or (list(held) if len(held) == 1 else [])
    if not meant:
        raise UsageError(
            f"which key is meant? {len(held)} keys have that role, and none of them is here: name one, "
            "`otactl keys revoke KEYID`"
        )
    return meant[0]


def _named(one: Trust, prefix: str) -> str:
    found = [name for name in one.keys if name.startswith(prefix.lower())]
    if len(found) != 1:
        raise UsageError(
            f"{prefix} is {'no key that' if not found else 'more than one of those that'} boards trust: `otactl keys list` "
            "shows them; the first digits of a keyid will do"
        )
    return found[0]
