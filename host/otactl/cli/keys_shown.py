"""What a person, or a script, is told of keys and of a change of them."""

import json
from pathlib import Path
from shlex import quote

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from rich.table import Table

from otactl.cli import display, signing_shown
from otactl.release.resign import Signed
from otactl.release.rotation import Changed
from otactl.workspace import ceremony, issuing, keyring, keys, trust
from otactl.workspace.keyring import Held
from otactl.workspace.trust import Role, Trust
from otactl.workspace.workspace import Workspace

_DIGITS = 16  # of a keyid, as boards print it


def table(place: Workspace, now: Trust, found: list[Held]) -> None:
    """`otactl keys list`."""
    rows = Table("keyid", "roles", "private half", "signs", box=None, pad_edge=False)
    for one in found:
        where = one.file.name if one.private and one.file else "not in keys/"
        rows.add_row(one.keyid[:_DIGITS], ", ".join(one.roles) or "none", where, "yes" if one.signs else "no")
    display.show_table(rows)
    for role in trust.ROLES:
        display.show(f"{role}: {_threshold(now.role(role))}")
    if now.version == 1:
        display.show("no trust document yet: each key has both roles, and boards get them by `otactl deploy`")
    else:
        display.show(f"trust document {now.version}, of {now.published}: `otactl status` says which one a board has")
    if waits := ceremony.partial(place):
        display.warn(f"{waits.name} waits for signatures: `otactl keys sign {quote(str(display.short(waits)))}`")


def facts(one: Held) -> dict[str, object]:
    """A key, for a script."""
    return {
        "keyid": one.keyid,
        "roles": one.roles,
        "file": str(one.file) if one.file else None,
        "private": one.private,
        "signs": one.signs,
        "trusted": one.trusted,
    }


def by_cable(place: Workspace, keyid: str, text: str, as_json: bool) -> int:
    """A key that boards get by deploy alone: no key is here that they would believe a trust document of."""
    if as_json:
        print(json.dumps(facts(next(one for one in keyring.held(place) if one.keyid == keyid))))
        return 0
    display.done(text)
    display.show(
        "  no root key is here, so it goes no other way than by cable: `otactl deploy` to each board, then publish"
    )
    return 0


def changed(
    place: Workspace,
    done: Changed,
    as_json: bool,
    *,
    key: Path | rsa.RSAPublicKey | None = None,
    then: tuple[str, str] = ("serve", ""),
) -> int:
    """A change of what boards trust. `key`: the one that it is about, for a script. `then`: what to type next, and why."""
    if as_json:
        print(json.dumps(told(place, done) | _key(place, key)))
        return 0
    number = done.trust.version
    if done.missing:
        display.show(f"trust document {number} is not signed by enough root keys yet, and no board gets it:")
    else:
        display.done(f"trust document {number}, signed by its root keys and those of {number - 1}:")
    for line in difference(done.before, done.trust):
        display.show(f"  {line}")
    if done.made:
        display.show(f"  the new private key is {display.short(done.made)}: {_advice(done, done.made, place)}")
    if done.missing:
        _ask(done)
        return 0
    if place.board.get("trust") is False:
        display.show(
            "  boards of this workspace take no trust documents (trust = false): `otactl deploy` to each, by cable"
        )
    else:
        display.show(
            f"  boards that are on get it at their next look, from releases/trust/{number}.json; nothing by cable"
        )
    releases(place, done.releases)
    display.follow_up(*then)
    return 0


def started_over(place: Workspace, done: Changed, as_json: bool) -> int:
    """All keys were replaced, by cable."""
    if as_json:
        print(json.dumps(told(place, done) | _key(place, done.made)))
        return 0
    display.done(f"{display.short(done.document)} is the only key that boards of this workspace are to trust")
    releases(place, done.releases)
    display.warn("each board refuses what it signs (unknown-key) until it is deployed to by cable")
    display.follow_up("deploy --replace-keys")
    return 0


def difference(before: Trust, after: Trust) -> list[str]:
    """What a document changes, a line each."""
    lines = []
    for name in dict.fromkeys([*before.keys, *after.keys]):
        had, has = _roles(before, name), _roles(after, name)
        if had != has:
            sign = "-" if not has else "+" if not had else "~"
            lines.append(f"{sign} {name[:_DIGITS]}  {', '.join(has) or 'no role any more'}")
    for role in trust.ROLES:
        if before.role(role).threshold != after.role(role).threshold:
            lines.append(f"{role}: {_threshold(after.role(role))}, before {before.role(role).threshold}")
    lines = lines or ["no other keys than before"]
    if after.ca:
        lines += ["the CAs that boards know servers by from then on, and no others:", *_authorities(after.ca)]
    return lines


def releases(place: Workspace, done: Signed) -> None:
    """What became of the releases."""
    if done.anew:
        names = _names(place, done.anew)
        display.show(f"  signed anew, under the sequences that they had: {', '.join(names)}")
    if done.left:
        lying = keyring.lying(place)
        enough = lying and keyring.can_sign(place, lying)
        where = "lie here under other names" if enough else "are not here"
        named = "".join(f" --with {quote(str(path))}" for path in lying) + ("" if enough else " --with KEY")
        display.warn(
            f"boards with the new document refuse {', '.join(_names(place, done.left))}, as the keys that sign {where}: "
            f"`otactl keys resign{named}`, or publish the next release"
        )
    if done.strange:
        display.warn(
            f"{', '.join(_names(place, done.strange))}: not what this workspace has published there (published.json), so it was "
            "not signed anew: somebody else has signed it. Look at it, remove it, and publish a release of yours"
        )


def files(place: Workspace, done: Signed) -> dict[str, list[str]]:
    """The same for a script, as names in releases/."""
    return {
        "anew": _names(place, done.anew),
        "left": _names(place, done.left),
        "strange": _names(place, done.strange),
    }


def _ask(done: Changed) -> None:
    number, lacking = done.trust.version, done.missing
    if lacking.get("before") == lacking.get("own"):
        lacking = {"": lacking["own"]}
    whose = {"before": f" (root keys of document {number - 1})", "own": " (its own root keys)", "": " (root keys)"}
    for name, role in lacking.items():
        display.show(f"  missing: {role.threshold} of {', '.join(one[:_DIGITS] for one in role.keyids)}{whose[name]}")
    file = display.short(done.document)
    display.show(f"  give {file} to who has such a key, or sign elsewhere:")
    signing_shown.commands(file.with_name(ceremony.to_sign_name(number)), f"trust-{number}.sig")
    display.follow_up(f"keys sign {quote(str(file))} --with KEY", f"or --signature trust-{number}.sig")


def _advice(done: Changed, made: Path, place: Workspace) -> str:
    if made.name.startswith("release"):
        return (
            "it signs once that document is signed" if done.missing else "it signs releases from now on; keep it safe"
        )
    if made.parent == place.trusted:
        return "move it to a stick, and a copy of it to a second one"
    return "keep a copy of it on a second stick, and none on this machine"


def told(place: Workspace, done: Changed) -> dict[str, object]:
    """A change of what boards trust, for a script."""
    missing = {name: {"keys": role.keyids, "count": role.threshold} for name, role in done.missing.items()}
    made = str(done.made) if done.made else None
    return {
        "version": done.trust.version,
        "document": str(done.document),
        "missing": missing,
        "made": made,
        **files(place, done.releases),
    }


def _key(place: Workspace, key: Path | rsa.RSAPublicKey | None) -> dict[str, object]:
    if key is None:
        return {}
    name = keys.keyid(keys.public_half(key) if isinstance(key, Path) else key)
    found = [one for one in keyring.held(place) if one.keyid == name]
    return facts(found[0] if found else Held(name, (), key if isinstance(key, Path) else None, False, False))


def _names(place: Workspace, paths: tuple[Path, ...]) -> list[str]:
    return [str(path.relative_to(place.releases)) for path in paths]


def _roles(one: Trust, keyid: str) -> list[str]:
    return [role for role in trust.ROLES if keyid in one.role(role).keyids]


def _authorities(pem: str) -> list[str]:
    found = x509.load_pem_x509_certificates(pem.encode())
    return [
        f"  {issuing.fingerprint(one)[:_DIGITS]}  {issuing.common_name(one)}, until {one.not_valid_after_utc:%Y-%m-%d}"
        for one in found
    ]


def _threshold(role: Role) -> str:
    return f"{role.threshold} of {len(role.keyids)} must sign"
