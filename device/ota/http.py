"""A streaming GET over HTTPS or HTTP, for servers as they are. Source: RFC 9110, RFC 9112. The certificate is always
verified, every wait has a limit, and a body cut short is an error, not an end."""

import binascii
import errno
import gc
import socket
import time

import tls

from .errors import OtaError, require

_LINE = 2048  # bytes; the signed URLs that GitHub redirects to take half of it
_HOPS = 5  # of redirects, and the last
_MOST = 1 << 29  # bytes of body: a small integer, so that counting allocates nothing
_TLS_EOF = -0x7280  # MBEDTLS_ERR_SSL_CONN_EOF: closed without close_notify
_TIMED_OUT = (errno.ETIMEDOUT, errno.EAGAIN, errno.EINPROGRESS)
_WANTED = b"content-length content-range etag last-modified location retry-after transfer-encoding"
# mbedTLS tells all that is wrong; what setting the clock cannot cure comes first.
_VERIFY = (
    ("trusted CA", "cert-untrusted"), ("-9984", "cert-untrusted"),  # MBEDTLS_ERR_X509_CERT_VERIFY_FAILED
    ("expected CN", "cert-host"), ("has expired", "cert-expired"), ("in the future", "cert-not-yet-valid"),
)  # fmt: skip


def get(url: str, ca=None, start=0, etag=None, size=None, **settings) -> "Response":
    """Ask for `url` from byte `start` on, for the rest only if the file has `etag` still. `ca`: PEM or DER; `size`: the
    file's, where a server does not tell. Settings: allow_http (False), connect_timeout_s (15), read_timeout_s (20) of
    each read or write, and of all headers. Returns with those. Raises OtaError: bad-url, http-not-allowed, dns, connect,
    redirect-to-http, too-many-redirects, tls, cert-…, http-status, bad-response, bad-range, stalled, dropped."""
    read_s = settings.get("read_timeout_s", 20)
    for hop in range(_HOPS):
        secure, host, port, path = split(url)
        require(secure or settings.get("allow_http"), "redirect-to-http" if hop else "http-not-allowed", host)
        try:
            found = socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_STREAM)[0]
        except (OSError, IndexError):  # some versions return none
            raise OtaError("dns", host)
        response = Response(url, socket.socket(found[0], socket.SOCK_STREAM))
        doing = "connect"
        try:
            response.sock.settimeout(settings.get("connect_timeout_s", 15))
            response.sock.connect(found[-1])
            response.sock.settimeout(read_s)  # now: a TLS socket has no settimeout of its own
            doing = "tls"
            if secure:
                response.sock = _wrap(response.sock, host, ca)
            doing = "headers"
            host += "" if port in (80, 443) else f":{port}"
            lines = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: micropython-ota\r\n"
            lines += f"Range: bytes={start}-\r\n" if start else ""
            lines += f"If-Range: {etag}\r\n" if start and etag else ""
            request = (lines + "Accept-Encoding: identity\r\nConnection: close\r\n\r\n").encode()
            require(response.sock.write(request) == len(request), "stalled", doing)
            headers = response._headers(int(read_s * 1000))
            if response.status not in (301, 302, 303, 307, 308) or b"location" not in headers:
                response._open(headers, start, etag, size)
                return response
        except BaseException as e:  # Ctrl-C must not leave a socket open either
            response.close()
            raise _failed(e, doing)
        response.close()
        url = join(url, headers[b"location"])
    raise OtaError("too-many-redirects", _HOPS - 1)


def split(url: str) -> "tuple[bool, str, int, str]":
    """(whether TLS, host, port, path with query) of an absolute URL. Raises OtaError bad-url."""
    scheme, _, rest = url.partition("://")
    netloc, _, path = rest.partition("/")
    host, _, port = netloc.partition(":")
    port = port or ("443" if scheme == "https" else "80")
    clean = all(32 < ord(c) < 127 for c in url) and "@" not in netloc and "?" not in netloc  # no smuggled requests
    good = clean and scheme in ("http", "https") and host and port.isdigit() and 0 < int(port) < 65536
    require(good, "bad-url", url[:80])
    return scheme == "https", host, int(port), "/" + path.split("#", 1)[0]


def join(base: str, ref: str) -> str:
    """The absolute URL of `ref` as it stands in the document at `base`; no `..` is resolved."""
    if "://" in ref.split("?", 1)[0]:
        return ref
    if ref[:2] == "//":
        return base.split("/", 1)[0] + ref
    base = base.split("?", 1)[0]
    at = (base + "/").find("/", base.find("://") + 3)
    root, path = base[:at], base[at:]
    return root + (ref if ref[:1] == "/" else path[: path.rfind("/")] + "/" + ref)


def _wrap(sock: socket.socket, host: str, ca: "bytes | None") -> socket.socket:
    gc.collect()  # an old connection's buffers go back to the system's heap by their finaliser
    context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    context.verify_mode = tls.CERT_REQUIRED  # type: ignore[attr-defined]  # said aloud: no version may forget it
    # One DER certificate at a time: not every build reads PEM. A second call adds to the first.
    found = (ca or b"").split(b"-----BEGIN CERTIFICATE-----")
    try:
        for part in found[1:] or found:
            context.load_verify_locations(binascii.a2b_base64(part.split(b"-----END")[0]) if found[1:] else part)
    except (ValueError, TypeError):
        raise OtaError("tls", "ca")
    try:
        return context.wrap_socket(sock, server_hostname=host)
    except (ValueError, OSError) as e:
        for words, code in _VERIFY:
            if words in str(e):
                raise OtaError(code, host)
        raise OtaError("tls", str(e).split("\n")[0]) if isinstance(e, ValueError) else e


def _failed(e: BaseException, doing: str) -> BaseException:
    if isinstance(e, ValueError):
        return OtaError("bad-response", doing)
    if not isinstance(e, OSError):
        return e
    n = e.errno or 0
    timed_out = abs(n) in _TIMED_OUT  # through TLS an errno may come with its sign changed
    if doing == "connect":  # by name: errno's numbers differ from port to port
        return OtaError(doing, "timeout" if timed_out else errno.errorcode.get(n, n))
    if n < -255 and n != _TLS_EOF:
        return OtaError("tls", n)
    return OtaError("stalled" if timed_out else "dropped", doing)


class Response:
    """What a server sends. url: after redirects; start: the body's offset in the file; length (of the body) and total
    (of the file): bytes, or None; etag: for a later get(), or None; sock: pollable; status."""

    def __init__(self, url: str, sock: socket.socket) -> None:
        self.url, self.sock = url, sock
        self.status = self.start = 0
        self.length = self.total = None  # type: int | None
        self.etag = None  # type: str | None
        self._chunked, self._left = False, 0  # bytes to come of the body, or of this chunk

    def close(self) -> None:
        try:
            self.sock.close()
        except OSError:
            pass  # the other side was quicker

    def readinto(self, buf: "bytearray | memoryview") -> int:
        """Fill `buf`, or what the body has for it; returns 0 at the end. Allocates nothing, but for a chunked body.
        Raises OtaError stalled, dropped, tls, bad-response: get() again from where the last good call ended."""
        done, size, began = 0, len(buf), time.ticks_ms()
        try:
            while done < size and (self._left or self._chunked):
                if not self._left:
                    line = self._line().strip() or self._line()  # a line end follows each chunk
                    self._left = int(line.split(b";")[0].strip(), 16)
                    require(0 <= self._left < _MOST, "bad-response", "chunk")
                    self._chunked = self._left > 0  # an empty chunk is the last
                n = min(size - done, self._left)
                got = self.sock.readinto(memoryview(buf)[done:] if done else buf, n)
                if got is None:  # which some versions say for a time limit
                    raise OSError(errno.EAGAIN)
                if got < n:
                    require(self.length is None and not self._chunked, "dropped", "body")
                    self._left = got  # the end: after TLS's close_notify a read would wait for more
                self._left -= got
                done += got
        except OSError as e:
            raise _failed(e, "body")
        except ValueError:
            raise OtaError("bad-response", "chunk")
        require(time.ticks_diff(time.ticks_ms(), began) < 60000 + 8 * done, "stalled", "slow")  # 125 bytes a second
        return done

    def read(self, most: int) -> bytes:
        """At most `most` bytes of the body, for small documents; then the connection is closed."""
        body, piece, n = b"", bytearray(512), 512  # the heap may have no room for `most` at a stretch
        try:
            while len(body) < most and n == len(piece):
                n = self.readinto(piece)
                body += piece[:n]
        finally:
            self.close()
        return body[:most]

    def _line(self) -> bytes:
        line = self.sock.readline(_LINE)  # type: ignore[call-arg]
        if not line:
            raise OSError(errno.EAGAIN if line is None else errno.ECONNRESET)
        return line

    def _headers(self, limit_ms: int) -> "dict[bytes, str]":
        # Sets status. The limit is for all of them: a line now and then must not hold the board for ever.
        found: "dict[bytes, str]" = {}
        skip, began = False, time.ticks_ms()
        for _ in range(80):
            line = self._line()
            require(time.ticks_diff(time.ticks_ms(), began) <= limit_ms, "stalled", "headers")
            whole = line[-1] == 10
            if skip or not whole:  # longer than _LINE, as GitHub's security policy: not for us
                skip = not whole
            elif not self.status:
                require(line[:7] == b"HTTP/1.", "bad-response", "not HTTP")
                self.status = int(line[9:12])
            elif line.strip():
                name, _, value = line.partition(b":")
                if name.lower() in _WANTED:
                    text = str(value.strip(), "utf-8")
                    # Two different lengths are how one answer is passed off as another.
                    require(text and found.setdefault(name.lower(), text) == text, "bad-response", "headers")
            elif self.status >= 200:
                return found
            else:  # 100, 103: the answer is still to come
                self.status = 0
        raise ValueError

    def _open(self, found: dict, start: int, etag: "str | None", size: "int | None") -> None:
        # What status and headers promise of the body. Raises ValueError where they make no sense.
        if self.status not in (200, 206):
            wait = found.get(b"retry-after", "")  # seconds; a date says nothing to a clock that may be wrong
            code = "bad-range" if self.status == 416 else "http-status"  # 416: the file ends before `start`
            raise OtaError(code, self.status, int(wait) if wait.isdigit() else 0)
        self._chunked = b"transfer-encoding" in found
        require(found.get(b"transfer-encoding", "chunked").lower() == "chunked", "bad-response", "transfer-encoding")
        told = None if self._chunked else found.get(b"content-length")
        self.length = self.total = size if told is None else int(told)
        # A weak tag may not be used with ranges; the date may, where there is nothing better.
        tag = found.get(b"etag", "")
        self.etag = tag if tag[:1] == '"' else found.get(b"last-modified")
        if self.status == 206:
            require(not etag or self.etag in (None, etag), "bad-range", "changed")
            # bytes FIRST-LAST/TOTAL: nothing but the whole rest of the file from `start` will do.
            text = found.get(b"content-range", "")
            span, _, total = text.partition("/")
            first, _, last = span.lower().partition("-")
            end = int(last) + 1 if last.isdigit() else 0
            good = first == f"bytes {start}" and start < end < _MOST and total in ("*", str(end))
            require(good and told in (None, str(end - start)), "bad-range", text[:40])
            self.start, self.length = start, end - start
            self.total = None if total == "*" else end
        require(0 <= (self.length or 0) < _MOST, "bad-response", "length")
        self._left = 0 if self._chunked else _MOST if self.length is None else self.length
