"""The certificate authorities of a workspace: by which ones boards know a server, and how they get from one to the next.

All lie in tls/: `ca.pem`, which the server's certificate is from; `next/`, a new one that boards are to know before the
server changes to it; `former/`, those that it has changed from; `bridges/`, what these vouch for (bridges.py); `roots/`,
public ones, for servers of other people. A signed document brings boards a change of them (release/handover.py).
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from otactl.errors import UsageError
from otactl.files import write_atomic, write_together
from otactl.words import reason
from otactl.workspace import bridges, issuing, tls
from otactl.workspace.create import keep_secret
from otactl.workspace.workspace import Workspace

OWN, NEXT, FORMER, ROOT = "own", "next", "former", "root"
MOST = 8192  # bytes of ca.pem: a board holds it in its memory while it connects
_SHORT = 8  # digits of a fingerprint in a name
_SOON = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Authority:
    """`name`: what `ca remove` takes. `kind`: own, next, former, root."""

    name: str
    kind: str
    file: Path
    certificate: x509.Certificate

    @property
    def called(self) -> str:
        return issuing.common_name(self.certificate)

    @property
    def fingerprint(self) -> str:
        return issuing.fingerprint(self.certificate)

    @property
    def ends(self) -> datetime:
        return self.certificate.not_valid_after_utc


def held(place: Workspace) -> list[Authority]:
    """All that boards are told to trust, in the order in which they get them: the own one first. Raises UsageError."""
    files = [
        (OWN, OWN, place.tls / "ca.pem"),
        (NEXT, NEXT, _next(place) / "ca.pem"),
        *((path.stem, FORMER, path) for path in sorted(_former(place).glob("*.pem"))),
        *((path.stem, ROOT, path) for path in sorted(_roots(place).glob("*.pem"))),
    ]
    found: dict[str, Authority] = {}
    for name, kind, path in files:
        for certificate in _read(path) if path.exists() else ():
            found.setdefault(issuing.fingerprint(certificate), Authority(name, kind, path, certificate))
    return list(found.values())


def bundle(place: Workspace, without: Authority | None = None) -> bytes:
    """The ca.pem of boards; empty where there is no authority at all. Raises UsageError."""
    return _joined([one for one in held(place) if one != without])


def same(one: bytes, other: bytes) -> bool:
    """Whether two bundles hold the same certificates, in whatever order. Raises ValueError where one holds none."""
    return set(x509.load_pem_x509_certificates(one)) == set(x509.load_pem_x509_certificates(other))


def own_bundle(place: Workspace) -> bytes:
    """The same without the public ones: who has a certificate from these is one of ours. Raises UsageError."""
    return _joined([one for one in held(place) if one.kind != ROOT])


def _joined(authorities: list[Authority]) -> bytes:
    return b"".join(one.certificate.public_bytes(issuing.PEM) for one in authorities)


def begin(place: Workspace) -> Authority:
    """Make a new own authority that boards are to trust besides. Raises UsageError where one waits already."""
    folder = _next(place)
    if (folder / "ca.pem").exists():
        raise UsageError(
            f"{folder} holds a new CA already: `otactl ca switch` changes to it, `otactl ca remove next` drops it"
        )
    own = tls.own_ca(place.tls)  # it is another server's, otherwise
    made = issuing.authority(own.certificate.subject, tls.CA_DAYS)
    _require_room(place, made.pem)
    folder.mkdir(exist_ok=True)
    keep_secret(place.root)
    write_together({folder / "ca.key": (made.key_pem, tls.PRIVATE), folder / "ca.pem": (made.pem, tls.PUBLIC)})
    return Authority(NEXT, NEXT, folder / "ca.pem", made.certificate)


def switch(place: Workspace) -> Authority:
    """Change the server to a certificate of the new authority, for the names that it had, with its key where boards hold it
    to that. The former authority vouches for the new one: boards that know only the former one still know the server.
    Boards go on trusting the former one until it is removed. Returns the former one. Raises UsageError."""
    folder = _next(place)
    new, old = _both(place)
    if new.certificate != old.certificate:  # the same: a run before this one was broken off at its end
        names = tls.server_names(place.tls)
        if not names:
            raise UsageError(f"{place.tls / 'server.pem'} tells no name: `otactl init --renew` first")
        _former(place).mkdir(exist_ok=True)
        kept = _former(place) / issuing.fingerprint(old.certificate)[:_SHORT]
        if issuing.can_vouch(old.certificate, new.certificate):
            bridges.folder(place.tls).mkdir(exist_ok=True)
            write_atomic(*bridges.made(new, old, place.tls))  # first: server_files() takes it
        key = tls.pinned_key(place.tls, place.board.get("pins") or ())
        write_together(
            {
                kept.with_suffix(".key"): (old.key_pem, tls.PRIVATE),
                kept.with_suffix(".pem"): (old.pem, tls.PUBLIC),
                place.tls / "ca.key": (new.key_pem, tls.PRIVATE),
                place.tls / "ca.pem": (new.pem, tls.PUBLIC),
                **tls.server_files(place.tls, new, names, key=key),
            }
        )
    _drop(folder / "ca.pem")
    return next(one for one in reversed(held(place)) if one.kind == FORMER)


def vouches(place: Workspace) -> bool:
    """Whether boards that know only the authority of today still know the server after a switch(). Raises UsageError."""
    new, old = _both(place)
    return issuing.can_vouch(old.certificate, new.certificate)


def _both(place: Workspace) -> tuple[issuing.Pair, issuing.Pair]:
    """The new own authority, and the one of today."""
    folder = _next(place)
    if not (folder / "ca.pem").exists():
        raise UsageError(f"there is no new CA in {folder}: `otactl ca new` makes one, boards get it, then switch")
    return issuing.read(folder / "ca.pem", folder / "ca.key"), tls.own_ca(place.tls)


def keep_root(place: Workspace, certificate: x509.Certificate) -> Authority:
    """Store a public authority's root. Raises UsageError where boards would get too much to hold."""
    for one in held(place):
        if one.certificate == certificate:
            return one
    pem = certificate.public_bytes(issuing.PEM)
    _require_room(place, pem)
    name = re.sub(r"[^a-z0-9]+", "-", issuing.common_name(certificate).lower()).strip("-") or "root"
    path = _roots(place) / f"{name}.pem"
    if path.exists():  # the same name, another certificate
        path = path.with_stem(f"{name}-{issuing.fingerprint(certificate)[:_SHORT]}")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, pem)
    return Authority(path.stem, ROOT, path, certificate)


def removable(place: Workspace, name: str) -> Authority:
    """The authority of that name, if boards can do without it. Raises UsageError."""
    known = held(place)
    for one in known:
        if one.name == name and one.kind != OWN:
            return one
    if name == OWN:
        raise UsageError(
            "own: the server's certificate is from it; `otactl ca new`, then `otactl ca switch`, replace it"
        )
    names = ", ".join(one.name for one in known if one.kind != OWN)
    raise UsageError(f"there is no CA {name!r} here" + (f" (there are: {names})" if names else ""))


def drop(one: Authority) -> None:
    """Forget an authority, with its key, if we have it."""
    _drop(one.file)


def soon(place: Workspace, now: datetime) -> list[Authority]:
    """Those that have ended, or end within 90 days. Raises UsageError."""
    return [one for one in held(place) if one.ends - now < _SOON]


def _drop(certificate: Path) -> None:
    certificate.with_suffix(".key").unlink(missing_ok=True)
    certificate.unlink()


def _require_room(place: Workspace, pem: bytes) -> None:
    size = len(bundle(place)) + len(pem)
    if size > MOST:
        raise UsageError(
            f"boards would get {size} bytes of CAs, and {MOST} are the most that one should hold in its memory: "
            "`otactl ca list`, then `otactl ca remove NAME`"
        )


def _read(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} is no certificate ({reason(error)}): bring it back, or remove the file") from None


def _next(place: Workspace) -> Path:
    return place.tls / "next"


def _former(place: Workspace) -> Path:
    return place.tls / "former"


def _roots(place: Workspace) -> Path:
    return place.tls / "roots"
