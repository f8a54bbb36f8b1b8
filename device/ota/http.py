"""A streaming GET over HTTPS or HTTP, for servers as they are. Source: RFC 9110, RFC 9112.

The certificate is verified always; every wait has a limit; a body cut short is an error, not an
end. OtaError codes: bad-url, http-not-allowed, redirect-to-http, too-many-redirects, dns, connect,
tls, cert-untrusted, cert-host, cert-expired, cert-not-yet-valid, http-status, bad-response,
bad-range, stalled, dropped.
"""

import binascii
import errno
import gc
import socket
import time

from micropython import const

from .errors import OtaError

try:
    import tls
except ImportError:  # MicroPython 1.22
    import ssl as tls  # type: ignore[no-redef]

_LINE = const(2048)  # bytes; the signed URLs that GitHub redirects to take half of it
_LINES = const(80)
_MOST = const(1 << 29)  # bytes of body: a small integer, so that counting allocates nothing
_ENDED = const(-1)  # after the last chunk
_TLS_EOF = const(-0x7280)  # MBEDTLS_ERR_SSL_CONN_EOF: closed without close_notify
_TLS_UNVERIFIED = const(-0x2700)  # MBEDTLS_ERR_X509_CERT_VERIFY_FAILED
_TIMED_OUT = (errno.ETIMEDOUT, errno.EAGAIN, errno.EINPROGRESS)
_WANTED = b"content-length content-range etag last-modified location transfer-encoding"
# mbedTLS tells all that is wrong; what setting the clock cannot cure comes first.
_VERIFY = (
    ("trusted CA", "cert-untrusted"),
    ("expected CN", "cert-host"),
    ("has expired", "cert-expired"),
    ("in the future", "cert-not-yet-valid"),
)


def get(
    url: str,
    *,
    ca: "bytes | None" = None,
    allow_http: bool = False,
    connect_timeout_s: float = 15,
    read_timeout_s: float = 20,
    start: int = 0,
    etag: "str | None" = None,
    size: "int | None" = None,
    redirects: int = 4,
) -> "Response":
    """Ask for `url` from byte `start` on; returns when the headers are in. Raises OtaError.

    `ca` is PEM or DER. `etag` is what an earlier Response.etag said: the rest comes only if the
    file is still that one. `size` is the file's as the caller knows it, for servers that do not
    tell. Time limits hold for each read or write, and one read_timeout_s for all headers.
    """
    for hop in range(redirects + 1):
        secure, host, port, path = split(url)
        if not secure and not allow_http:
            raise OtaError("redirect-to-http" if hop else "http-not-allowed", host)
        response = Response(url, _connect(host, port, connect_timeout_s, read_timeout_s))
        try:
            if secure:
                response.sock = _wrap(response.sock, host, ca)
            response._send(host if port in (80, 443) else f"{host}:{port}", path, start, etag)
            found = response._headers(int(read_timeout_s * 1000))
            if response.status not in (301, 302, 303, 307, 308) or b"location" not in found:
                response._open(found, start, etag, size)
                return response
        except BaseException as e:  # Ctrl-C must not leave a socket open either
            response.close()
            if isinstance(e, ValueError):
                raise OtaError("bad-response", "headers")
            raise
        response.close()
        url = join(url, found[b"location"])
    raise OtaError("too-many-redirects", redirects)


def split(url: str) -> "tuple[bool, str, int, str]":
    """(whether TLS, host, port, path with query) of an absolute URL. Raises OtaError bad-url."""
    scheme, _, rest = url.partition("://")
    netloc, _, path = rest.partition("/")
    host, _, port = netloc.partition(":")
    known = {"http": 80, "https": 443}.get(scheme, 0)
    try:
        number = int(port or known)
    except ValueError:
        number = 0
    # A space or a line end would smuggle a request of its own into ours.
    clean = all(32 < ord(c) < 127 for c in url) and "@" not in netloc and "?" not in netloc
    if not (known and host and 0 < number < 65536 and clean):
        raise OtaError("bad-url", url[:80])
    return scheme == "https", host, number, "/" + path.split("#", 1)[0]


def join(base: str, ref: str) -> str:
    """The absolute URL of `ref` as it stands in the document at `base`; no `..` is resolved."""
    if "://" in ref.split("?", 1)[0]:
        return ref
    if ref[:2] == "//":
        return base[: base.find(":") + 1] + ref
    at = base.find("/", base.find("://") + 3)
    root, path = (base, "") if at < 0 else (base[:at], base[at:].split("?", 1)[0])
    return root + (ref if ref[:1] == "/" else path[: path.rfind("/")] + "/" + ref)


def _connect(host: str, port: int, connect_s: float, read_s: float) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
    except OSError:
        found = []  # which some versions return by themselves
    if not found:
        raise OtaError("dns", host)
    for info in found[:3]:
        sock = socket.socket(info[0], socket.SOCK_STREAM)
        try:
            sock.settimeout(connect_s)
            sock.connect(info[-1])
            sock.settimeout(read_s)  # now: a TLS socket has no settimeout of its own
            return sock
        except BaseException as e:
            sock.close()
            if not isinstance(e, OSError):
                raise
            # By name: errno's numbers differ from port to port.
            why = "timeout" if e.errno in _TIMED_OUT else errno.errorcode.get(e.errno, e.errno)
    raise OtaError("connect", why)


def _wrap(sock: socket.socket, host: str, ca: "bytes | None") -> socket.socket:
    gc.collect()  # an old connection's buffers go back to the system's heap by their finaliser
    context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    # The ssl of 1.22 begins with CERT_NONE.
    context.verify_mode = tls.CERT_REQUIRED  # type: ignore[attr-defined]
    # One DER certificate at a time: not every build reads PEM. A second call adds to the first.
    found = (ca or b"").split(b"-----BEGIN CERTIFICATE-----")
    try:
        for part in found[1:] or found:
            der = binascii.a2b_base64(part.split(b"-----END")[0]) if found[1:] else part
            try:
                context.load_verify_locations(der)
            except TypeError:
                context.load_verify_locations(cadata=der)  # 1.22
    except (ValueError, TypeError):
        raise OtaError("tls", "ca")
    try:
        return context.wrap_socket(sock, server_hostname=host)
    except ValueError as e:  # mbedTLS's words on the certificate
        for words, code in _VERIFY:
            if words in str(e):
                raise OtaError(code, host)
        raise OtaError("tls", str(e).split("\n")[0])
    except OSError as e:
        raise OtaError("cert-untrusted", host) if e.errno == _TLS_UNVERIFIED else _failed(e, "tls")


def _failed(e: OSError, doing: str) -> OtaError:
    # A socket's errno may come through TLS with its sign changed.
    n = e.errno or 0
    if abs(n) in _TIMED_OUT:
        return OtaError("stalled", doing)
    if n < -255 and n != _TLS_EOF:
        return OtaError("tls", n)
    return OtaError("dropped", doing)


class Response:
    """What a server sends: 200, the whole file, or 206, the rest of it from where it was asked.

    status; url (after redirects); start, the body's offset in the file; length, bytes of body
    or None; total, the file's size or None; etag, for a later get(), or None; sock, pollable.
    """

    def __init__(self, url: str, sock: socket.socket) -> None:
        self.url = url
        self.sock = sock
        self.status = self.start = 0
        self.length = self.total = None  # type: int | None
        self.etag = None  # type: str | None
        self._doing = "headers"
        self._byte = bytearray(1)
        self._chunked = False
        self._left = 0  # bytes to come of the body, or of this chunk

    def close(self) -> None:
        try:
            self.sock.close()
        except OSError:
            pass  # the other side was quicker

    def readinto(self, buf: "bytearray | memoryview") -> int:
        """Fill `buf`, or what the body still has for it; returns 0 at the end. Allocates nothing
        (a chunked body: a few bytes for each chunk).

        Raises OtaError stalled, dropped, tls, bad-response. What a failing call had read is
        lost: get() again from where the last good call ended.
        """
        if self._chunked:  # byte by byte: a chunk may end at any
            for i in range(len(buf)):
                if not self._next():
                    return i
                buf[i] = self._byte[0]
            return len(buf)
        n = min(len(buf), self._left)
        got = self._recv(buf, n) if n else 0
        if got == n:
            self._left -= n
        elif self.length is None:
            self._left = 0  # the end: a read after TLS's close_notify would wait for more
        else:
            raise OtaError("dropped", "body")
        return got

    def read(self, most: int) -> bytes:
        """At most `most` bytes of the body: for small documents."""
        # In pieces: the heap may have no room for `most` bytes at a stretch.
        body, piece = b"", bytearray(min(most, 512))
        while len(body) < most:
            n = self.readinto(piece)
            body += piece[: min(n, most - len(body))]
            if n < len(piece):
                break
        return body

    def _recv(self, buf: "bytearray | memoryview", n: int) -> int:
        try:
            got = self.sock.readinto(buf, n)
        except OSError as e:
            raise _failed(e, self._doing)
        if got is None:  # EAGAIN, which some versions say for a time limit
            raise OtaError("stalled", self._doing)
        return got

    def _next(self) -> int:
        # One byte more of a chunked body, into _byte: 1, or 0 at the body's end.
        if self._left == 0:
            line = self._line().strip() or self._line()  # a line end follows each chunk
            try:
                self._left = int(line.split(b";")[0].strip(), 16) or _ENDED
            except ValueError:
                self._left = _MOST
            if not _ENDED <= self._left < _MOST:
                raise OtaError("bad-response", "chunk")
        if self._left == _ENDED:
            return 0
        if not self._recv(self._byte, 1):
            raise OtaError("dropped", "body")
        self._left -= 1
        return 1

    def _send(self, host: str, path: str, start: int, etag: "str | None") -> None:
        lines = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: micropython-ota\r\n"
        if start:
            lines += f"Range: bytes={start}-\r\n"
            if etag:
                lines += f"If-Range: {etag}\r\n"
        request = (lines + "Accept-Encoding: identity\r\nConnection: close\r\n\r\n").encode()
        try:
            if self.sock.write(request) != len(request):
                raise OtaError("stalled", "request")
        except OSError as e:
            raise _failed(e, "request")

    def _line(self) -> bytes:
        try:
            line = self.sock.readline(_LINE)  # type: ignore[call-arg]
        except OSError as e:
            raise _failed(e, self._doing)
        if not line:
            raise OtaError("stalled" if line is None else "dropped", self._doing)
        return line

    def _headers(self, limit_ms: int) -> "dict[bytes, str]":
        # Sets status; returns the headers in _WANTED. The limit is for all of them together: a
        # line now and then must not hold the board for ever.
        began = time.ticks_ms()
        found = {}  # type: dict[bytes, str]
        skip = False
        for _ in range(_LINES):
            line = self._line()
            if time.ticks_diff(time.ticks_ms(), began) > limit_ms:
                raise OtaError("stalled", "headers")
            whole = line[-1] == 10
            if skip or not whole:  # longer than _LINE, as GitHub's security policy: not for us
                skip = not whole
            elif not self.status:
                words = line.split(None, 2) + [b"", b""]
                if words[0][:7] != b"HTTP/1.":
                    raise OtaError("bad-response", "not HTTP")
                self.status = int(words[1])
            elif line.strip():
                _note(line, found)
            elif self.status >= 200:
                return found
            else:  # 100, 103: the answer is still to come
                self.status = 0
        raise ValueError

    def _open(self, found: dict, start: int, etag: "str | None", size: "int | None") -> None:
        # What status and headers promise of the body. Raises ValueError where they make no sense.
        if self.status not in (200, 206):
            # 416: the file ends before `start`, so it is another one now
            raise OtaError("bad-range" if self.status == 416 else "http-status", self.status)
        self._chunked = b"transfer-encoding" in found
        if self._chunked and found[b"transfer-encoding"].lower() != "chunked":
            raise ValueError
        if not self._chunked and b"content-length" in found:
            self.length = self.total = int(found[b"content-length"])
        tag = found.get(b"etag", "")
        # A weak tag may not be used with ranges; the date may, where there is nothing better.
        self.etag = tag if tag[:1] == '"' else found.get(b"last-modified")
        if self.status == 206:
            if etag and self.etag and etag != self.etag:
                raise OtaError("bad-range", "changed")
            span = found.get(b"content-range", "")
            first, last, self.total = _span(span)
            n = last + 1 - first
            # Nothing but the whole rest of the file from `start` will do.
            if first != start or self.length not in (None, n) or self.total not in (None, last + 1):
                raise OtaError("bad-range", span[:40])
            self.start, self.length = start, n
        elif self.length is None and not self._chunked:
            self.length = size
        if self.length is not None and not 0 <= self.length < _MOST:
            raise ValueError
        self._left = 0 if self._chunked else _MOST if self.length is None else self.length
        self._doing = "body"


def _note(line: bytes, found: "dict[bytes, str]") -> None:
    name = line.split(b":", 1)[0].lower()
    if name in _WANTED:
        text = str(line[len(name) + 1 :].strip(), "utf-8")
        # Two different lengths are how one answer is passed off as another.
        if not text or found.get(name, text) != text:
            raise ValueError
        found[name] = text


def _span(text: str) -> "tuple[int, int, int | None]":
    # bytes FIRST-LAST/TOTAL
    try:
        unit, _, span = text.partition(" ")
        span, _, total = span.partition("/")
        first, last = [int(n) for n in span.split("-")]
        if unit.lower() == "bytes" and first <= last < _MOST:
            return first, last, None if total == "*" else int(total)
    except ValueError:
        pass
    raise OtaError("bad-range", text[:40])
