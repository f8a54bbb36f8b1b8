"""What a board asks of a server's TLS, and shows it, beyond its CA: for one that has the entry `pins` or `client`. Takes the
place of connection.py in http.get()."""

import binascii
import hashlib

import tls
from micropython import const

from ..errors import OtaError
from . import connection

_REFUSED = const(-9984)  # MBEDTLS_ERR_X509_CERT_VERIFY_FAILED: ends the handshake
_ALERT = "-30592"  # MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE
_VERSION = const(0xA0)  # the DER tag of a certificate's version, which one of version 1 does not have


def stand(config: dict, settings: dict) -> None:
    """Change the `settings` of http.get() for a board with that configuration: with pins no plain HTTP is spoken, where a
    redirect leads to some, as there is nothing to hold against them."""
    settings["way"] = Guard(config)
    if config["pins"]:
        settings["allow_http"] = False


class Guard:
    """`config`: of the board."""

    def __init__(self, config: dict) -> None:
        self._pins, self._own = config["pins"], config["client"]

    def secure(self, sock, host: str, ca: "bytes | None", verify: bool, shown):
        """As connection.secure(), which it calls. Raises OtaError client-file as well."""
        self._fits: "bool | None" = None  # whether its certificate is a pinned one; None: it has shown none

        def judge(der, depth: int) -> int:
            if depth == 0:  # the server's own, and the last one that is shown
                self._fits = not self._pins or self._pinned(bytes(der))
            return _REFUSED if self._fits is False else shown(der, depth)

        return connection.secure(sock, host, ca, verify, judge, self._own and _with(self._own))

    def failed(self, e: BaseException, doing: str, host: str) -> BaseException:
        """As connection.failed(); and cert-pin, client-refused.

        mbedTLS tells neither whether a certificate was asked for nor what an alert said. But a server that has shown its
        own, and heard no complaint, has nothing left to object to but ours. Some just hang up, so a connection that breaks
        there is taken for the same; another try tells (install/retry.py).
        """
        failure = connection.failed(e, doing, host)
        if doing != "tls" or self._fits is None or not isinstance(failure, OtaError):
            return failure
        if not self._fits:
            return OtaError("cert-pin", host)
        ended = failure.code == "dropped" or failure.detail == _ALERT
        return OtaError("client-refused", host) if self._own and ended else failure

    def _pinned(self, der: bytes) -> bool:
        return _digest(der) in self._pins or _digest(public_key(der)) in self._pins


def _with(own: dict):
    # A context with the board's own certificate and key, which are read for each connection, and not kept.
    context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    try:
        with open(own["cert"], "rb") as cert, open(own["key"], "rb") as key:
            context.load_cert_chain(cert.read(), key.read())
    except (OSError, ValueError) as e:
        raise OtaError("client-file", e)
    return context


def _digest(data: bytes) -> str:
    return binascii.hexlify(hashlib.sha256(data).digest()).decode()


def public_key(der: bytes) -> bytes:
    """The SubjectPublicKeyInfo of a certificate, which mbedTLS has parsed before. Source: RFC 5280, 4.1; X.690."""
    at = _element(der, _element(der, 0)[0])[0]  # in the certificate, in what is signed of it
    # (version,) serial number, algorithm, issuer, validity, subject stand before it
    for _ in range(6 if der[at] == _VERSION else 5):
        at = _element(der, at)[1]
    return der[at : _element(der, at)[1]]


def _element(der: bytes, at: int) -> "tuple[int, int]":
    # Where the content of the element at `at` begins and ends.
    size, at = der[at + 1], at + 2
    if size > 127:  # so many bytes of size follow
        size, at = int.from_bytes(der[at : at + size - 128], "big"), at + size - 128
    return at, at + size
