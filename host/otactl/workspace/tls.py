"""A certificate authority of the workspace's own, and a certificate for the server's names."""

import errno
import socket
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from otactl.errors import UsageError
from otactl.files import write_together
from otactl.words import counted, reason
from otactl.workspace import bridges, issuing

CA_DAYS = 20 * 365  # on every board: to change it takes a deploy to each, or a signed document
_SERVER_DAYS = 2 * 365
PRIVATE, PUBLIC = 0o600, 0o644  # modes
_SOON = timedelta(days=30)


def own_names() -> list[str]:
    """The names and addresses that this machine goes by; the way out of it comes last."""
    host = socket.gethostname()
    names = ["localhost", "127.0.0.1", host]
    if "." not in host:
        names.append(f"{host}.local")  # what mDNS answers to
    try:
        found = socket.getaddrinfo(host, None, socket.AF_INET)
        names += sorted({str(info[4][0]) for info in found})
    except OSError:
        pass  # a host name that nothing resolves: the others serve
    if way_out := _way_out():
        names.append(way_out)
    return [name for name in dict.fromkeys(names) if _fits(name)]


def address() -> str | None:
    """The address by which others on the network reach this machine; None without a network."""
    return _way_out()


def _way_out() -> str | None:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))  # sends nothing: asks the routing table
            found: str = probe.getsockname()[0]
            return found
    except OSError:
        return None


def make_ca(folder: Path, product: str) -> None:
    """ca.pem and ca.key. Raises FileExistsError."""
    made = issuing.authority(issuing.name(f"{product} releases"), CA_DAYS)
    if (folder / "ca.key").exists():
        raise FileExistsError(errno.EEXIST, "a CA's key is never overwritten", str(folder / "ca.key"))
    write_together({folder / "ca.key": (made.key_pem, PRIVATE), folder / "ca.pem": (made.pem, PUBLIC)})


def make_server(folder: Path, names: list[str], *, days: int = _SERVER_DAYS, pins: Sequence[str] = ()) -> bool:
    """server.pem (below it the ways back to former CAs, and the CA's) and server.key for `names`; replaces what was there, both or neither.

    The key stays where it is one of `pins` (SHA-256 of a SubjectPublicKeyInfo, hex), as boards would refuse another one.
    Returns whether it has stayed. Raises UsageError for a name that no certificate can carry, or without a usable CA.
    """
    kept = pinned_key(folder, pins)
    write_together(server_files(folder, own_ca(folder), names, days=days, key=kept))
    return kept is not None


def server_files(
    folder: Path,
    by: issuing.Pair,
    names: list[str],
    *,
    days: int = _SERVER_DAYS,
    key: ec.EllipticCurvePrivateKey | None = None,
) -> dict[Path, tuple[bytes, int]]:
    """What make_server() writes, for write_together()."""
    made = issuing.server(by, names, days, key)
    chain = made.pem + bridges.chain(folder, by.certificate) + by.pem
    return {folder / "server.key": (made.key_pem, PRIVATE), folder / "server.pem": (chain, PUBLIC)}


def pinned_key(folder: Path, pins: Sequence[str]) -> ec.EllipticCurvePrivateKey | None:
    """The server's key, where boards refuse another one: its SubjectPublicKeyInfo is one of `pins`."""
    if not pins or not (folder / "server.key").exists():
        return None
    try:
        found = serialization.load_pem_private_key((folder / "server.key").read_bytes(), None)
    except (OSError, ValueError, TypeError):
        return None
    if not isinstance(found, ec.EllipticCurvePrivateKey) or key_pin(found.public_key()) not in map(str.lower, pins):
        return None
    return found


def key_pin(key: object) -> str:
    """The pin of a public key: SHA-256 of its SubjectPublicKeyInfo, hex."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return sha256(key.public_bytes(issuing.DER, form)).hexdigest()  # type: ignore[attr-defined]


def own_ca(folder: Path) -> issuing.Pair:
    """The authority that signs. Raises UsageError."""
    try:
        return issuing.read(folder / "ca.pem", folder / "ca.key")
    except UsageError as error:
        raise UsageError(
            f"no usable CA in {folder} ({reason(error)}): bring it back, or make a new workspace"
        ) from None


def server_names(folder: Path) -> list[str]:
    """The names and addresses of server.pem; none where it is missing, damaged (renewing mends it), or has none."""
    try:
        certificate = server(folder)
        if certificate is None:
            return []
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (UsageError, x509.ExtensionNotFound):
        return []
    addresses = [str(one) for one in found.get_values_for_type(x509.IPAddress)]
    return list(dict.fromkeys([*found.get_values_for_type(x509.DNSName), *addresses]))


def expires(folder: Path) -> datetime | None:
    """When server.pem ends; None where there is none, or it is damaged."""
    try:
        certificate = server(folder)
    except UsageError:
        return None
    return certificate.not_valid_after_utc if certificate else None


def advice(folder: Path, host: str) -> str | None:
    """What is wrong with server.pem for boards that call it `host`, now or soon; None: nothing."""
    certificate = server(folder)
    if certificate is None:
        return None
    left = certificate.not_valid_after_utc - datetime.now(UTC)
    if left < timedelta(0):
        return "the server certificate has expired, boards refuse it: `otactl init --renew`"
    if issuing.plain(host) not in server_names(folder):
        return f"the server certificate is not for {host}, boards refuse it: `otactl init --renew`"
    if left < _SOON:
        return f"the server certificate expires in {counted(left.days, 'day')}: `otactl init --renew`"
    return None


def server(folder: Path) -> x509.Certificate | None:
    """server.pem, the first in it; None where there is none. Raises UsageError."""
    try:
        return x509.load_pem_x509_certificate((folder / "server.pem").read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{folder / 'server.pem'} is no certificate ({reason(error)}): `otactl init --renew`"
        ) from None


def _fits(text: str) -> bool:
    try:
        return bool(issuing.plain(text))
    except UsageError:
        return False  # a machine with a name that nobody could call it by
