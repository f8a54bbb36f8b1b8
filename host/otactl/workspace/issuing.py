"""What the certificates of a workspace are made of: EC keys on P-256, small in flash and quick to verify on a board.

The extensions are those of RFC 5280, complete enough for OpenSSL's strict checks (the default since Python 3.13).
"""

import ipaddress
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from otactl.errors import UsageError
from otactl.words import reason

PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
# A board whose clock is a little behind must not find the certificate in its future.
_BACKDATED = timedelta(days=2)
_HOST = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?(\.[a-z0-9_-]{1,63})*\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and the key to it. An authority that signs is one as well."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(PEM)

    @property
    def key_pem(self) -> bytes:
        return key_as(self.key, PEM)


def read(certificate: Path, key: Path) -> Pair:
    """Raises UsageError that names what cannot be used."""
    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
        private = serialization.load_pem_private_key(key.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"{certificate} and {key} are no certificate and its key ({reason(error)})") from None
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise UsageError(f"{key} is not an EC key")
    if private.public_key() != found.public_key():
        raise UsageError(f"{key} is not the key of {certificate}")
    return Pair(found, private)


def authority(called: x509.Name, days: int) -> Pair:
    """A certificate authority of that name, signed by itself. The one authority that may follow it is its successor."""
    key = ec.generate_private_key(ec.SECP256R1())
    until = datetime.now(UTC) + timedelta(days=days)
    certificate = (
        _builder(called, called, key, until)
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .add_extension(_usage(sign_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Pair(certificate, key)


def can_vouch(old: x509.Certificate, new: x509.Certificate) -> bool:
    """Whether boards that know `old` believe what it says of its successor. RFC 5280, 6.1.4 (l) counts no authority that has
    the name of its signer; mbedTLS counts the last of them all the same, so the path must have room for one.
    """
    room = old.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
    return new.subject == old.subject and (room is None or room > 0)


def vouched(new: Pair, old: Pair) -> x509.Certificate:
    """The authority `new` once more, signed by `old`, where it can vouch: good as long as both are."""
    until = min(new.certificate.not_valid_after_utc, old.certificate.not_valid_after_utc)
    return (
        _builder(new.certificate.subject, old.certificate.subject, new.key, until)
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .add_extension(_usage(sign_certificates=True), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(old.key.public_key()), critical=False)
        .sign(old.key, hashes.SHA256())
    )


def server(by: Pair, names: list[str], days: int, key: ec.EllipticCurvePrivateKey | None = None) -> Pair:
    """For a server that is called by `names`; with a new key, unless one is given. Raises UsageError."""
    others = x509.SubjectAlternativeName([one for text in names for one in _general_names(text)])
    return _end(by, names[0], ExtendedKeyUsageOID.SERVER_AUTH, timedelta(days=days), key, others)


def client(by: Pair, text: str) -> Pair:
    """For a board of that name, good for as long as its authority."""
    return _end(by, text, ExtendedKeyUsageOID.CLIENT_AUTH, by.certificate.not_valid_after_utc - datetime.now(UTC))


def _end(
    by: Pair,
    text: str,
    purpose: x509.ObjectIdentifier,
    lasts: timedelta,
    key: ec.EllipticCurvePrivateKey | None = None,
    others: x509.SubjectAlternativeName | None = None,
) -> Pair:
    key = key or ec.generate_private_key(ec.SECP256R1())
    until = min(datetime.now(UTC) + lasts, by.certificate.not_valid_after_utc)
    builder = _builder(name(text), by.certificate.subject, key, until)
    if others is not None:
        builder = builder.add_extension(others, critical=False)
    certificate = (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.key.public_key()), critical=False)
        .sign(by.key, hashes.SHA256())
    )
    return Pair(certificate, key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - _BACKDATED)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
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


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def common_name(certificate: x509.Certificate) -> str:
    """What a person calls it: the subject's CN, or all of the subject where it has none."""
    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else certificate.subject.rfc4514_string()


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of its DER, hex."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def is_from(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Whether that authority has signed it."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def key_id(certificate: x509.Certificate) -> bytes:
    """By which those that it signs name its key."""
    return x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest


def issuer_id(certificate: x509.Certificate) -> bytes:
    """The key that signed it, as key_id() names that; empty where it does not say."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    except x509.ExtensionNotFound:
        return b""
    return found.key_identifier or b""


def _general_names(text: str) -> list[x509.GeneralName]:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return [x509.DNSName(plain(text))]
    # mbedTLS before 3.5 (MicroPython 1.22, 1.23) compares an address with the DNS names, as text.
    return [x509.IPAddress(found), x509.DNSName(str(found))]


def plain(text: str) -> str:
    """A host name as certificates carry it. Raises UsageError."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        pass
    try:
        found = text if text.isascii() else text.encode("idna").decode()
    except UnicodeError:
        found = ""
    if len(found) > 253 or not _HOST.match(found):
        raise UsageError(f"{text!r} is neither a host name nor an address")
    return found.lower()


def key_as(key: ec.EllipticCurvePrivateKey, encoding: serialization.Encoding) -> bytes:
    """PKCS #8, not encrypted."""
    return key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
