"""Certificates as a test wants them, the wrong ones included."""

import hashlib
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = timedelta(days=1)
NOW = datetime.now(UTC)
GOOD = (NOW - 100 * DAY, NOW + 300 * DAY)
OLD = (NOW - 300 * DAY, NOW - 10 * DAY)
SPKI = serialization.PublicFormat.SubjectPublicKeyInfo
PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its key, or the key that its issuer has for it."""

    certificate: x509.Certificate
    key: Any

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(PEM)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(DER)

    @property
    def public_key(self) -> bytes:
        """Its SubjectPublicKeyInfo, DER."""
        return self.key.public_key().public_bytes(DER, SPKI)

    def key_as(self, encoding: serialization.Encoding) -> bytes:
        return self.key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def issue(
    name: str,
    by: Issued | None = None,
    *,
    ca: bool = False,
    constraints: bool = True,
    names: Sequence[x509.GeneralName] = (),
    dates: tuple[datetime, datetime] = GOOD,
    key: Any = None,
    more: Sequence[tuple[x509.ExtensionType, bool]] = (),
) -> Issued:
    """A certificate for `name`, self-signed unless it is issued `by` another one. `constraints`: whether it says if it is
    a `ca`. `more`: further extensions, and whether they are critical."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(dates[0])
        .not_valid_after(dates[1])
    )
    if constraints:
        builder = builder.add_extension(x509.BasicConstraints(ca, None), True)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
    for extension, critical in more:
        builder = builder.add_extension(extension, critical)
    return Issued(builder.sign(by.key if by else key, hashes.SHA256()), key)


def public_ca(name: str, by: Issued | None = None, **more: Any) -> Issued:
    """A certificate authority as the public ones are: with all the extensions that strict checks ask for."""
    usage = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    key = more.pop("key", None) or ec.generate_private_key(ec.SECP256R1())
    return issue(name, by, ca=True, key=key, more=[*_identities(key, by), (usage, True)], **more)


def public_server(host: str, by: Issued, **more: Any) -> Issued:
    """A server's certificate as public authorities issue it."""
    key = more.pop("key", None) or ec.generate_private_key(ec.SECP256R1())
    names = more.pop("names", None) or [x509.DNSName(host)]
    extended = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    return issue(host, by, names=names, key=key, more=[*_identities(key, by), (extended, False)], **more)


def _identities(key: Any, by: Issued | None) -> list[tuple[x509.ExtensionType, bool]]:
    issuer = (by.key if by else key).public_key()
    return [
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), False),
    ]


def authority_of_before(folder: Path, name: str) -> None:
    """ca.pem and ca.key as `otactl init` once made them: no authority may follow, its successor neither."""
    key = ec.generate_private_key(ec.SECP256R1())
    alone = x509.BasicConstraints(ca=True, path_length=0), True
    made = issue(name, key=key, constraints=False, more=[*_identities(key, None), alone])
    (folder / "ca.pem").write_bytes(made.pem)
    (folder / "ca.key").write_bytes(made.key_as(PEM))


def with_sha1(folder: Path, by: Issued, name: str) -> Issued:
    """A certificate for the DNS name `name` that is signed with SHA-1, by the openssl command."""
    key = rsa.generate_private_key(65537, 2048)
    request = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    )
    files = {
        "request.pem": request.sign(key, hashes.SHA256()).public_bytes(PEM),
        "by.pem": by.pem,
        "by.key": by.key_as(PEM),
        "names": f"subjectAltName=DNS:{name}".encode(),
    }
    for file, data in files.items():
        (folder / file).write_bytes(data)
    words = (
        "openssl x509 -req -sha1 -in request.pem -CA by.pem -CAkey by.key -CAcreateserial -extfile names -out made.pem"
    )
    subprocess.run(words.split(), cwd=folder, check=True, capture_output=True)
    return Issued(x509.load_pem_x509_certificate((folder / "made.pem").read_bytes()), key)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def served(*chain: Issued) -> bytes:
    """The PEM that a server loads: the certificates, its own first, and its key."""
    return b"".join(one.pem for one in chain) + chain[0].key_as(PEM)
