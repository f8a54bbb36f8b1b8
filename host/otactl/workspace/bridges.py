"""A new authority, vouched for by the one before it: so a board that knows only that one still knows the server.

A "NewWithOld" certificate (RFC 4210, 4.4): the new authority's name and key, signed by the former one. The server sends it
along, and a board that was away while the authorities changed gets to the documents that bring it the new one. It is made
while both keys are there, and good until either of the two ends; the former one's key is not needed any more after that. Authorities of
before have no room for one (issuing.can_vouch): boards then have to know the new one before the server changes to it.
"""

from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from otactl.errors import UsageError
from otactl.words import reason
from otactl.workspace import issuing
from otactl.workspace.issuing import Pair

_MOST = 4  # that a server sends: each is half a kilobyte of a board's memory in the handshake


def folder(tls: Path) -> Path:
    """Where they lie, below the folder tls/."""
    return tls / "bridges"


def made(new: Pair, old: Pair, tls: Path) -> tuple[Path, bytes]:
    """The certificate for `new` that who knows `old` believes, and the file in which it is kept."""
    certificate = issuing.vouched(new, old)
    return folder(tls) / f"{issuing.fingerprint(certificate)[:16]}.pem", certificate.public_bytes(issuing.PEM)


def chain(tls: Path, authority: x509.Certificate) -> bytes:
    """What a server with a certificate of `authority` sends behind it, PEM: the way back to the authorities before that one,
    as far as none has ended. Raises UsageError where a file is no certificate.
    """
    by_key = {issuing.key_id(one): one for one in map(_read, folder(tls).glob("*.pem"))}
    found: list[x509.Certificate] = []
    here = issuing.key_id(authority)
    while here in by_key and len(found) < _MOST:
        one = by_key.pop(here)
        if one.not_valid_after_utc <= datetime.now(UTC):
            break
        found.append(one)
        here = issuing.issuer_id(one)
    return b"".join(one.public_bytes(issuing.PEM) for one in found)


def _read(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} is no certificate ({reason(error)}): bring it back, or remove the file") from None
