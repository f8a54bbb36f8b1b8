"""A certificate authority of the workspace's own, and a server certificate for the names that boards call it by."""

import ipaddress
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from otactl.errors import UsageError
from otactl.files import write_atomic, write_private

_CA_DAYS = 20 * 365  # on every board: to change it means visiting each of them
_SERVER_DAYS = 2 * 365
# A board whose clock is a little behind must not find the certificate in its future.
_BACKDATED = timedelta(days=2)


def own_names() -> list[str]:
    """The names and addresses that this machine goes by on its networks."""
    host = socket.gethostname()
    names = ["localhost", "127.0.0.1", host]
    if "." not in host:
        names.append(f"{host}.local")
    try:
        names += sorted({str(info[4][0]) for info in socket.getaddrinfo(host, None, socket.AF_INET)})
    except OSError:
        pass  # a host name that nothing resolves: the others serve
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))  # sends nothing: asks for the address of the way out
            names.append(probe.getsockname()[0])
    except OSError:
        pass  # no network at the moment
    return list(dict.fromkeys(names))


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _general_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _builder(subject: x509.Name, issuer: x509.Name, days: int) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + timedelta(days=days))
    )


def make_ca(folder: Path, product: str) -> None:
    """ca.pem and ca.key. P-256: small and quick to verify on a board. Raises FileExistsError."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"{product} releases")
    certificate = (
        _builder(name, name, _CA_DAYS)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    write_private(folder / "ca.key", _pem(key))
    write_atomic(folder / "ca.pem", certificate.public_bytes(serialization.Encoding.PEM))


def make_server(folder: Path, names: list[str]) -> None:
    """server.pem (with the CA's below) and server.key for `names`; replaces what was there.

    Raises UsageError where the folder has no usable CA.
    """
    try:
        ca_pem = (folder / "ca.pem").read_bytes()
        ca = x509.load_pem_x509_certificate(ca_pem)
        ca_key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    except (OSError, ValueError) as error:
        raise UsageError(f"no usable CA in {folder} ({error}): run `otactl init` in a new folder") from None
    if not isinstance(ca_key, ec.EllipticCurvePrivateKey):
        raise UsageError(f"{folder / 'ca.key'} is not an EC key")
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _builder(_name(names[0]), ca.subject, _SERVER_DAYS)
        .public_key(key.public_key())
        .add_extension(x509.SubjectAlternativeName([_general_name(n) for n in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
        .sign(ca_key, hashes.SHA256())
    )
    (folder / "server.key").unlink(missing_ok=True)
    write_private(folder / "server.key", _pem(key))
    write_atomic(folder / "server.pem", certificate.public_bytes(serialization.Encoding.PEM) + ca_pem)
