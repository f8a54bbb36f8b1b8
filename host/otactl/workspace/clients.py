"""The boards' own certificates, for a server that asks who comes: tls/clients/NAME.pem, of the workspace's own authority."""

import re
from pathlib import Path

from cryptography import x509

from otactl.errors import UsageError
from otactl.files import write_together
from otactl.workspace import issuing, tls
from otactl.workspace.create import keep_secret
from otactl.workspace.workspace import Workspace

_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}\Z")  # a file name


def make(place: Workspace, name: str) -> x509.Certificate:
    """A certificate for the board of that name, with a new key; replaces what was there. Raises UsageError."""
    if not _NAME.match(name):
        raise UsageError(f"{name!r}: a board's name in boards.toml, of letters, digits and ._- only")
    made = issuing.client(tls.own_ca(place.tls), name)
    path = _folder(place) / f"{name}.pem"
    path.parent.mkdir(exist_ok=True)
    keep_secret(place.root)
    write_together({path.with_suffix(".key"): (made.key_pem, tls.PRIVATE), path: (made.pem, tls.PUBLIC)})
    return made.certificate


def of(place: Workspace, name: str) -> tuple[bytes, bytes] | None:
    """Certificate and key of a board, as DER, which every build reads; None where it has none. Raises UsageError."""
    path = _folder(place) / f"{name}.pem"
    if not _NAME.match(name) or not path.exists():
        return None
    found = issuing.read(path, path.with_suffix(".key"))
    return found.certificate.public_bytes(issuing.DER), issuing.key_as(found.key, issuing.DER)


def any_of(place: Workspace) -> bool:
    """Whether a board has one."""
    return next(_folder(place).glob("*.pem"), None) is not None


def issued_by(place: Workspace, authority: x509.Certificate) -> list[str]:
    """The boards whose certificates are from that authority. Raises UsageError."""
    found = []
    for path in sorted(_folder(place).glob("*.pem")):
        certificate = issuing.read(path, path.with_suffix(".key")).certificate
        if issuing.is_from(certificate, authority):
            found.append(path.stem)
    return found


def _folder(place: Workspace) -> Path:
    return place.tls / "clients"
