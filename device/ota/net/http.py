"""A streaming GET, or a short POST, over HTTPS or HTTP, for servers as they are. Source: RFC 9110, RFC 9112. The certificate is always
verified, every wait has a limit, and a body cut short is an error, not an end."""

from micropython import const

from .. import steps
from ..errors import OtaError, require
from . import connection, names, url
from .response import Response

_HOPS = const(5)  # of redirects, and the last
_REDIRECTS = (301, 302, 303, 307, 308)


def settings(config: dict) -> dict:
    """What get() takes of a board's configuration."""
    found = {key: config[key] for key in ("allow_http", "connect_timeout_s", "read_timeout_s")}
    if config["pins"] or config["client"]:
        from . import guard

        guard.stand(config, found)
    return found


def get(
    address: str,
    ca=None,
    start=0,
    etag=None,
    size=None,
    known=None,
    peek=False,
    way=connection,
    own=None,
    send=None,
    keep=False,
    **settings,
):
    """Ask for the URL `address` from byte `start` on, for the rest only if the file has `etag` still: steps that return
    the Response with its headers.

    `ca`: PEM or DER. `way`: how TLS is had, as guard.py does. `size`: the file's, where a server does not tell. `known`: an
    ETag; while the file has it, there is http-status 304 in place of the file. `peek`: only what the server says of itself,
    whoever it is, with the body left unread. `own`: (TLS, host, port), and header lines that nobody else is told, whoever
    redirects to him. `send`: another method, and its body (JSON), which no redirect takes elsewhere. `keep`: another request
    will follow; it takes the same connection, where that has been kept. Settings: allow_http
    (False), connect_timeout_s (15), read_timeout_s (20) between two bytes, and for all headers. Raises OtaError: bad-url,
    http-not-allowed, dns, connect, redirect-to-http,
    too-many-redirects, tls, cert-…, no-memory, http-status, bad-response, bad-range, stalled, dropped.
    """
    read_ms = int(settings.get("read_timeout_s", 20) * 1000)
    hop = 0
    while hop < _HOPS:
        secure, host, port, path = url.split(address)
        require(secure or settings.get("allow_http"), "redirect-to-http" if hop else "http-not-allowed", host)
        origin = secure, host, port
        kept = connection.kept(None if peek or send else origin)
        if kept:
            response = Response(address, kept[0], read_ms)
            response.sock = kept[1]
        else:
            where = yield from names.resolve(host, port)
            response = Response(
                address, (yield from connection.connect(where, settings.get("connect_timeout_s", 15))), read_ms
            )
        doing = "tls" if secure and not kept else "headers"
        try:
            if doing == "tls":
                response.sock = way.secure(response.sock, host, ca, not peek, response.shown)
            told = own[1] if own and own[0] == origin else ""
            said = told + _ending(response, origin, keep)
            yield from response.ask(_request(host, port, path, start, etag, known, said, send), doing)
            doing = "headers"
            headers = yield from response.headers()
            if peek:
                return response
            if send or response.status not in _REDIRECTS or b"location" not in headers:
                # checkin.py's whole line: nobody but the release server is heard, no engine, and once a look
                if told[:3] == "Ota" and ";" in told:
                    steps.soon, steps.astray = headers.get(b"ota-look", "")[:6], False
                response.open(headers, start, etag, size)
                ca = own = said = told = headers = kept = None  # an ended generator may be found, and what it held
                return response
        except BaseException as e:  # Ctrl-C must not leave a socket open either
            failure = way.failed(e, doing, host)
            response.close()
            # Whatever the server has done to it in place of an answer: a connection of its own then.
            if kept and not response.status and isinstance(e, Exception):
                continue
            raise failure
        response.close()
        hop += 1
        address = url.join(address, headers[b"location"])
    raise OtaError("too-many-redirects", _HOPS - 1)


def _ending(response: Response, origin: tuple, keep: bool) -> str:
    # The header line by which the connection ends with the answer; none where it is to be kept and there is room for that.
    if keep and origin[0] and connection.may_keep():
        response.origin = origin
        return ""
    return "Connection: close\r\n"


def _request(
    host: str, port: int, path: str, start: int, etag: "str | None", known: "str | None", said: str, send
) -> bytes:
    method, body = send or ("GET", b"")
    host += "" if port in (80, 443) else f":{port}"
    lines = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: micropython-ota\r\n" + said
    lines += f"Range: bytes={start}-\r\n" if start else ""
    lines += f"If-Range: {etag}\r\n" if start and etag else ""
    lines += f"If-None-Match: {known}\r\n" if known else ""
    lines += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if send else ""
    return (lines + "Accept-Encoding: identity\r\n\r\n").encode() + body
