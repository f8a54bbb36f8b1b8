"""A certificate authority of the workspace's own, and a certificate for the server's names.

EC keys on P-256: small in flash and quick to verify on a board. The extensions are those of
RFC 5280, complete enough for OpenSSL's strict checks (the default since Python 3.13).
"""

import errno
import ipaddress
import re
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from otactl.errors import UsageError
from otactl.files import write_together

_CA_DAYS = 20 * 365  # on every board: to change it means visiting each of them
_SERVER_DAYS = 2 * 365
_PRIVATE, _PUBLIC = 0o600, 0o644  # modes
_SOON = timedelta(days=30)
# A board whose clock is a little behind must not find the certificate in its future.
_BACKDATED = timedelta(days=2)
_HOST = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?(\.[a-z0-9_-]{1,63})*\Z", re.IGNORECASE)


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
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"{product} releases")
    now = datetime.now(UTC)
    certificate = (
        _builder(name, name, key, now, now + timedelta(days=_CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    if (folder / "ca.key").exists():
        raise FileExistsError(errno.EEXIST, "a CA's key is never overwritten", str(folder / "ca.key"))
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    write_together({folder / "ca.key": (_pem(key), _PRIVATE), folder / "ca.pem": (pem, _PUBLIC)})


def make_server(folder: Path, names: list[str], *, days: int = _SERVER_DAYS) -> None:
    """server.pem (with the CA's below) and server.key for `names`; replaces what was there, both or neither.

    Raises UsageError for a name that no certificate can carry, or where there is no usable CA.
    """
    alternatives = [one for name in names for one in _general_names(name)]
    ca_pem, ca, ca_key = _ca(folder)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    until = min(now + timedelta(days=days), ca.not_valid_after_utc)
    certificate = (
        _builder(_name(names[0]), ca.subject, key, now, until)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()),
            critical=False,
        )
        .sign(ca_key, hashes.SHA256())
    )
    chain = certificate.public_bytes(serialization.Encoding.PEM) + ca_pem
    write_together({folder / "server.key": (_pem(key), _PRIVATE), folder / "server.pem": (chain, _PUBLIC)})


def server_names(folder: Path) -> list[str]:
    """The names and addresses of server.pem; none where it is missing, damaged (renewing mends it), or has none."""
    try:
        certificate = _server(folder)
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
        certificate = _server(folder)
    except UsageError:
        return None
    return certificate.not_valid_after_utc if certificate else None


def advice(folder: Path, host: str) -> str | None:
    """What is wrong with server.pem for boards that call it `host`, now or soon; None: nothing."""
    certificate = _server(folder)
    if certificate is None:
        return None
    left = certificate.not_valid_after_utc - datetime.now(UTC)
    if left < timedelta(0):
        return "the server certificate has expired, boards refuse it: `otactl init --renew`"
    if _plain(host) not in server_names(folder):
        return f"the server certificate is not for {host}, boards refuse it: `otactl init --renew`"
    if left < _SOON:
        return f"the server certificate expires in {left.days} days: `otactl init --renew`"
    return None


def _server(folder: Path) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate((folder / "server.pem").read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder / 'server.pem'} is no certificate ({error}): `otactl init --renew`") from None


def _ca(folder: Path) -> tuple[bytes, x509.Certificate, ec.EllipticCurvePrivateKey]:
    try:
        pem = (folder / "ca.pem").read_bytes()
        certificate = x509.load_pem_x509_certificate(pem)
        key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"no usable CA in {folder} ({error}): bring it back, or make a new workspace") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise UsageError(f"{folder / 'ca.key'} is not an EC key")
    return pem, certificate, key


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    now: datetime,
    until: datetime,
) -> x509.CertificateBuilder:
    identity = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(until)
        .add_extension(identity, critical=False)
    )


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _general_names(text: str) -> list[x509.GeneralName]:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return [x509.DNSName(_plain(text))]
    # mbedTLS before 3.5 (MicroPython 1.22, 1.23) compares an address with the DNS names, as text.
    return [x509.IPAddress(found), x509.DNSName(str(found))]


def _plain(text: str) -> str:
    """A host name as certificates carry it. Raises UsageError."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        pass
    try:
        name = text if text.isascii() else text.encode("idna").decode()
    except UnicodeError:
        name = ""
    if len(name) > 253 or not _HOST.match(name):
        raise UsageError(f"{text!r} is neither a host name nor an address")
    return name.lower()


def _fits(text: str) -> bool:
    try:
        return bool(_plain(text))
    except UsageError:
        return False  # a machine with a name that nobody could call it by


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
