"""The root that a public server's certificate goes back to, so that boards know the server by it."""

import ipaddress
import select
import socket
import time
import warnings
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from OpenSSL import SSL

from otactl.errors import RigError, UsageError
from otactl.words import reason
from otactl.workspace import issuing

_TIMEOUT_S = 15.0
_PORT = 443


def address(text: str) -> tuple[str, int]:
    """HOST or HOST:PORT. Raises UsageError."""
    host, _, port = text.partition(":")
    if port and not (port.isdigit() and 0 < int(port) < 65536):
        raise UsageError(f"{text!r}: HOST or HOST:PORT, as github.com or releases.local:8443")
    return issuing.plain(host), int(port or _PORT)


def shown(host: str, port: int, timeout_s: float = _TIMEOUT_S) -> list[x509.Certificate]:
    """The certificates that a server shows, its own first. Nothing of them is verified yet. Raises RigError."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_verify(SSL.VERIFY_NONE)  # root() judges them; what they say is read first
    until = time.monotonic() + timeout_s
    try:
        with socket.create_connection((host, port), timeout=timeout_s) as raw:
            raw.setblocking(False)
            secured = SSL.Connection(context, raw)
            secured.set_tlsext_host_name(host.encode())
            secured.set_connect_state()
            _shake_hands(secured, raw, until)
            found = secured.get_peer_cert_chain(as_cryptography=True)
    except (OSError, SSL.Error) as error:
        raise RigError(f"{host}:{port} does not show its certificate: {_why(error)}") from None
    if not found:
        raise RigError(f"{host}:{port} shows no certificate")
    return list(found)


def _shake_hands(secured: SSL.Connection, raw: socket.socket, until: float) -> None:
    while True:
        try:
            secured.do_handshake()
            return
        except (SSL.WantReadError, SSL.WantWriteError) as want:
            left = until - time.monotonic()
            reads = [raw] if isinstance(want, SSL.WantReadError) else []
            ready = select.select(reads, [] if reads else [raw], [], max(left, 0))
            if left <= 0 or not (ready[0] or ready[1]):
                raise TimeoutError("it does not answer in TLS") from None


def _why(error: Exception) -> str:
    if isinstance(error, SSL.SysCallError):
        return "it hung up"
    if isinstance(error, SSL.Error):
        told = error.args[0] if error.args else ()
        return str(told[0][2]) if told else "no TLS handshake"
    return reason(error)


def root(host: str, chain: list[x509.Certificate], store: Path | None = None) -> x509.Certificate:
    """The root of `store` (a PEM file; the one of Mozilla's by default) that `chain` verifiably goes back to, today and for
    `host`. Raises RigError where it does not, UsageError."""
    try:
        name: x509.DNSName | x509.IPAddress = x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        name = x509.DNSName(host)
    verifier = PolicyBuilder().store(Store(_roots(store))).build_server_verifier(name)
    try:
        return verifier.verify(chain[0], chain[1:])[-1]
    except VerificationError as error:
        raise RigError(
            f"the certificate of {host} does not go back to a root of {store or 'the public store'}: {error}"
        ) from None


def _roots(store: Path | None) -> list[x509.Certificate]:
    path = store or Path(certifi.where())
    try:
        with warnings.catch_warnings():  # some public roots are older than today's rules, which no user can help
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            return x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} is no file of certificates in PEM: {reason(error)}") from None
