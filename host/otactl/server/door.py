"""TLS before the HTTP server, so that a connection that comes to nothing leaves a line: asyncio keeps silent about it."""

import asyncio
import ssl
from collections.abc import Callable
from typing import cast

HANDSHAKE_S = 30  # a board takes a few seconds
_REFUSED = {  # alerts of RFC 8446, 6.2, as OpenSSL names them; what makes a board (mbedTLS) send which: ssl_tls.c
    "UNKNOWN_CA": "it does not know our CA: `otactl deploy` brings it ca.pem",
    "CERTIFICATE_EXPIRED": "it has expired, by the date over there: `otactl init --renew`, or set that clock",
    "BAD_CERTIFICATE": "it is not for the name that this server was called by: `otactl init --renew NAME`",
    "CERTIFICATE_UNKNOWN": "it does not trust it, or its date there is before ours: see its own message",
    "UNSUPPORTED_CERTIFICATE": "it is not of a kind that it takes: `otactl init --renew`",
    "ACCESS_DENIED": "it does not trust it: see its own message",
}
_OTHERS = {
    "HTTP_REQUEST": "spoke plain HTTP to this TLS port: its address must begin with https://",
    "HTTPS_PROXY_REQUEST": "took this TLS port for a proxy",
    "WRONG_VERSION_NUMBER": "spoke no TLS (a scanner?)",
    "UNSUPPORTED_PROTOCOL": "speaks only TLS versions that are too old, older than 1.2",
    "NO_SHARED_CIPHER": "has no TLS cipher in common with this server",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "has no certificate of its own: `otactl ca client NAME`, then `otactl deploy NAME`",
    "UNEXPECTED_EOF_WHILE_READING": "hung up in the TLS handshake",
}

Tell = Callable[[str, str], None]  # peer, why
Make = Callable[[], asyncio.Protocol]


class Door(asyncio.Protocol):
    """One connection: the handshake first, then all that comes goes to the protocol that `make` gives.

    `tell(peer, why)` is called where there was no handshake, or where the certificate was refused after it (TLS 1.3).
    """

    def __init__(self, secure: ssl.SSLContext, make: Make, tell: Tell, opening: set[asyncio.Task[None]]) -> None:
        """`opening`: holds the task of each handshake for as long as it lasts."""
        self._secure, self._make, self._tell, self._opening = secure, make, tell, opening
        self._inner: asyncio.Protocol | None = None
        self._early: list[bytes] = []  # came with the end of the handshake
        self._asked = False
        self._lost: tuple[Exception | None] | None = None
        self._peer = "?"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        name = transport.get_extra_info("peername")
        self._peer = str(name[0]) if name else "?"
        task = asyncio.get_running_loop().create_task(self._open(cast(asyncio.Transport, transport)))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self, raw: asyncio.Transport) -> None:
        loop = asyncio.get_running_loop()
        try:
            secured = await loop.start_tls(raw, self, self._secure, server_side=True, ssl_handshake_timeout=HANDSHAKE_S)
        except OSError as error:
            self._tell(self._peer, words(error))
            return
        if secured is None:  # asyncio, where the connection was reset in the handshake
            self._tell(self._peer, words(ConnectionResetError()))
            return
        self._inner = self._make()
        self._inner.connection_made(secured)
        for data in self._early:
            self._inner.data_received(data)
        if self._lost:
            self.connection_lost(self._lost[0])

    def data_received(self, data: bytes) -> None:
        self._asked = True
        if self._inner:
            self._inner.data_received(data)
        else:
            self._early.append(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received() if self._inner else None

    def pause_writing(self) -> None:
        if self._inner:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._inner:
            self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._inner:
            self._lost = (exc,)  # a failed handshake ends here too, which _open() tells of
            return
        if isinstance(exc, ssl.SSLError) and not self._asked:
            self._tell(self._peer, words(exc))
        self._inner.connection_lost(exc)


def words(error: OSError) -> str:
    """What a failed handshake means, for a person who knows the board."""
    if isinstance(error, ConnectionAbortedError):
        return f"began no TLS within {HANDSHAKE_S} s"
    if not isinstance(error, ssl.SSLError):
        return "hung up before the TLS handshake was over (a scanner?)"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its own certificate is refused here, {error.verify_message}: `otactl ca client NAME`, `otactl deploy NAME`"
    reason = error.reason or ""
    alert = reason.partition("_ALERT_")[2]
    if alert in _REFUSED:
        return f"refused our certificate, {_REFUSED[alert]}"
    if alert:
        return f"ended the TLS handshake: {alert.replace('_', ' ').lower()}"
    return _OTHERS.get(reason, f"no TLS handshake: {reason.replace('_', ' ').lower() or error}")
