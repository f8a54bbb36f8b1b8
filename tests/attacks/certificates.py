"""Certificates that an attacker can have: made by himself, or with what our CA has given to another machine."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from rig import HOST

NEIGHBOUR = "neighbour.test"  # a machine that our CA has given a certificate
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Owned:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)


def own_ca(tls: Path) -> Owned:
    """The CA of the workspace whose certificates lie in `tls`."""
    certificate = x509.load_pem_x509_certificate((tls / "ca.pem").read_bytes())
    key = serialization.load_pem_private_key((tls / "ca.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return Owned(certificate, key)


def issued(
    host: str,
    issuer: Owned | None = None,
    *,
    client: bool = False,
    ca: bool = False,
    key: ec.EllipticCurvePrivateKey | None = None,
) -> Owned:
    """A certificate for `host` that `issuer` has signed, None: itself. `client`: good for clients only. `key`: None makes
    one."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    use = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.certificate.subject if issuer else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + 30 * _DAY)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        .sign(issuer.key if issuer else key, hashes.SHA256())
    )
    return Owned(made, key)


def fingerprint(shown: Owned) -> str:
    """SHA-256 of a certificate, as a pin has it."""
    return shown.certificate.fingerprint(hashes.SHA256()).hex()


def context(folder: Path, shown: Owned, *above: Owned) -> ssl.SSLContext:
    """A server's side of TLS that shows this certificate, and those `above` it."""
    chain, key = folder / "shown.pem", folder / "shown.key"
    chain.write_bytes(b"".join(one.pem for one in (shown, *above)))
    key.write_bytes(
        shown.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.load_cert_chain(chain, key)
    return made


def self_signed(folder: Path, _: Path) -> ssl.SSLContext:
    return context(folder, issued(HOST, ca=True))


def by_a_stranger(folder: Path, _: Path) -> ssl.SSLContext:
    stranger = issued("demo releases", ca=True)  # the name that our CA has
    return context(folder, issued(HOST, stranger), stranger)


def by_a_neighbour(folder: Path, tls: Path) -> ssl.SSLContext:
    """Signed with the key of a server's certificate that our CA has given to another machine."""
    ca = own_ca(tls)
    neighbour = issued(NEIGHBOUR, ca)
    return context(folder, issued(HOST, neighbour), neighbour, ca)


def of_a_neighbour(folder: Path, tls: Path) -> ssl.SSLContext:
    return context(folder, issued(NEIGHBOUR, own_ca(tls)))


def of_a_longer_name(folder: Path, tls: Path) -> ssl.SSLContext:
    return context(folder, issued(f"{HOST}.{NEIGHBOUR}", own_ca(tls)))


def of_a_client(folder: Path, tls: Path) -> ssl.SSLContext:
    """What a board has that shows itself to servers, if its certificate says the server's name."""
    return context(folder, issued(HOST, own_ca(tls), client=True))


def old_tls(folder: Path, tls: Path) -> ssl.SSLContext:
    """The right certificate, but TLS 1.1 at the most."""
    made = context(folder, issued(HOST, own_ca(tls)))
    made.set_ciphers("ALL:@SECLEVEL=0")
    made.minimum_version, made.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    return made
